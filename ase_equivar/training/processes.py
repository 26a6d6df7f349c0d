"""Processes of one run, as ``torchrun`` starts them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from datetime import timedelta

from torch.distributed.rendezvous import rendezvous

LONGEST_WAIT = timedelta(days=30)

# of calls of `once`, which all processes make in the same order: a program may train several times
_numbers = itertools.count()


def n_processes() -> int:
    """Return the number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def once(what: str, work: Callable[[], None]) -> None:
    """Let the first process of a run do some work, while the others wait for it.

    If it fails, ``torchrun`` ends the others.

    Parameters
    ----------
    what : str
        Name of the work.
    work : callable
    """
    what = f"{what} {next(_numbers)}"
    if rank() == 0:
        work()
    if n_processes() > 1:
        store, *_ = next(rendezvous("env://", timeout=LONGEST_WAIT))
        if rank() == 0:
            store.set(what, "done")
        else:
            store.wait([what], LONGEST_WAIT)
