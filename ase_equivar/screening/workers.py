"""Who calculates batches of crystals: this process, others of this machine, or a dask cluster."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias

from ase_equivar.extras import install_hint
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


@dataclass(frozen=True)
class Workers:
    """Those who calculate crystals, within the context that returned them.

    Attributes
    ----------
    batch_size : callable
        Returns how many crystals to evaluate together. It waits until there are calculators, and
        raises what prevents that.
    rows : callable
        Returns the rows of batches.
    """

    batch_size: Callable[[], int]
    rows: Callable[[Iterator[Batch]], Done]


@contextmanager
def this_process(recipe: Recipe) -> Iterator[Workers]:
    """Let this process calculate."""
    from ase_equivar.screening.evaluation import make_calculators, screen_several

    def rows(batches: Iterator[Batch]) -> Done:
        for batch in batches:
            yield batch, screen_several(batch.entries, recipe)

    yield Workers(partial(make_calculators, recipe), rows)


@contextmanager
def processes(recipe: Recipe, number: int, limits: Limits | None) -> Iterator[Workers]:
    """Let processes on this machine calculate, which end with the context.

    Each is driven by a thread, is kept for all batches, and is replaced if it ends. They start at
    once, while this process does other things.
    """
    watched = [WatchedProcess(recipe, limits) for _ in range(number)]
    idle: SimpleQueue[WatchedProcess] = SimpleQueue()

    def begun(process: WatchedProcess) -> int:
        try:
            return process.start()
        finally:  # one that cannot start will fail again at its first crystals
            idle.put(process)

    def screened(entries: Sequence[Entry]) -> list[Row]:
        process = idle.get()
        try:
            return process.screen(entries)
        finally:
            idle.put(process)

    # The system ends a process with the thread that started it; these live until the end.
    threads = ThreadPoolExecutor(number, thread_name_prefix="screening")
    try:
        starts = [threads.submit(begun, process) for process in watched]
        yield Workers(
            starts[0].result, lambda batches: _rows(batches, threads, screened, lambda: number)
        )
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in watched:
            process.stop()
        threads.shutdown()


@contextmanager
def cluster(recipe: Recipe, scheduler: str, limits: Limits | None) -> Iterator[Workers]:
    """Let the workers of a dask scheduler calculate; there may be none yet.

    Whether there are calculators is found out in this process.

    Raises
    ------
    ImportError
        If dask is not installed.
    OSError
        If there is no scheduler at that address.
    RuntimeError
        At the end of the rows, if some crystals are missing because their workers were killed.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise ImportError(f"a scheduler needs dask; {install_hint('screen')}") from error

    from ase_equivar.screening.evaluation import make_calculators, screen_several

    screened: Callable[[Sequence[Entry]], list[Row]] = partial(screen_several, recipe=recipe)
    if limits is not None:
        screened = partial(screen_within, recipe=recipe, limits=limits)
    with Client(scheduler) as client:

        def n_workers() -> int:
            return len(client.scheduler_info(n_workers=-1)["workers"])

        def rows(batches: Iterator[Batch]) -> Done:
            executor = client.get_executor(pure=False)
            return _rows(batches, executor, screened, n_workers, KilledWorker)

        yield Workers(partial(make_calculators, recipe), rows)


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
