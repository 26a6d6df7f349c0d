"""Threads: torch's own, and those among which kernels and chunks share out their work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch


class _Taken(threading.local):
    number = 0  # threads that torch goes without now
    inside = False  # whether a `torch_threads_restored` will give them back


_taken = _Taken()


def available_threads() -> int:
    """Threads among which work may be shared out: torch's own, whether or not it has them now."""
    return _taken.number or torch.get_num_threads()


def torch_threads_are_limited() -> bool:
    """Whether torch goes without threads now, in this thread of the user."""
    return _taken.number > 0


@contextmanager
def torch_threads_restored() -> Iterator[None]:
    """Give torch back, in the end, the threads that `limit_torch_threads` takes meanwhile."""
    if _taken.inside:
        yield
        return
    _taken.inside = True
    try:
        yield
    finally:
        _taken.inside = False
        restore_torch_threads()


def limit_torch_threads() -> None:
    """Leave torch one thread, and the others to chunks and kernels.

    After each operation, be it as small as a product of two matrices 64 × 64, torch's threads wait
    for the next so busily, and for milliseconds, that others get little done. Where torch has the
    most to do, as in training, it shall keep its threads.
    """
    if _taken.inside and not _taken.number:
        _taken.number = torch.get_num_threads()
        torch.set_num_threads(1)


def restore_torch_threads() -> None:
    """Give torch back what `limit_torch_threads` took."""
    if _taken.number:
        torch.set_num_threads(_taken.number)
        _taken.number = 0


@cache
def thread_pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process: after a fork there are none of the parent's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="ase_equivar")
