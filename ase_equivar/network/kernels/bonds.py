"""Functions of bonds on a CPU, without gradients: one pass each, divided among threads."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.irreps import harmonic_scales
from ase_equivar.network.kernels.bond_loops import directions, pairs
from ase_equivar.network.kernels.launch_numba import MIN_EDGES_PER_THREAD_FAST, share_out


def distances_and_harmonics(
    edges: EdgeIndex, vectors: Tensor, l_max: int, factor: float
) -> tuple[Tensor, Tensor]:
    """Return lengths (E,) of vectors (E, 3), and `irreps.spherical_harmonics` times a factor."""
    distances = vectors.new_empty(len(vectors))
    harmonics = vectors.new_empty(len(vectors), (l_max + 1) ** 2)
    start, scales = edges.receiver_starts, factor * harmonic_scales(l_max)
    arguments = (vectors.contiguous(), start, scales, distances, harmonics)
    share_out(directions, arguments, start, MIN_EDGES_PER_THREAD_FAST)
    return distances, harmonics


def pairs_of_elements(
    edges: EdgeIndex, species_index: Tensor, n_elements: int
) -> tuple[Tensor, Tensor]:
    """As `execution.edge_features.pairs_of_elements`."""
    codes = torch.empty_like(edges.senders)
    present = torch.zeros(n_elements**2, dtype=torch.bool)
    start = edges.receiver_starts
    arguments = [edges.senders, start, species_index, present, codes]
    share_out(pairs, arguments, start, MIN_EDGES_PER_THREAD_FAST)
    which = (np.cumsum(present.numpy()) - 1)[codes.numpy()]
    return present.nonzero().flatten(), torch.from_numpy(which)
