"""Many crystals, one after the other or by the workers of a dask cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from rich.console import Console
from rich.progress import Progress

from ase_equivar.screening.row import Recipe, Row, screen_one
from ase_equivar.screening.table import Journal

WAITING = 4  # crystals per worker that are handed out ahead


def read_structures(paths: list[Path]) -> Iterator[tuple[str, Atoms | str]]:
    """Yield all structures of some files and folders by name, or what is wrong with a file.

    The name is that of the file and, where it holds several structures, the index in it.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
    for path in paths:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        for file in files:
            try:
                found = ase.io.read(file, ":")
            except Exception as error:  # ASE's readers raise anything on a damaged file
                yield str(file), f"ASE cannot read it: {type(error).__name__}: {error}"
                continue
            assert isinstance(found, list)
            for index, atoms in enumerate(found):
                yield (str(file) if len(found) == 1 else f"{file}:{index}"), atoms


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
        screening that was stopped goes on.
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
        When there are no structures, `workers` is not positive, or the journal is of another
        screening.
    """
    if workers < 1:
        raise ValueError(f"the number of workers must be 1 or more, got {workers}")
    structures = dict(read_structures(paths))
    if not structures:
        raise ValueError(f"there are no structures in {', '.join(map(str, paths))}")
    journal = Journal(table, settings)
    todo = [(name, atoms) for name, atoms in structures.items() if name not in journal.rows]
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(
            "screening", total=len(structures), completed=len(structures) - len(todo)
        )
        good = []
        for name, atoms in todo:
            if isinstance(atoms, str):
                journal.add(Row(name, problem=" ".join(atoms.split())))
                progress.advance(task)
            else:
                good.append((name, atoms))
        with contextlib.closing(_rows(good, recipe, workers, scheduler)) as rows:
            for row in rows:
                journal.add(row)
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
                formula = str(atoms.get_chemical_formula("metal", empirical=True))
                yield Row(name, formula, problem=f"{type(error).__name__}: {error}")
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
        raise ImportError("several workers need dask; pip install 'ase-equivar[screen]'") from error
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
