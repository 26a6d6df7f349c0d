"""Threads: those of torch, and those among which kernels and chunks divide their work."""

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
    """Return the number of threads: that of torch, even while torch is limited to one."""
    return _taken.number or torch.get_num_threads()


def torch_threads_are_limited() -> bool:
    """Whether torch is limited to one thread now, in this thread of the user."""
    return _taken.number > 0


@contextmanager
def torch_threads_restored() -> Iterator[None]:
    """On exit, return the threads that `limit_torch_threads` takes from torch meanwhile."""
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
    """Limit torch to one thread, and leave the others to chunks and kernels.

    After each operation, even a small one, torch's threads spin for milliseconds waiting for the
    next, which slows down other threads. Where torch does most of the work, as in training, it
    should keep its threads.
    """
    if _taken.inside and not _taken.number:
        _taken.number = torch.get_num_threads()
        torch.set_num_threads(1)


def restore_torch_threads() -> None:
    """Return the threads that `limit_torch_threads` took from torch."""
    if _taken.number:
        torch.set_num_threads(_taken.number)
        _taken.number = 0


@cache
def thread_pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Thread pool of this process; after a fork, those of the parent do not exist."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="ase_equivar")
