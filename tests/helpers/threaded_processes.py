"""Processes of MPI as threads of one: the few collective calls that the package makes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np

WAIT = 60.0  # s; a thread that fails leaves the others waiting


class World:
    """What the threads of one run share."""

    def __init__(self, size: int) -> None:
        self.barrier = Barrier(size)
        self.given: list[Any] = [None] * size
        self.received = [0] * size  # bytes, in Alltoallv


class Communicator:
    """One of `size` processes."""

    def __init__(self, world: World, rank: int) -> None:
        self._world, self.rank, self.size = world, rank, len(world.given)

    def _all(self, mine: Any) -> list[Any]:
        self._world.barrier.wait(WAIT)
        self._world.given[self.rank] = mine
        self._world.barrier.wait(WAIT)
        return list(self._world.given)

    def count_again(self) -> None:
        """Forget how much this process received."""
        self._world.received[self.rank] = 0

    def Alltoall(self, given: np.ndarray, out: np.ndarray) -> None:  # noqa: N802
        out[:] = [one[self.rank] for one in self._all(given.copy())]

    def Alltoallv(self, given: Any, out: Any) -> None:  # noqa: N802
        rows, counts = given
        parts = np.split(rows.ravel().copy(), np.cumsum(counts)[:-1])
        arrived = [one[self.rank] for one in self._all(parts)]
        assert [len(part) for part in arrived] == list(out[1])
        assert out[0].flags.c_contiguous
        out[0].reshape(-1)[:] = np.concatenate(arrived)
        self._world.received[self.rank] += out[0].nbytes

    def Allreduce(self, given: np.ndarray, out: np.ndarray) -> None:  # noqa: N802
        out[:] = np.sum(self._all(given.copy()), axis=0)


def on_all(size: int, work: Callable[[Communicator], Any]) -> tuple[list[Any], World]:
    """Return what a function returns on each of `size` processes, and what they shared."""
    world = World(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, [Communicator(world, rank) for rank in range(size)])), world
