"""Pairs within a cutoff out of pairs that may be: in one pass on a CPU, by torch elsewhere."""

from __future__ import annotations

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
            if square < least:
                closest, least = n, square
            n += 1
    return n, closest, least**0.5
"""


def near_pairs(
    positions: Tensor,
    cell: Tensor,
    i: Tensor,
    j: Tensor,
    shifts: Tensor,
    cutoff: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, tuple[int, int, float] | None]:
    """Give the pairs within a cutoff, in the order that they come in.

    Parameters
    ----------
    positions : Tensor of float64, shape (N, 3), Å
    cell : Tensor of float64, shape (3, 3), Å
    i, j : Tensor of int64, shape (P,)
    shifts : Tensor of int32, shape (P, 3)
        Cell of the image of j.
    cutoff : float
        In Å.
    dtype : torch.dtype
        Of the vectors.

    Returns
    -------
    centres, neighbours : Tensor of int64, shape (E,)
    vectors : Tensor of `dtype`, shape (E, 3), Å
    closest : tuple of two int and a float, or None
        The pair with the smallest distance, and that in Å.
    """
    if positions.device.type != "cpu":
        return _by_torch(positions, cell, i, j, shifts, cutoff, dtype)
    centres, neighbours = torch.empty_like(i), torch.empty_like(j)
    vectors = torch.empty(len(i), 3, dtype=dtype)
    arrays = [x.numpy() for x in (positions, cell, i, j, shifts)]
    out = [x.numpy() for x in (centres, neighbours, vectors)]
    n, closest, least = _kernel()(*arrays, cutoff, *out)
    nearest = None if closest < 0 else (int(centres[closest]), int(neighbours[closest]), least)
    return centres[:n], neighbours[:n], vectors[:n], nearest


def _by_torch(
    positions: Tensor,
    cell: Tensor,
    i: Tensor,
    j: Tensor,
    shifts: Tensor,
    cutoff: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, tuple[int, int, float] | None]:
    a, b, c = (shifts[:, n, None] * cell[n] for n in range(3))
    vectors = positions[j] - positions[i] + (a + b + c)
    distances = torch.linalg.vector_norm(vectors, dim=1)
    near = (distances <= cutoff).nonzero().flatten()
    i, j, distances = i[near], j[near], distances[near]
    closest = None
    if len(near):
        nearest = distances.argmin()
        closest = int(i[nearest]), int(j[nearest]), float(distances[nearest])
    return i, j, vectors[near].to(dtype), closest


@cache
def _kernel() -> Any:
    import numba

    from ase_equivar.network.kernels.cache import load_source

    return load_source("near_pairs", numba.__version__, SOURCE).near
