"""Pairs within a cutoff out of pairs that may be: in one pass on a CPU, by torch elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Products and sums in the order of the text, so that a pair has the same vector in whatever list.
SOURCE = """
from numba import njit


@njit(cache=True, nogil=True)
def near(positions, cell, i, j, shifts, cutoff, centres, neighbours, vectors):
    n, closest, least = 0, -1, cutoff*cutoff
    for e in range(len(i)):
        a, b = i[e], j[e]
        s, t, u = shifts[e, 0], shifts[e, 1], shifts[e, 2]
        x = positions[b, 0] - positions[a, 0] + (s*cell[0, 0] + t*cell[1, 0] + u*cell[2, 0])
        y = positions[b, 1] - positions[a, 1] + (s*cell[0, 1] + t*cell[1, 1] + u*cell[2, 1])
        z = positions[b, 2] - positions[a, 2] + (s*cell[0, 2] + t*cell[1, 2] + u*cell[2, 2])
        square = x*x + y*y + z*z
        if square <= cutoff*cutoff:
            centres[n], neighbours[n] = a, b
            vectors[n, 0], vectors[n, 1], vectors[n, 2] = x, y, z
            if n == 0 or square < least:
                closest, least = n, square
            n += 1
    return n, closest, least**0.5
"""


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
    """Directed pairs of atoms, each pair of neighbours twice.

    Attributes
    ----------
    centres, neighbours : Tensor of int64, shape (E,)
        Atoms i, ascending, and j, ascending for each i; images of j in the order of their cells.
    vectors : Tensor, shape (E, 3)
        r_j (of that image) − r_i in Å.
    closest : tuple of two int and a float, or None
        The two atoms that are closest to each other, and their distance in Å.
    """

    centres: Tensor
    neighbours: Tensor
    vectors: Tensor
    closest: tuple[int, int, float] | None


def near_pairs(
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
    if positions.device.type != "cpu":
        return _by_torch(candidates, positions, cell, cutoff, dtype)
    i, j, shifts = candidates.i, candidates.j, candidates.shifts
    centres, neighbours = torch.empty_like(i), torch.empty_like(j)
    vectors = torch.empty(len(i), 3, dtype=dtype)
    arrays = [x.numpy() for x in (positions, cell, i, j, shifts)]
    out = [x.numpy() for x in (centres, neighbours, vectors)]
    n, closest, least = _kernel()(*arrays, cutoff, *out)
    nearest = None if n == 0 else (int(centres[closest]), int(neighbours[closest]), least)
    return Pairs(centres[:n], neighbours[:n], vectors[:n], nearest)


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


@cache
def _kernel() -> Any:
    import numba

    from ase_equivar.network.kernels.cache import load_source

    return load_source("near_pairs", numba.__version__, SOURCE).near
