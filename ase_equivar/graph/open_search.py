"""Neighbors of some atoms of a structure without periodic images, as a process of LAMMPS has it."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.arguments import LARGEST_LENGTH, positive_number
from ase_equivar.compile_cache import numba_works
from ase_equivar.graph.neighbors import NeighborSearch, Pairs
from ase_equivar.structures.validation import check_pairs

BOX_ROUNDING = 1e-6  # far above that of positions divided by the width
BOXES_PER_ATOM = 4  # at most; boxes are wider where atoms are far apart


class OpenSearch:
    """All neighbors of the first atoms of a structure, of which images are atoms of their own.

    On a CPU it takes a fraction of the time of `NeighborSearch`, which finds those of all atoms.

    Parameters
    ----------
    cutoff : float
        In Å.
    device : torch.device
        Device of the pairs.
    """

    def __init__(self, cutoff: float, *, device: torch.device | str = "cpu") -> None:
        self.cutoff = positive_number("cutoff", cutoff, "Å", largest=LARGEST_LENGTH)
        self.device = torch.device(device)
        self._search = NeighborSearch(cutoff, device=device)

    def pairs(self, atoms: Atoms, n_centers: int, dtype: torch.dtype = torch.float64) -> Pairs:
        """Search a structure.

        Parameters
        ----------
        atoms : ase.Atoms
            Taken as not periodic.
        n_centers : int
            Number of atoms, the first ones, whose neighbors are wanted.
        dtype : torch.dtype
            Type of the vectors; distances are calculated in float64.

        Returns
        -------
        Pairs
            Centers ascend; the neighbors of each have no particular order.
        """
        if n_centers == 0:
            none = torch.empty(0, dtype=torch.int64, device=self.device)
            return Pairs(none, none, torch.empty(0, 3, dtype=dtype, device=self.device), None)
        atoms = Atoms(numbers=atoms.numbers, positions=atoms.positions)  # not periodic
        if self.device.type != "cpu" or not numba_works():
            return self._all_of(atoms, n_centers, dtype)
        check_pairs(atoms, self.cutoff)
        from ase_equivar.graph.open_kernel import around  # imports numba: half a second

        positions = np.ascontiguousarray(atoms.positions)
        boxes, starts, order = _boxes(positions, self.cutoff)
        offsets = np.zeros(n_centers + 1, dtype=np.int64)
        given = (positions[:n_centers], boxes[:n_centers], starts, order, positions[order])
        neighbors = torch.empty(0, dtype=torch.int64, device=self.device)
        vectors = torch.empty(0, 3, dtype=dtype, device=self.device)
        around(*given, self.cutoff, offsets, neighbors.numpy(), vectors.numpy())
        closest = None
        if n_pairs := int(offsets[-1]):
            neighbors, vectors = neighbors.new_empty(n_pairs), vectors.new_empty(n_pairs, 3)
            closest = around(*given, self.cutoff, offsets, neighbors.numpy(), vectors.numpy())
        centers = np.repeat(np.arange(n_centers), np.diff(offsets))
        return Pairs(torch.from_numpy(centers), neighbors, vectors, closest)

    def _all_of(self, atoms: Atoms, n_centers: int, dtype: torch.dtype) -> Pairs:
        """Find the pairs of all atoms, of which the closest are told, and keep those wanted."""
        pairs = self._search.pairs(atoms, dtype)
        end = int(torch.searchsorted(pairs.centers, n_centers))
        return Pairs(pairs.centers[:end], pairs.neighbors[:end], pairs.vectors[:end], pairs.closest)


def _boxes(
    positions: NDArray[np.float64], cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return indices (N, 3) of the boxes of atoms, and `starts` and `order` of `open_kernel`."""
    low, extents = positions.min(axis=0), np.ptp(positions, axis=0)
    width = cutoff * (1 + BOX_ROUNDING)
    while (shape := (extents / width).astype(np.int64) + 1).prod(dtype=float) > (
        BOXES_PER_ATOM * len(positions)
    ):
        width *= 1.2
    boxes = np.minimum(((positions - low) / width).astype(np.int64), shape - 1)
    code = (boxes[:, 0] * shape[1] + boxes[:, 1]) * shape[2] + boxes[:, 2]
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(code, minlength=shape.prod()))
    starts = np.zeros((shape[0], shape[1], shape[2] + 1), dtype=np.int64)
    starts[:, :, 1:] = ends.reshape(shape)
    starts[:, :, 0] = (np.concatenate([[0], ends[:-1]])).reshape(shape)[:, :, 0]
    return boxes, starts, order
