"""Many crystals: what is known of them, what is not, and where all rows go."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ase import Atoms

from ase_equivar import __version__
from ase_equivar.arguments import whole_number
from ase_equivar.io.lock import locked
from ase_equivar.io.output_files import check_folder, remove_partial
from ase_equivar.screening.journal import Journal, journal_path
from ase_equivar.screening.limits import Limits, could_go_further
from ase_equivar.screening.output import check_table, opened
from ase_equivar.screening.progress import Progress
from ase_equivar.screening.row import Recipe
from ase_equivar.screening.structures import Entry, entries, read_structures, total_size
from ase_equivar.screening.table import OrderedRows, Summary
from ase_equivar.screening.workers import Batch, Workers, cluster, processes, this_process

logger = logging.getLogger(__name__)

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
    with their number. Without forces, many crystals share a call of the network. Errors of the
    calculators' factories are raised before anything is written.

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
        Processes on this machine that calculate crystals, each with one thread. With 1 and no
        `limits`, crystals are calculated in this process; otherwise, in processes that must be able
        to import the factories of `recipe`, which Windows does not have. If such a process ends, a
        new one tries its crystal once more; then the crystal gets a row with the problem.
    scheduler : str, optional
        Address of a dask scheduler whose workers are used instead.
    limits : Limits, optional
        Time and memory for each crystal; one that exceeds them gets a row with the problem. Where
        a run goes on, it is calculated again if its limit is larger now, or if its process was
        ended. Not on Windows.

    Raises
    ------
    FileNotFoundError, FileExistsError
        When an input does not exist, or the table exists already.
    ImportError
        When a scheduler is given and dask is not installed, or Parquet is wanted and no pyarrow.
    ValueError
        When the table has another ending, there are no structures, a file is given twice, no
        structure has the given `gap_key`, `workers` is not positive or given together with a
        `scheduler`, the journal is of another screening, or other processes cannot import a factory
        of `recipe`, for instance one of a script.
    TypeError
        When a factory of `recipe` cannot be sent to other processes.
    BlockingIOError
        When another process writes the same table.
    OSError
        When there is no scheduler at that address.
    RuntimeError
        When processes that calculate crystals cannot start, or crystals are missing because
        workers of dask were killed; the others are kept.
    """
    workers = whole_number("workers", workers, at_least=1)
    if scheduler is not None and workers > 1:
        raise ValueError(
            f"workers (--workers) is {workers}, but with a scheduler (--scheduler) no processes of "
            "this machine are used; give one of them"
        )
    if os.name != "posix" and (workers > 1 or limits is not None):
        raise ValueError(
            "this system has no processes that can be ended at a crystal: give neither several "
            "workers (--workers) nor limits"
        )
    check_folder(table)
    lock = table.with_name(table.name + ".lock")
    with locked(lock, f"the screening for {table}"):
        for file in (table, journal_path(table)):
            remove_partial(file)  # in a screened folder, it would be taken for a structure
        check_table(table, journal_path(table).exists())
        apart_from = [journal_path(table), lock, table]
        if next(entries(paths, apart_from), None) is None:
            raise ValueError(f"there are no structures in {', '.join(map(str, paths))}")
        _check_gap_key(paths, apart_from, recipe.gap_key)
        with _calculating(recipe, workers, scheduler, limits) as those:
            if not journal_path(table).exists():  # begin none for calculators that cannot be made
                those.batch_size()
            journal = Journal(
                journal_path(table),
                {**settings, **_settings(recipe)},
                partial(could_go_further, limits=limits),
            )
            size = those.batch_size()
            total = total_size(paths, apart_from)
            with opened(table) as output, Progress(total) as progress:
                apart_from.append(output.path)
                ordered = OrderedRows(journal, output)
                stream = entries(
                    paths,
                    apart_from,
                    recipe.gap_key,
                    lambda name, content: journal.place(name, content) is not None,
                )
                batches = _unfinished(stream, size, journal, ordered, progress)
                for batch, rows in those.rows(batches):
                    kept = journal.add(rows, [entry.content for entry in batch.entries])
                    ordered.put(batch.first, kept)
                    progress.advance(batch.entries)
        journal.remove()
    summary = ordered.summary()
    logger.info("%d of %d structures have a band gap", summary.n_gaps, summary.n_crystals)
    return summary


def _unfinished(
    stream: Iterator[Entry], size: int, journal: Journal, ordered: OrderedRows, progress: Progress
) -> Iterator[Batch]:
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
            yield Batch(first, batch)
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


def _calculating(
    recipe: Recipe, workers: int, scheduler: str | None, limits: Limits | None
) -> AbstractContextManager[Workers]:
    """Return those who calculate."""
    if scheduler is not None:
        return cluster(recipe, scheduler, limits)
    if workers > 1 or limits is not None:
        return processes(recipe, workers, limits)
    return this_process(recipe)
