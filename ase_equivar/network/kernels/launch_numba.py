"""CPU kernels of the convolution, compiled by numba and divided among threads.

Compilation takes some ten seconds per network; the result is cached.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ase_equivar.compile_cache import load_source
from ase_equivar.machine_code import source_digest
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.threads import available_threads, thread_pool
from ase_equivar.network.kernels import feature_loops
from ase_equivar.network.kernels.compile_notice import compilation_announced
from ase_equivar.network.kernels.numba_source import numba_source
from ase_equivar.network.kernels.terms import scalar_name

# Fewer than in `chunks`: a kernel needs no Python, which serves one thread after the other.
MIN_EDGES_PER_THREAD = 500
MIN_EDGES_PER_THREAD_FAST = 10_000  # of kernels that take some nanoseconds for an edge
# of generated kernels: what they call is part of their machine code
VERSION = f"{numba.__version__} {source_digest(feature_loops.__file__)}"
HEAD_START = 150  # edges that the calling thread works off while the others wake up


@cache
def convolution_kernels(coupling: Coupling, n_channels: int, scalar: str) -> ModuleType:
    """Return the module compiled from `numba_source`."""
    source = numba_source(coupling, n_channels, scalar)
    return load_source("convolution", VERSION, source)


def launch(
    name: str,
    coupling: Coupling,
    n_channels: int,
    arrays: tuple[Tensor | int, ...],
    index: tuple[Tensor, Tensor, Tensor, Tensor],
    out: tuple[Tensor, ...],
) -> None:
    """Run a kernel on all threads.

    Parameters
    ----------
    name : str
        One of the kernels of `numba_source`.
    coupling : Coupling
    n_channels : int
    arrays : tuple
        First arguments of the kernel.
    index : tuple of Tensor
        Senders, receivers, the order of the edges, and where in it each atom's edges start.
    out : tuple of Tensor
        Arrays that the kernel overwrites.
    """
    kernel = getattr(convolution_kernels(coupling, n_channels, scalar_name(out[0].dtype)), name)
    share_out(kernel, (*arrays, *index, *out), index[3])


def share_out(
    kernel: Any,
    arguments: Sequence[Tensor | NDArray[Any] | int],
    start: Tensor,
    min_edges: int = MIN_EDGES_PER_THREAD,
) -> None:
    """Run a kernel on all threads, each with a range of atoms with about equally many edges.

    Parameters
    ----------
    kernel : function compiled by numba
        Its last two arguments are the first atom of a range, and the first one after it.
    arguments : sequence of Tensor, ndarray or int
        All others.
    start : Tensor of int64, shape (N + 1,)
        Where the edges of each atom start.
    min_edges : int
        Smallest number of edges that justifies another thread.
    """
    known = [a.detach().numpy() if isinstance(a, Tensor) else a for a in arguments]
    if not kernel.overloads:
        with compilation_announced():
            kernel(*known, 0, 0)  # in this thread, which may want kernels of the cache only
    _share_out(kernel, known, start, min_edges)


def _share_out(
    kernel: Any, known: Sequence[NDArray[Any] | int], start: Tensor, min_edges: int
) -> None:
    n_atoms, n_threads = len(start) - 1, available_threads()
    ends = start.numpy()
    n_edges = int(ends[-1])
    if n_threads == 1 or n_edges < min_edges * n_threads:
        kernel(*known, 0, n_atoms)
        return
    first = min(HEAD_START, n_edges // 10)
    starts = first + np.arange(1, n_threads) * ((n_edges - first) / n_threads)
    cuts = np.searchsorted(ends, starts).tolist()
    runs = list(itertools.pairwise([0, *cuts, n_atoms]))
    others = [thread_pool(n_threads, os.getpid()).submit(kernel, *known, *run) for run in runs[1:]]
    kernel(*known, *runs[0])  # this thread is one of them
    for other in others:
        other.result()
