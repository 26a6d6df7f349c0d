"""Batches of crystals for several processes: of this machine, or of a dask cluster."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias

from ase_equivar.extras import install_hint
from ase_equivar.screening.evaluation import screen_several
from ase_equivar.screening.limits import Limits, WatchedProcess, screen_within
from ase_equivar.screening.row import Recipe, Row
from ase_equivar.screening.structures import Entry

logger = logging.getLogger(__name__)

WAITING = 4  # batches per worker that are handed out ahead
PATIENCE = 600.0  # s without a row, until a warning is logged
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Batch:
    """Structures that are calculated together; `first` is the number of the first among all."""

    first: int
    entries: list[Entry]


Done: TypeAlias = Generator[tuple[Batch, list[Row]], None, None]
"""The rows of batches as they become ready, in any order."""


def rows_of_processes(
    batches: Iterator[Batch], recipe: Recipe, workers: int, limits: Limits | None
) -> Done:
    """Yield the rows that processes on this machine calculate.

    Each is driven by a thread, is kept for all batches, and is replaced if it ends. They start
    while the first batches are read, which takes a while if most rows are known already.
    """
    processes = [WatchedProcess(recipe, limits) for _ in range(workers)]
    idle: SimpleQueue[WatchedProcess] = SimpleQueue()

    def begun(process: WatchedProcess) -> None:
        with suppress(Exception):  # it will fail again at its first crystals, and be raised there
            process.start()
        idle.put(process)

    def screened(entries: Sequence[Entry]) -> list[Row]:
        process = idle.get()
        try:
            return process.screen(entries)
        finally:
            idle.put(process)

    # The system ends a process with the thread that started it; these live until the end.
    threads = ThreadPoolExecutor(workers, thread_name_prefix="screening")
    try:
        for process in processes:
            threads.submit(begun, process)
        yield from _rows(batches, threads, screened, lambda: workers)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.stop()
        threads.shutdown()


def rows_of_cluster(
    batches: Iterator[Batch], recipe: Recipe, scheduler: str, limits: Limits | None
) -> Done:
    """Yield the rows that the workers of a dask scheduler calculate.

    Raises
    ------
    ImportError
        If dask is not installed.
    RuntimeError
        At the end, if some crystals are missing because their workers were killed.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise ImportError(f"a scheduler needs dask; {install_hint('screen')}") from error

    screened: Callable[[Sequence[Entry]], list[Row]] = partial(screen_several, recipe=recipe)
    if limits is not None:
        screened = partial(screen_within, recipe=recipe, limits=limits)
    with Client(scheduler) as client:

        def n_workers() -> int:
            return len(client.scheduler_info(n_workers=-1)["workers"])

        yield from _rows(
            batches, client.get_executor(pure=False), screened, n_workers, KilledWorker
        )


def _rows(
    batches: Iterator[Batch],
    executor: Executor,
    screened: Callable[[Sequence[Entry]], list[Row]],
    n_workers: Callable[[], int],
    *killed: type[Exception],
) -> Done:
    """Hand out batches, some ahead of what workers do, and yield their rows.

    Parameters
    ----------
    batches : iterator of Batch
    executor : concurrent.futures.Executor
    screened : callable
        Returns the rows of some crystals.
    n_workers : callable
        Tells how many workers there are.
    killed : types of exceptions
        They mean that the worker of a batch was killed, again and again; all others are raised.
    """
    running: dict[Future[list[Row]], Batch] = {}
    n_missing = 0
    missing: list[str] = []
    while True:
        ahead = WAITING * max(n_workers(), 1)
        for batch in itertools.islice(batches, max(ahead - len(running), 0)):
            running[executor.submit(screened, batch.entries)] = batch
        if not running:
            break
        finished = wait(running, timeout=PATIENCE, return_when=FIRST_COMPLETED).done
        if not finished:
            logger.warning(
                "no crystal was finished for %g s: waiting for %s, on %d workers",
                PATIENCE,
                _some([entry.name for batch in running.values() for entry in batch.entries]),
                n_workers(),
            )
        for future in finished:
            batch = running.pop(future)
            try:
                rows = future.result()
            except killed as error:
                names = [entry.name for entry in batch.entries]
                logger.warning(
                    "%s: not calculated: %s: %s", _some(names), type(error).__name__, error
                )
                n_missing += len(names)
                missing = (missing + names)[: SHOWN + 1]
            else:
                yield batch, rows
    if missing:
        raise RuntimeError(
            f"{n_missing} crystals are missing, because their workers were killed: "
            f"{_some(missing)}. All others are kept; give the same command again to calculate these"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
