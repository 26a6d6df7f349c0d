"""Pairs of atoms that may be within a cutoff of each other, found by vesin on a CPU or GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor
from vesin import NeighborList

from ase_equivar.torch_settings import own_torch_settings

MOST_CELLS = 5e4
DISTANCE_ROUNDING = 1e-6  # Å; far above the rounding of distances
VACUUM = 1.0  # Å beyond the reach of a search


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
        """Return the candidates on another device."""
        return Candidates(self.i.to(device), self.j.to(device), self.shifts.to(device))

    def vectors(self, positions: Tensor, cell: Tensor) -> Tensor:
        """Return r_j (of that image) − r_i, (P, 3), as the kernel calculates it."""
        a, b, c = (self.shifts[:, n, None] * cell[n] for n in range(3))
        return positions[self.j] - positions[self.i] + (a + b + c)


def find_candidates(
    atoms: Atoms, cell: NDArray[np.float64], cutoff: float, device: torch.device
) -> Candidates:
    """Find all pairs within a cutoff, and possibly a few beyond it, with all periodic images.

    Parameters
    ----------
    atoms : ase.Atoms
    cell : numpy.ndarray, shape (3, 3), Å
        See `neighbors.periodic_cell`.
    cutoff : float
        In Å.
    device : torch.device
        Device of the search and of the returned pairs.

    Raises
    ------
    RuntimeError
        If vesin cannot search on this device.
    """
    if len(atoms) == 0:  # as a process of LAMMPS may have, of which vesin finds no box
        none = torch.empty(0, dtype=torch.int64, device=device)
        return Candidates(none, none, torch.empty(0, 3, dtype=torch.int32, device=device))
    reach, box = _searched_box(cutoff + DISTANCE_ROUNDING, atoms, cell)
    search = NeighborList(cutoff=reach, full_list=True)
    with own_torch_settings(device):  # it makes tensors on the default device
        i, j, shifts = search.compute(
            points=torch.tensor(atoms.positions, dtype=torch.float64, device=device),
            box=torch.tensor(box, dtype=torch.float64, device=device),
            periodic=torch.ones(3, dtype=torch.bool, device=device),
            quantities="ijS",
            copy=False,  # they live as long as `search`, which is sufficient here
        )
    i, j = i.view(torch.int64), j.view(torch.int64)
    order = _order(i, j, shifts, len(atoms))
    return Candidates(i[order], j[order], shifts[order])


def _searched_box(
    cutoff: float, atoms: Atoms, cell: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the smallest distance (Å), at least `cutoff`, that vesin can search, and its box.

    vesin divides the box into cells of that width. If there are more than 10⁵, it reduces their
    number in all directions alike, so that none may remain in the short direction of a flat or long
    box (vesin 0.6.2 then divides by zero).

    The box is periodic in all directions, along those of the structure that are not with so much
    vacuum that no image is within reach: there vesin would divide the extent along a Cartesian
    axis, which is another direction in a rotated slab and grows with atoms that have left the cell
    of a wire, and compare all of its cells with each other.
    """
    inverse = np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    across = heights * np.ptp(atoms.positions @ inverse, axis=0)
    reach = cutoff
    while True:
        extents = np.where(atoms.pbc, heights, across + reach + VACUUM)
        cells = np.maximum(np.floor(extents / reach), 1.0)
        if cells.min() * np.cbrt(MOST_CELLS / cells.prod()) >= 1.0 or cells.prod() <= MOST_CELLS:
            return reach, cell * (extents / heights)[:, None]
        reach *= 1.2


def _order(i: Tensor, j: Tensor, shifts: Tensor, n_atoms: int) -> Tensor:
    """Sort pairs into a unique order.

    Sums over neighbors then do not depend on the history of a search, and an interrupted MD run
    continues bit for bit.
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
    order = torch.arange(len(i), device=i.device)  # atoms that are millions of cells away
    for column in reversed(columns):
        order = order[torch.argsort(column[order], stable=True)]
    return order
