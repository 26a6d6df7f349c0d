"""Neighbors within a cutoff, with all periodic images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from ase_equivar.arguments import LARGEST_LENGTH, positive_number
from ase_equivar.compile_cache import KernelNotKeptError, numba_works
from ase_equivar.graph.candidates import DISTANCE_ROUNDING, Candidates, find_candidates
from ase_equivar.structures.lattice import compact_vectors
from ase_equivar.structures.validation import check_pairs

logger = logging.getLogger(__name__)

MOST_KEPT = 2000  # atoms; above, a kept list saves a few percent of time but costs too much memory


@dataclass(frozen=True)
class Pairs:
    """Directed pairs of atoms; each pair of neighbors occurs twice.

    Attributes
    ----------
    centers, neighbors : Tensor of int64, shape (E,)
        Atoms i, ascending, and j, ascending for each i; images of j in the order of their cells.
    vectors : Tensor, shape (E, 3)
        r_j (of that image) − r_i in Å.
    closest : tuple of two int and a float, or None
        The two closest atoms, and their distance in Å.
    """

    centers: Tensor
    neighbors: Tensor
    vectors: Tensor
    closest: tuple[int, int, float] | None


@dataclass(frozen=True)
class _Found:
    """Sorted pairs that may be within the cutoff, and the structure in which they were found."""

    candidates: Candidates
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]

    def holds_for(self, atoms: Atoms, cell: NDArray[np.float64], skin: float) -> bool:
        """Whether only positions changed, and no atom has moved by half the skin."""
        if len(atoms) != len(self.positions):
            return False
        if not (np.array_equal(cell, self.cell) and np.array_equal(atoms.pbc, self.pbc)):
            return False
        moved = ((atoms.positions - self.positions) ** 2).sum(axis=1).max()
        return bool(moved <= (0.5 * skin - DISTANCE_ROUNDING) ** 2)


class NeighborSearch:
    """All pairs within a cutoff.

    Parameters
    ----------
    cutoff : float
        In Å.
    skin : float
        Pairs up to `cutoff` + `skin` (Å) are kept and only filtered as long as no atom has moved by
        more than half the skin, as in MD. 0 means that no pairs are kept.
    device : torch.device
        Device of the search and of the pairs.
    """

    def __init__(
        self, cutoff: float, *, skin: float = 0.0, device: torch.device | str = "cpu"
    ) -> None:
        self.cutoff = positive_number("cutoff", cutoff, "Å", largest=LARGEST_LENGTH)
        self.device = torch.device(device)
        self._skin = positive_number("skin", skin, "Å", largest=LARGEST_LENGTH, zero=True)
        self._kept: _Found | None = None
        self._searches_on = self.device

    def pairs(self, atoms: Atoms, dtype: torch.dtype = torch.float64) -> Pairs:
        """Search a structure that is periodic in 0 to 3 directions.

        Cell vectors along the other directions are ignored; positions need not lie inside the cell.
        Distances are always calculated in float64; `dtype` is that of the vectors.
        """
        cell = periodic_cell(atoms)
        candidates = self.kept(atoms, cell)
        if candidates is None:
            self._kept = None  # release its memory first
            found = self._search(atoms, cell)
            self._kept = found if self._keeps(atoms) else None
            candidates = found.candidates
        where, here = candidates.i.device, self.device
        pairs = filter_pairs(
            candidates,
            torch.tensor(atoms.positions, dtype=torch.float64, device=where),
            torch.tensor(cell, device=where),
            self.cutoff,
            dtype,
        )
        return Pairs(
            pairs.centers.to(here), pairs.neighbors.to(here), pairs.vectors.to(here), pairs.closest
        )

    def kept(self, atoms: Atoms, cell: NDArray[np.float64]) -> Candidates | None:
        """Return the kept pairs, if they include all neighbors in a structure with this cell."""
        if self._kept is None or not self._kept.holds_for(atoms, cell, self._skin):
            return None
        return self._kept.candidates

    def _keeps(self, atoms: Atoms) -> bool:
        return self._skin > 0 and len(atoms) <= MOST_KEPT

    def _search(self, atoms: Atoms, cell: NDArray[np.float64]) -> _Found:
        check_pairs(atoms, self.cutoff + self._skin)
        wanted = self.cutoff + (self._skin if self._keeps(atoms) else 0.0)
        try:
            candidates = find_candidates(atoms, cell, wanted, self._searches_on)
        except RuntimeError as error:
            if self._searches_on.type == "cpu":
                raise
            logger.warning("no neighbor search on %s, using the CPU: %s", self.device, error)
            self._searches_on = torch.device("cpu")
            candidates = find_candidates(atoms, cell, wanted, self._searches_on)
        return _Found(candidates, atoms.positions.copy(), cell, np.array(atoms.pbc))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the kept pairs, which a copy should find itself."""
        return {**self.__dict__, "_kept": None}


def periodic_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Return the cell, shape (3, 3), Å, in which neighbors are searched.

    Vectors along nonperiodic directions do not affect neighbors, but may be zero or parallel to the
    others: they are replaced by unit vectors orthogonal to the periodic ones. Those of a cell that
    is very flat because it is skewed, which would have very many images within a cutoff, are
    replaced by the shortest ones of the same lattice.
    """
    return compact_vectors(atoms.cell.array, atoms.pbc)


def filter_pairs(
    candidates: Candidates, positions: Tensor, cell: Tensor, cutoff: float, dtype: torch.dtype
) -> Pairs:
    """Return the pairs within a cutoff, in the order of the candidates.

    Parameters
    ----------
    candidates : Candidates
    positions : Tensor of float64, shape (N, 3), Å
    cell : Tensor of float64, shape (3, 3), Å
    cutoff : float
        In Å.
    dtype : torch.dtype
        Type of the vectors.
    """
    if positions.device.type != "cpu" or not numba_works():
        return _by_torch(candidates, positions, cell, cutoff, dtype)
    i, j, shifts = candidates.i, candidates.j, candidates.shifts
    centers, neighbors = torch.empty_like(i), torch.empty_like(j)
    vectors = torch.empty(len(i), 3, dtype=dtype, device=i.device)
    from ase_equivar.graph.pair_kernel import near  # imports numba, which takes half a second

    try:
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
    except KernelNotKeptError:
        return _by_torch(candidates, positions, cell, cutoff, dtype)
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
