"""CPU kernels of the convolution, compiled by numba and shared out over threads.

Compiling takes a few seconds per network; the result is kept, see `cache`.
"""

from __future__ import annotations

import itertools
import os
from functools import cache, partial
from types import ModuleType

import numba
import numpy as np
import torch
from torch import Tensor

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.kernels.cache import load_source
from ase_equivar.network.kernels.numba_source import numba_source
from ase_equivar.network.pieces import thread_pool

# Fewer than in `pieces`: a kernel needs no Python, which serves one thread after the other.
MIN_EDGES_PER_THREAD = 500


@cache
def _kernels(coupling: Coupling, n_channels: int, dtype: torch.dtype) -> ModuleType:
    scalar = {torch.float64: "float64", torch.float32: "float32"}[dtype]
    source = numba_source(coupling, n_channels, scalar)
    return load_source("convolution", numba.__version__, source)


def launch(
    name: str,
    coupling: Coupling,
    n_channels: int,
    arrays: tuple[Tensor | int, ...],
    index: tuple[Tensor, Tensor, Tensor, Tensor],
    out: tuple[Tensor, ...],
) -> None:
    """Run a kernel on all threads; each owns a run of atoms with about as many edges.

    Parameters
    ----------
    name : str
        One of those that `numba_source` writes.
    coupling : Coupling
    n_channels : int
    arrays : tuple
        First arguments of the kernel.
    index : tuple of Tensor
        Senders, receivers, the order of the edges, and where in it each atom's edges start.
    out : tuple of Tensor
        What the kernel fills, whatever was there.
    """
    start = index[3]
    n_atoms, n_edges = len(start) - 1, len(index[0])
    kernel = partial(
        getattr(_kernels(coupling, n_channels, out[0].dtype), name),
        *(a if isinstance(a, int) else a.detach().numpy() for a in (*arrays, *index, *out)),
    )
    n_threads = torch.get_num_threads()
    if n_threads == 1 or n_edges < MIN_EDGES_PER_THREAD * n_threads:
        kernel(0, n_atoms)
        return
    cuts = np.searchsorted(start.numpy(), np.linspace(0, n_edges, n_threads + 1))
    cuts[0], cuts[-1] = 0, n_atoms
    jobs = [
        thread_pool(n_threads, os.getpid()).submit(partial(kernel, first, last))
        for first, last in itertools.pairwise(cuts.tolist())
    ]
    for job in jobs:
        job.result()
