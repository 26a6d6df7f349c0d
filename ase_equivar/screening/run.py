"""Many crystals, one after the other or by the workers of a dask cluster."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Generator, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ase import Atoms
from rich.console import Console
from rich.progress import Progress

from ase_equivar import __version__
from ase_equivar.arguments import whole_number
from ase_equivar.extras import install_hint
from ase_equivar.io.lock import locked
from ase_equivar.io.output_files import check_folder
from ase_equivar.screening.limits import Limits, WatchedProcess, screen_within
from ase_equivar.screening.row import Recipe, Row, screen_one
from ase_equivar.screening.structures import fingerprint, read_structures
from ase_equivar.screening.table import Journal, journal_path

logger = logging.getLogger(__name__)

WAITING = 4  # crystals per worker that are handed out ahead
PATIENCE = 600.0  # s without a row, until a word is said
SHOWN = 3  # names
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
) -> list[Row]:
    """Screen crystals, write the table, and return its rows.

    Parameters
    ----------
    paths : list of pathlib.Path
        Files that ASE reads, and folders of them.
    table : pathlib.Path
        CSV file, in the order of the structures. A journal beside it holds what is done, so that a
        screening that was stopped goes on; structures that were replaced since are done again.
    recipe : Recipe
        How each crystal is calculated.
    settings : mapping of str to str
        What the two calculators are (name, version, hash of weights), so that a journal of others
        is refused. The rest of `recipe` and the version of this package are compared too.
    workers : int
        Processes on this machine; with one, none is started.
    scheduler : str, optional
        Address of a dask scheduler whose workers are used instead.
    limits : Limits, optional
        Of time and memory for each crystal; what exceeds them is a row with a problem. Needs
        factories that another process can import. Not on Windows.

    Raises
    ------
    FileNotFoundError, FileExistsError
        When an input is not there, or the table is.
    ImportError
        When several workers are wanted and dask is not installed.
    ValueError
        When there are no structures, a file is given twice, `workers` is not positive, or the
        journal is of another screening.
    BlockingIOError
        When another process writes the same table.
    RuntimeError
        When workers were killed, so that some crystals are not done; the others are kept.
    """
    workers = whole_number("workers", workers, at_least=1)
    check_folder(table)
    lock = table.with_name(table.name + ".lock")
    with locked(lock, f"the screening for {table}"):
        apart_from = [journal_path(table), lock]
        return _screen(paths, table, recipe, settings, workers, scheduler, limits, apart_from)


def _screen(
    paths: list[Path],
    table: Path,
    recipe: Recipe,
    settings: Mapping[str, str],
    workers: int,
    scheduler: str | None,
    limits: Limits | None,
    apart_from: list[Path],
) -> list[Row]:
    """See `screen`; nobody else writes the table."""
    if table.exists():
        raise FileExistsError(f"{table} exists already; give another --output or remove it")
    structures = dict(read_structures(paths, apart_from))
    if not structures:
        raise ValueError(f"there are no structures in {', '.join(map(str, paths))}")
    _check_gaps(structures, recipe.gap_key)
    journal = Journal(table, {**settings, **_settings(recipe)})
    contents = {
        name: fingerprint(atoms, None if isinstance(atoms, str) else atoms.info.get(recipe.gap_key))
        for name, atoms in structures.items()
    }
    todo = [
        (name, atoms)
        for name, atoms in structures.items()
        if journal.contents.get(name) != contents[name]
    ]
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(
            "screening", total=len(structures), completed=len(structures) - len(todo)
        )
        good = []
        for name, atoms in todo:
            if isinstance(atoms, str):
                journal.add(Row(name, problem=" ".join(atoms.split())), contents[name])
                progress.advance(task)
            else:
                good.append((name, atoms))
        with contextlib.closing(_rows(good, recipe, workers, scheduler, limits)) as rows:
            for row in rows:
                journal.add(row, contents[row.name])
                progress.advance(task)
    journal.finish(list(structures))
    return [journal.rows[name] for name in structures]


def _check_gaps(structures: dict[str, Atoms | str], key: str) -> None:
    """Refuse a name of band gaps that no structure knows; the usual one need not be there."""
    infos = [atoms.info for atoms in structures.values() if isinstance(atoms, Atoms)]
    n = sum(key in info for info in infos)
    if 0 < n < len(infos):
        logger.info("band gaps (%s): in %d of %d structures", key, n, len(infos))
    if n == 0 and infos and key != USUAL_GAP_KEY:
        there = ", ".join(sorted({str(name) for info in infos for name in info})) or "none"
        raise ValueError(f"no structure has a band gap {key!r} in its info; entries there: {there}")


def _settings(recipe: Recipe) -> dict[str, str]:
    """Return what rows depend on, apart from the calculators."""
    options = {field.name for field in fields(recipe)} - {"charges", "forces"}
    return {
        "ase_equivar": __version__,
        "forces wanted": str(recipe.forces is not None),
        **{name: str(getattr(recipe, name)) for name in sorted(options)},
    }


def _rows(
    structures: list[tuple[str, Atoms]],
    recipe: Recipe,
    workers: int,
    scheduler: str | None,
    limits: Limits | None,
) -> Generator[Row, None, None]:
    """Yield the rows as they become ready, in any order."""
    if workers == 1 and scheduler is None:
        if limits is None:
            for name, atoms in structures:
                yield screen_one(name, atoms, recipe)
        elif structures:
            with WatchedProcess(recipe, limits) as process:
                for name, atoms in structures:
                    yield process.screen_one(name, atoms)
        return
    with _cluster(workers, scheduler) as client:
        yield from _rows_of_workers(structures, recipe, workers, client, limits)


def _rows_of_workers(
    structures: list[tuple[str, Atoms]],
    recipe: Recipe,
    workers: int,
    client: Any,
    limits: Limits | None,
) -> Iterator[Row]:
    """Hand out crystals to the workers of a dask cluster, some ahead of what they do."""
    from distributed import wait

    ahead = WAITING * max(workers, len(client.scheduler_info(n_workers=-1)["workers"]))
    remaining = iter(structures)
    running: dict[Any, str] = {}
    killed: list[str] = []
    while True:
        for name, atoms in itertools.islice(remaining, ahead - len(running)):
            if limits is None:
                future = client.submit(screen_one, name, atoms, recipe, pure=False)
            else:
                future = client.submit(screen_within, name, atoms, recipe, limits, pure=False)
            running[future] = name
        if not running:
            break
        try:
            finished = wait(list(running), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            logger.warning(
                "no crystal was done for %g s: waiting for %s, on %d workers",
                PATIENCE,
                _some(list(running.values())),
                len(client.scheduler_info(n_workers=-1)["workers"]),
            )
            continue
        for future in finished:
            name = running.pop(future)
            error = future.exception()
            if error is None:
                yield future.result()
            else:  # its worker was killed, again and again
                logger.warning("%s is not done: %s: %s", name, type(error).__name__, error)
                killed.append(name)
    if killed:
        raise RuntimeError(
            f"{len(killed)} of {len(structures)} crystals are not done, for their workers were "
            f"killed: {_some(killed)}. The others are kept; the same command goes on with these"
        )


def _some(names: list[str]) -> str:
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
