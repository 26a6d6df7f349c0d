"""Sums and maxima over all processes; of one process without a communicator, its own values.

All processes must call `total` and `largest` together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_first(communicator: Any) -> bool:
    """Whether this is the process that warns and writes.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm or None
        None if there is only this process.
    """
    return communicator is None or bool(communicator.rank == 0)


def total(communicator: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of the values of all processes, in the same shape."""
    if communicator is None:
        return values
    found = np.empty_like(values)
    communicator.Allreduce(np.ascontiguousarray(values), found)
    return found


def largest(communicator: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest of the values of all processes, in the same shape."""
    if communicator is None:
        return values
    from mpi4py import MPI

    found = np.empty_like(values)
    communicator.Allreduce(np.ascontiguousarray(values), found, op=MPI.MAX)
    return found
