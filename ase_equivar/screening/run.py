"""Many crystals, one after the other or by the workers of a dask cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from ase import Atoms
from rich.console import Console
from rich.progress import Progress

from ase_equivar.arguments import whole_number
from ase_equivar.extras import install_hint
from ase_equivar.io.lock import locked
from ase_equivar.io.output_files import check_folder
from ase_equivar.screening.row import Recipe, Row, screen_one
from ase_equivar.screening.structures import fingerprint, read_structures
from ase_equivar.screening.table import Journal, journal_path
from ase_equivar.structures.formula import empirical_formula

WAITING = 4  # crystals per worker that are handed out ahead


def screen(
    paths: list[Path],
    table: Path,
    recipe: Recipe,
    *,
    settings: str = "",
    workers: int = 1,
    scheduler: str | None = None,
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
    settings : str
        Describes `recipe`, so that a journal of another one is noticed.
    workers : int
        Processes on this machine; with one, none is started.
    scheduler : str, optional
        Address of a dask scheduler whose workers are used instead.

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
    """
    workers = whole_number("workers", workers, at_least=1)
    check_folder(table)
    lock = table.with_name(table.name + ".lock")
    with locked(lock, f"the screening for {table}"):
        apart_from = [journal_path(table), lock]
        return _screen(paths, table, recipe, settings, workers, scheduler, apart_from)


def _screen(
    paths: list[Path],
    table: Path,
    recipe: Recipe,
    settings: str,
    workers: int,
    scheduler: str | None,
    apart_from: list[Path],
) -> list[Row]:
    """See `screen`; nobody else writes the table."""
    if table.exists():
        raise FileExistsError(f"{table} exists already; give another --output or remove it")
    structures = dict(read_structures(paths, apart_from))
    if not structures:
        raise ValueError(f"there are no structures in {', '.join(map(str, paths))}")
    journal = Journal(table, settings)
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
        with contextlib.closing(_rows(good, recipe, workers, scheduler)) as rows:
            for row in rows:
                journal.add(row, contents[row.name])
                progress.advance(task)
    journal.finish(list(structures))
    return [journal.rows[name] for name in structures]


def _rows(
    structures: list[tuple[str, Atoms]], recipe: Recipe, workers: int, scheduler: str | None
) -> Generator[Row, None, None]:
    """Yield the rows as they become ready, in any order."""
    if workers == 1 and scheduler is None:
        for name, atoms in structures:
            yield screen_one(name, atoms, recipe)
        return
    with _cluster(workers, scheduler) as (client, as_completed):
        ahead = WAITING * max(workers, len(client.scheduler_info(n_workers=-1)["workers"]))
        names = {}
        waiting = as_completed()
        remaining = iter(structures)
        for name, atoms in remaining:
            future = client.submit(screen_one, name, atoms, recipe, pure=False)
            names[future.key] = name, atoms
            waiting.add(future)
            if len(names) >= ahead:
                break
        for future in waiting:
            name, atoms = names.pop(future.key)
            error = future.exception()
            if error is None:
                yield future.result()
            else:  # a worker that was killed, again and again
                yield Row(
                    name, empirical_formula(atoms), problem=f"{type(error).__name__}: {error}"
                )
            following = next(remaining, None)
            if following is not None:
                future = client.submit(screen_one, *following, recipe, pure=False)
                names[future.key] = following
                waiting.add(future)


@contextlib.contextmanager
def _cluster(workers: int, scheduler: str | None) -> Iterator[tuple[Any, Any]]:
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError as error:
        raise ImportError(f"several workers need dask; {install_hint('screen')}") from error
    if scheduler is not None:
        with Client(scheduler) as client:
            yield client, as_completed
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
        yield client, as_completed
