"""The atoms that LAMMPS has on this process, and the ghosts around them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.geometry import complete_cell
from numpy.typing import NDArray


@dataclass(frozen=True)
class LocalAtoms:
    """Atoms of a process, and ghosts: copies of atoms of other processes and of periodic images.

    Attributes
    ----------
    numbers : ndarray, shape (N,)
        Atomic numbers; the process' own atoms come first.
    positions : ndarray, shape (N, 3)
        Å; for ghosts, those of the image.
    tags : ndarray of int64, shape (N,)
        LAMMPS' global atom IDs.
    n_local : int
        Number of the process' own atoms.
    unwrapped : ndarray, shape (n_local, 3)
        Unwrapped positions of its own atoms, Å.
    origin : ndarray, shape (3,)
        Corner of the box, Å.
    cell : ndarray, shape (3, 3)
        Vectors of the box, Å.
    periodic : ndarray of bool, shape (3,)
    box_changes : bool
        Whether a fix changes the box.
    steps_since_lists : int
        Steps since atoms were last exchanged between processes and ghosts reselected.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    tags: NDArray[np.int64]
    n_local: int
    unwrapped: NDArray[np.float64]
    origin: NDArray[np.float64]
    cell: NDArray[np.float64]
    periodic: NDArray[np.bool_]
    box_changes: bool
    steps_since_lists: int

    @property
    def volume(self) -> float:
        """Volume of the box, Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @functools.cached_property
    def fractional(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unwrapped fractional coordinates (n_local, 3) of own atoms, and their cell.

        Along nonperiodic directions they are Cartesian: a change of the box there, such as
        shrink-wrapping, does not move the atoms.
        """
        cell = np.asarray(complete_cell(np.where(self.periodic[:, None], self.cell, 0.0)))
        return (self.unwrapped - self.corner) @ np.linalg.inv(cell), cell

    def displacements(
        self, before: NDArray[np.float64], cell_before: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return by how much own atoms moved in one step, Å, shape=(n_local, 3).

        Parameters
        ----------
        before : ndarray, shape (n_local, 3)
            `fractional` coordinates one step ago, in `cell_before`.
        cell_before : ndarray, shape (3, 3)
        """
        place, cell = self.fractional
        # LAMMPS flips a box that is too oblique: then the same lattice has other vectors
        flip = np.rint(cell_before @ np.linalg.inv(cell))
        mean = (cell + np.linalg.inv(flip) @ cell_before) / 2
        moved = place - before @ flip
        # in one step none goes half of the box; counts of images start again, every 1024 images
        return np.asarray((moved - np.where(self.periodic, np.rint(moved), 0.0)) @ mean)

    def in_box(self) -> NDArray[np.float64]:
        """Return positions of own atoms, wrapped into the box, Å, shape=(n_local, 3)."""
        scaled, cell = self.fractional
        whole = np.where(self.periodic, np.floor(scaled), 0.0)
        return np.asarray((scaled - whole) @ cell + self.corner)

    @property
    def corner(self) -> NDArray[np.float64]:
        """Corner of the box, and zero along nonperiodic directions, Å, shape=(3,)."""
        return np.where(self.periodic, self.origin, 0.0)


def box_of(lmp: Any) -> NDArray[np.float64]:
    """Return the box vectors of LAMMPS, Å, shape=(3, 3)."""
    low, high, xy, yz, xz, *_ = lmp.extract_box()
    cell = np.diag(np.subtract(high, low))
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell


def read_local_atoms(lmp: Any, numbers: NDArray[np.int64]) -> LocalAtoms:
    """Copy the present atoms from LAMMPS.

    Parameters
    ----------
    lmp : lammps.lammps
        With lengths in Å.
    numbers : numpy.ndarray
        Atomic number of each atom type; types count from 1.
    """
    low, *_, periodic, box_changes = lmp.extract_box()
    cell = box_of(lmp)
    n_local = lmp.extract_setting("nlocal")
    n_all = n_local + lmp.extract_setting("nghost")
    if n_all == 0:
        positions, tags, types = np.zeros((0, 3)), np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    else:
        positions = np.array(lmp.numpy.extract_atom("x", nelem=n_all, dim=3))
        tags = np.array(lmp.numpy.extract_atom("id", nelem=n_all))
        types = np.array(lmp.numpy.extract_atom("type", nelem=n_all))
    return LocalAtoms(
        numbers=numbers[types],
        positions=positions,
        tags=tags.astype(np.int64),
        n_local=n_local,
        unwrapped=positions[:n_local] + _images(lmp, n_local) @ cell,
        origin=np.array(low),
        cell=cell,
        periodic=np.array(periodic, dtype=bool),
        box_changes=bool(box_changes),
        steps_since_lists=lmp.extract_setting("neigh_ago"),
    )


def _images(lmp: Any, n_local: int) -> NDArray[np.int64]:
    """Return the periodic image counts of the process' own atoms, shape=(n_local, 3)."""
    if n_local == 0:
        return np.zeros((0, 3), dtype=np.int64)
    packed = np.array(lmp.numpy.extract_atom("image")).astype(np.int64)[:n_local]
    mask, most = lmp.extract_setting("IMGMASK"), lmp.extract_setting("IMGMAX")
    bits, twice = lmp.extract_setting("IMGBITS"), lmp.extract_setting("IMG2BITS")
    return np.stack([packed & mask, (packed >> bits) & mask, packed >> twice], axis=1) - most
