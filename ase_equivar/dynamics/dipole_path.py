"""The path of the atoms through periodic cells and the change of their dipoles, step by step."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray


class DipolePath:
    """∫ Z* dr of each atom, with the mean of Z* at both ends of each step.

    Attributes
    ----------
    dipole_changes : numpy.ndarray
        Changes up to the end of the last step, |e|·Å, shape=(N, 3).
    displacements : numpy.ndarray
        Displacements of the atoms relative to the cell up to then, Å, shape=(N, 3).
    """

    def __init__(self, atoms: Atoms) -> None:
        self.dipole_changes = np.zeros((len(atoms), 3))
        self.displacements = np.zeros((len(atoms), 3))
        self._start: tuple[NDArray[np.float64], ...] | None = None
        self._left: NDArray[np.float64] | None = atoms.get_positions()

    def restore(
        self, dipole_changes: NDArray[np.float64], displacements: NDArray[np.float64]
    ) -> None:
        """Continue from the end of a step; the caller moves the atoms there."""
        self.dipole_changes, self.displacements = dipole_changes, displacements
        self._left = None

    def was_left_at(self, atoms: Atoms) -> bool:
        """Whether the atoms are where they were at the end of the last step."""
        return self._left is None or np.array_equal(self._left, atoms.positions)

    def begin(self, atoms: Atoms, charges: NDArray[np.float64]) -> None:
        """Begin a step at these atoms, with their Z*, |e|, shape=(N, 3, 3)."""
        self._start = (atoms.get_positions(), atoms.cell.array.copy(), charges)

    def moved(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return the displacements of the atoms in the present step, Å, shape=(N, 3).

        A change of the cell does not count, because it displaces each periodic image of an atom
        differently. What remains is Δs·h, with fractional coordinates s and the mean cell h.
        """
        if self._start is None:
            return np.zeros((len(atoms), 3))
        positions, cell, _ = self._start
        now = atoms.cell.array
        if np.array_equal(now, cell):
            return np.asarray(atoms.positions - positions)
        fractional = atoms.positions @ np.linalg.inv(now) - positions @ np.linalg.inv(cell)
        return np.asarray(fractional @ (now + cell) / 2)

    def so_far(self, atoms: Atoms, charges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the changes of dipoles up to these atoms, with their Z*, |e|·Å, shape=(N, 3)."""
        if self._start is None:
            return self.dipole_changes.copy()
        mean = 0.5 * (self._start[2] + charges)
        return self.dipole_changes + np.einsum("iab,ib->ia", mean, self.moved(atoms))

    def end(self, atoms: Atoms, charges: NDArray[np.float64]) -> NDArray[np.float64]:
        """End the step at these atoms; return their displacements in it, Å, shape=(N, 3)."""
        moved = self.moved(atoms)
        self.displacements = self.displacements + moved
        self.dipole_changes = self.so_far(atoms, charges)
        self._start, self._left = None, atoms.get_positions()
        return moved
