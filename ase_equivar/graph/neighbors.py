"""Who is within the cutoff of whom, every periodic image counted; by vesin, on CPU or GPU."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.geometry import complete_cell
from numpy.typing import NDArray
from torch import Tensor
from vesin import NeighborList

from ase_equivar.arguments import LARGEST_LENGTH, positive_number
from ase_equivar.graph.pair_filter import Candidates, Pairs, filter_pairs
from ase_equivar.structures.validation import check_pairs

logger = logging.getLogger(__name__)

MOST_CELLS = 5e4
ROUNDING = 1e-6  # Å; far beyond that of distances
MOST_KEPT = 2000  # atoms; beyond, the memory of a kept list is worth more than its few percent


@dataclass(frozen=True)
class _Found:
    """Pairs that may be within the cutoff, in their order, and the structure they were found in."""

    candidates: Candidates
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]

    def holds_for(self, atoms: Atoms, cell: NDArray[np.float64], skin: float) -> bool:
        """Whether nothing changed but positions, and no atom has moved by half the skin."""
        if len(atoms) != len(self.positions):
            return False
        if not (np.array_equal(cell, self.cell) and np.array_equal(atoms.pbc, self.pbc)):
            return False
        moved = ((atoms.positions - self.positions) ** 2).sum(axis=1).max()
        return bool(moved <= (0.5 * skin - ROUNDING) ** 2)


class NeighborSearch:
    """All pairs within a cutoff.

    Parameters
    ----------
    cutoff : float
        In Å.
    skin : float
        Pairs up to `cutoff` + `skin` are remembered, and only sifted as long as no atom has moved
        by more than half the skin in Å: for the steps of an MD. 0: nothing is remembered.
    device : torch.device
        Where to search, and where the pairs go.
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
        """Search a structure, periodic in 0 to 3 directions.

        Cell vectors along the others are ignored; positions need not lie inside the cell.
        Distances are worked out in float64 always; `dtype` is that of the vectors.
        """
        cell = periodic_cell(atoms)
        candidates = self.kept(atoms, cell)
        if candidates is None:
            self._kept = None  # its memory goes first
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
        """Give what is remembered, if no other pair of a structure with this cell can be near."""
        if self._kept is None or not self._kept.holds_for(atoms, cell, self._skin):
            return None
        return self._kept.candidates

    def _keeps(self, atoms: Atoms) -> bool:
        return self._skin > 0 and len(atoms) <= MOST_KEPT

    def _search(self, atoms: Atoms, cell: NDArray[np.float64]) -> _Found:
        check_pairs(atoms, self.cutoff + self._skin)
        try:
            return self._on(self._searches_on, atoms, cell)
        except RuntimeError as error:
            if self._searches_on.type == "cpu":
                raise
            logger.warning("no neighbor search on %s, the CPU does it: %s", self.device, error)
            self._searches_on = torch.device("cpu")
            return self._on(self._searches_on, atoms, cell)

    def _on(self, device: torch.device, atoms: Atoms, cell: NDArray[np.float64]) -> _Found:
        wanted = self.cutoff + (self._skin if self._keeps(atoms) else 0.0)
        search = NeighborList(cutoff=_reach(wanted + ROUNDING, atoms, cell), full_list=True)
        i, j, shifts = search.compute(
            points=torch.tensor(atoms.positions, dtype=torch.float64, device=device),
            box=torch.tensor(cell, dtype=torch.float64, device=device),
            periodic=torch.tensor(atoms.pbc, device=device),
            quantities="ijS",
            copy=False,  # they live as long as `search`, which is long enough here
        )
        i, j = i.view(torch.int64), j.view(torch.int64)
        order = _order(i, j, shifts, len(atoms))
        candidates = Candidates(i[order], j[order], shifts[order])
        return _Found(candidates, atoms.positions.copy(), cell, np.array(atoms.pbc))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is remembered, which a copy had better find by itself."""
        return {**self.__dict__, "_kept": None}


def periodic_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Give the cell, (3, 3) in Å, of which only the vectors along periodic directions count.

    Those along the others say nothing about neighbors, yet may be zero or parallel to the rest:
    unit vectors take their place, orthogonal to the periodic ones.
    """
    return np.asarray(complete_cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)))


def _reach(cutoff: float, atoms: Atoms, cell: NDArray[np.float64]) -> float:
    """Give the smallest distance in Å, from `cutoff` on, with which vesin can search the box.

    It cuts the box into cells as wide as that, and, where these are more than 10⁵, into fewer in
    each direction alike: none may be left in the short direction of a flat or long box (vesin 0.6.2
    then divides by zero).
    """
    inverse = np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    extents = heights * np.where(atoms.pbc, 1.0, np.ptp(atoms.positions @ inverse, axis=0))
    reach = cutoff
    while True:
        cells = np.maximum(np.floor(extents / reach), 1.0)
        if cells.min() * np.cbrt(MOST_CELLS / cells.prod()) >= 1.0 or cells.prod() <= MOST_CELLS:
            return reach
        reach *= 1.2


def _order(i: Tensor, j: Tensor, shifts: Tensor, n_atoms: int) -> Tensor:
    """Sort pairs, whatever order they were found in.

    Sums over neighbors then do not depend on what a search remembers: an MD that was stopped goes
    on with the same bits.
    """
    if len(i) == 0:
        return i
    columns, sizes = [i, j], [n_atoms, n_atoms]
    for shift in shifts.T:
        low = int(shift.min())
        columns.append(shift.long() - low)
        sizes.append(int(shift.max()) - low + 1)
    if math.prod(sizes) < 2**63:
        key = columns[0].clone()
        for column, size in zip(columns[1:], sizes[1:], strict=True):
            key *= size
            key += column
        return torch.argsort(key)
    order = torch.arange(len(i), device=i.device)  # atoms that have left their cell by millions
    for column in reversed(columns):
        order = order[torch.argsort(column[order], stable=True)]
    return order
