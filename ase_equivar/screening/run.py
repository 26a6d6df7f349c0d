"""Many crystals, one batch after the other or by the workers of a dask cluster."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ase import Atoms

from ase_equivar import __version__
from ase_equivar.arguments import whole_number
from ase_equivar.extras import install_hint
from ase_equivar.io.lock import locked
from ase_equivar.io.output_files import check_folder
from ase_equivar.screening.evaluation import batch_size, screen_several
from ase_equivar.screening.journal import Journal, journal_path
from ase_equivar.screening.limits import Limits, WatchedProcess, screen_within
from ase_equivar.screening.output import check_table, opened
from ase_equivar.screening.progress import Progress
from ase_equivar.screening.row import Recipe, Row
from ase_equivar.screening.structures import Entry, entries, read_structures, total_size
from ase_equivar.screening.table import OrderedRows, Summary

logger = logging.getLogger(__name__)

WAITING = 4  # batches per worker that are handed out ahead
PATIENCE = 600.0  # s without a row, until a warning is logged
SHOWN = 3  # names in a message
USUAL_GAP_KEY = Recipe.gap_key


def screen(
    paths: list[Path],
    table: Path,
    recipe: Recipe,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    workers: int = 1,
    scheduler: str | None = None,
    limits: Limits | None = None,
) -> Summary:
    """Screen crystals and write a table with a row for each.

    Structures are read when needed and rows are written when ready, so that memory does not grow
    with their number. Without forces, many crystals share a call of the network.

    Parameters
    ----------
    paths : list of pathlib.Path
        Files that ASE reads, and folders of them.
    table : pathlib.Path
        CSV (``.csv``), which grows during the screening, or Parquet (``.parquet``, needs pyarrow),
        which is written at the end; rows are in the order of the structures. Until it is complete,
        a journal beside it holds all rows calculated so far, from which a screening that was
        stopped continues. Structures that were replaced in between are calculated again.
    recipe : Recipe
        How each crystal is calculated.
    settings : mapping of str to str
        Identity of the two calculators (name, version, hash of weights). A journal written with
        other settings, another `recipe` or another version of this package is refused.
    workers : int
        Processes on this machine; with 1, crystals are calculated in this one.
    scheduler : str, optional
        Address of a dask scheduler whose workers are used instead.
    limits : Limits, optional
        Time and memory for each crystal; one that exceeds them gets a row with the problem.
        Crystals are then calculated in processes of their own, which must be able to import the
        factories of `recipe`. Not on Windows.

    Raises
    ------
    FileNotFoundError, FileExistsError
        When an input does not exist, or the table exists already.
    ImportError
        When several workers are wanted and dask is not installed, or Parquet and no pyarrow.
    ValueError
        When the table has another ending, there are no structures, a file is given twice, no
        structure has the given `gap_key`, `workers` is not positive, or the journal is of another
        screening.
    BlockingIOError
        When another process writes the same table.
    RuntimeError
        When some crystals are missing because workers were killed; the others are kept.
    """
    workers = whole_number("workers", workers, at_least=1)
    check_folder(table)
    lock = table.with_name(table.name + ".lock")
    with locked(lock, f"the screening for {table}"):
        check_table(table, journal_path(table).exists())
        apart_from = [journal_path(table), lock, table]
        if next(entries(paths, apart_from), None) is None:
            raise ValueError(f"there are no structures in {', '.join(map(str, paths))}")
        _check_gap_key(paths, apart_from, recipe.gap_key)
        size = batch_size(recipe)
        journal = Journal(journal_path(table), {**settings, **_settings(recipe)})
        with opened(table) as output:
            apart_from.append(output.path)
            ordered = OrderedRows(journal, output)
            with Progress(total_size(paths, apart_from)) as progress:
                stream = entries(
                    paths,
                    apart_from,
                    recipe.gap_key,
                    lambda name, content: journal.place(name, content) is not None,
                )
                batches = _unfinished(stream, size, journal, ordered, progress)
                with contextlib.closing(_rows(batches, recipe, workers, scheduler, limits)) as done:
                    for batch, rows in done:
                        kept = journal.add(rows, [entry.content for entry in batch.entries])
                        ordered.put(batch.first, kept)
                        progress.advance(batch.entries)
        journal.remove()
    summary = ordered.summary()
    logger.info("%d of %d structures have a band gap", summary.n_gaps, summary.n_crystals)
    return summary


@dataclass(frozen=True)
class _Batch:
    """Structures that are calculated together; `first` is the number of the first among all."""

    first: int
    entries: list[Entry]


def _unfinished(
    stream: Iterator[Entry], size: int, journal: Journal, ordered: OrderedRows, progress: Progress
) -> Iterator[_Batch]:
    """Yield the batches of which not all rows are known, and put all others into the table.

    A batch is calculated as a whole even if some of its rows are known: the last digits of a
    prediction depend on what is evaluated together, and must not depend on whether a screening was
    stopped.
    """
    first = 0
    while batch := list(itertools.islice(stream, size)):
        known = [journal.place(entry.name, entry.content) for entry in batch]
        places = [place for place in known if place is not None]
        if len(places) < len(batch):
            yield _Batch(first, batch)
        else:
            ordered.put(first, places)
            progress.advance(batch)
        first += len(batch)


def _check_gap_key(paths: list[Path], apart_from: Collection[Path], key: str) -> None:
    """Refuse a `gap_key` that no structure has; the default one may be missing."""
    if key == USUAL_GAP_KEY:
        return
    there: set[str] = set()
    n_structures = 0
    for _, atoms in read_structures(paths, apart_from):
        if isinstance(atoms, Atoms):
            if key in atoms.info:
                return
            n_structures += 1
            there |= set(map(str, atoms.info))
    if n_structures:
        names = ", ".join(sorted(there)) or "none"
        raise ValueError(f"no structure has a band gap {key!r} in its info; entries there: {names}")


def _settings(recipe: Recipe) -> dict[str, str]:
    """Return what rows depend on, apart from the calculators."""
    options = {field.name for field in fields(recipe)} - {"source", "calculator"}
    return {
        "ase_equivar": __version__,
        "forces wanted": str(recipe.calculator is not None),
        **{name: str(getattr(recipe, name)) for name in sorted(options)},
    }


def _rows(
    batches: Iterator[_Batch],
    recipe: Recipe,
    workers: int,
    scheduler: str | None,
    limits: Limits | None,
) -> Generator[tuple[_Batch, list[Row]], None, None]:
    """Yield the rows of batches as they become ready, in any order."""
    if workers > 1 or scheduler is not None:
        with _cluster(workers, scheduler) as client:
            yield from _rows_of_workers(batches, recipe, workers, client, limits)
    elif limits is None:
        for batch in batches:
            yield batch, screen_several(batch.entries, recipe)
    else:
        with WatchedProcess(recipe, limits) as process:
            for batch in batches:
                yield batch, process.screen(batch.entries)


def _rows_of_workers(
    batches: Iterator[_Batch],
    recipe: Recipe,
    workers: int,
    client: Any,
    limits: Limits | None,
) -> Iterator[tuple[_Batch, list[Row]]]:
    """Hand out batches to the workers of a dask cluster, some ahead of what they do."""
    from distributed import wait

    ahead = WAITING * max(workers, len(client.scheduler_info(n_workers=-1)["workers"]))
    running: dict[Any, _Batch] = {}
    n_killed = 0
    killed: list[str] = []
    while True:
        for batch in itertools.islice(batches, ahead - len(running)):
            if limits is None:
                future = client.submit(screen_several, batch.entries, recipe, pure=False)
            else:
                future = client.submit(screen_within, batch.entries, recipe, limits, pure=False)
            running[future] = batch
        if not running:
            break
        try:
            finished = wait(list(running), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            logger.warning(
                "no crystal was finished for %g s: waiting for %s, on %d workers",
                PATIENCE,
                _some([entry.name for batch in running.values() for entry in batch.entries]),
                len(client.scheduler_info(n_workers=-1)["workers"]),
            )
            continue
        for future in finished:
            batch = running.pop(future)
            error = future.exception()
            if error is None:
                yield batch, future.result()
            else:  # its worker was killed, again and again
                names = [entry.name for entry in batch.entries]
                logger.warning(
                    "%s: not calculated: %s: %s", _some(names), type(error).__name__, error
                )
                n_killed += len(names)
                killed = (killed + names)[: SHOWN + 1]
    if killed:
        raise RuntimeError(
            f"{n_killed} crystals are missing, because their workers were killed: {_some(killed)}. "
            "All others are kept; give the same command again to calculate these"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


@contextlib.contextmanager
def _cluster(workers: int, scheduler: str | None) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError(f"several workers need dask; {install_hint('screen')}") from error
    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
