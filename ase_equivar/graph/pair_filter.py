"""Pairs within a cutoff out of pairs that may be: in one pass on a CPU, by torch elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ase_equivar.compile_cache import numba_works


@dataclass(frozen=True)
class Candidates:
    """Directed pairs of atoms that may be within a cutoff.

    Attributes
    ----------
    i, j : Tensor of int64, shape (P,)
    shifts : Tensor of int32, shape (P, 3)
        Cell of the image of j.
    """

    i: Tensor
    j: Tensor
    shifts: Tensor

    def to(self, device: torch.device) -> Candidates:
        """Give them on another device."""
        return Candidates(self.i.to(device), self.j.to(device), self.shifts.to(device))

    def vectors(self, positions: Tensor, cell: Tensor) -> Tensor:
        """Give r_j (of that image) − r_i, (P, 3), as the kernel does."""
        a, b, c = (self.shifts[:, n, None] * cell[n] for n in range(3))
        return positions[self.j] - positions[self.i] + (a + b + c)


@dataclass(frozen=True)
class Pairs:
    """Directed pairs of atoms, each pair of neighbors twice.

    Attributes
    ----------
    centers, neighbors : Tensor of int64, shape (E,)
        Atoms i, ascending, and j, ascending for each i; images of j in the order of their cells.
    vectors : Tensor, shape (E, 3)
        r_j (of that image) − r_i in Å.
    closest : tuple of two int and a float, or None
        The two atoms that are closest to each other, and their distance in Å.
    """

    centers: Tensor
    neighbors: Tensor
    vectors: Tensor
    closest: tuple[int, int, float] | None


def filter_pairs(
    candidates: Candidates, positions: Tensor, cell: Tensor, cutoff: float, dtype: torch.dtype
) -> Pairs:
    """Give the pairs within a cutoff, in the order that they come in.

    Parameters
    ----------
    candidates : Candidates
    positions : Tensor of float64, shape (N, 3), Å
    cell : Tensor of float64, shape (3, 3), Å
    cutoff : float
        In Å.
    dtype : torch.dtype
        Of the vectors.
    """
    if positions.device.type != "cpu" or not numba_works():
        return _by_torch(candidates, positions, cell, cutoff, dtype)
    i, j, shifts = candidates.i, candidates.j, candidates.shifts
    centers, neighbors = torch.empty_like(i), torch.empty_like(j)
    vectors = torch.empty(len(i), 3, dtype=dtype)
    from ase_equivar.graph.pair_kernel import near  # imports numba, which takes half a second

    n, closest, least = near(
        positions.numpy(),
        cell.numpy(),
        i.numpy(),
        j.numpy(),
        shifts.numpy(),
        cutoff,
        centers.numpy(),
        neighbors.numpy(),
        vectors.numpy(),
    )
    nearest = None if n == 0 else (int(centers[closest]), int(neighbors[closest]), least)
    return Pairs(centers[:n], neighbors[:n], vectors[:n], nearest)


def _by_torch(
    candidates: Candidates, positions: Tensor, cell: Tensor, cutoff: float, dtype: torch.dtype
) -> Pairs:
    i, j = candidates.i, candidates.j
    vectors = candidates.vectors(positions, cell)
    distances = torch.linalg.vector_norm(vectors, dim=1)
    near = (distances <= cutoff).nonzero().flatten()
    i, j, distances = i[near], j[near], distances[near]
    closest = None
    if len(near):
        nearest = distances.argmin()
        closest = int(i[nearest]), int(j[nearest]), float(distances[nearest])
    return Pairs(i, j, vectors[near].to(dtype), closest)
