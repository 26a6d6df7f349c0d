"""The path of the atoms through periodic cells and the change of their dipoles, step by step."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from numpy.typing import NDArray

from ase_equivar.structures.lattice import nearest_images

WRAP_ROUNDING = 1e-6  # Å, of wrapped positions


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
        self._left: tuple[NDArray[np.float64], ...] | None = _place(atoms)
        self._left_charges: NDArray[np.float64] | None = None

    def restore(
        self, dipole_changes: NDArray[np.float64], displacements: NDArray[np.float64]
    ) -> None:
        """Continue from the end of a step; the caller moves the atoms there."""
        self.dipole_changes, self.displacements = dipole_changes, displacements
        self.forget_place()

    def forget_place(self) -> None:
        """Let the caller move the atoms, who says what they have done so far."""
        self._left = self._left_charges = None

    def moved_meanwhile(self, atoms: Atoms) -> float:
        """Return how far an atom has gone since the last step, relative to the others, Å.

        Wrapping into the cell and changes of the cell do not count, as in `moved`. Less than a
        rounding error counts as 0, and so do a step that is being made and other atoms.
        """
        if self._start is not None or len(atoms) != len(self.displacements):
            return 0.0
        moved = self._since_last_step(atoms, from_first=True)
        if moved is None:
            return 0.0
        largest = float(np.linalg.norm(moved - moved.mean(axis=0), axis=1).max())
        return largest if largest > WRAP_ROUNDING else 0.0

    def _since_last_step(self, atoms: Atoms, from_first: bool) -> NDArray[np.float64] | None:
        """Return displacements since the last step, perhaps from the first atom's, Å, (N, 3).

        None where the atoms are still there, or nobody knows where they were.
        """
        if self._left is None or np.array_equal(self._left[0], atoms.positions):
            return None
        positions, before = self._left
        cell = np.asarray(complete_cell(atoms.cell.array))
        moved = atoms.positions @ np.linalg.inv(cell)
        moved -= positions @ np.linalg.inv(np.asarray(complete_cell(before)))
        if from_first:
            moved -= moved[0]
        return np.asarray(nearest_images(moved, atoms.cell.array, atoms.pbc) @ cell)

    def begin(self, atoms: Atoms, charges: NDArray[np.float64]) -> None:
        """Begin a step at these atoms, with their Z*, |e|, shape=(N, 3, 3)."""
        self._start = (atoms.get_positions(), atoms.cell.array.copy(), charges)

    def moved(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return the displacements of the atoms in the present step, Å, shape=(N, 3).

        Between steps, those since the last one: of whoever asks for forces at other positions, such
        as finite differences. A change of the cell does not count, because it displaces each
        periodic image of an atom differently. What remains is Δs·h, with fractional coordinates s
        and the mean cell h.
        """
        if self._start is None:
            moved = self._since_last_step(atoms, from_first=False)
            return np.zeros((len(atoms), 3)) if moved is None else moved
        positions, cell, _ = self._start
        now = atoms.cell.array
        if np.array_equal(now, cell):
            return np.asarray(atoms.positions - positions)
        fractional = atoms.positions @ np.linalg.inv(now) - positions @ np.linalg.inv(cell)
        return np.asarray(fractional @ (now + cell) / 2)

    def so_far(self, atoms: Atoms, charges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the changes of dipoles up to these atoms, with their Z*, |e|·Å, shape=(N, 3)."""
        before = self._left_charges if self._start is None else self._start[2]
        mean = charges if before is None else 0.5 * (before + charges)
        return self.dipole_changes + np.einsum("iab,ib->ia", mean, self.moved(atoms))

    def end(self, atoms: Atoms, charges: NDArray[np.float64]) -> NDArray[np.float64]:
        """End the step at these atoms; return their displacements in it, Å, shape=(N, 3)."""
        moved = self.moved(atoms)
        self.displacements = self.displacements + moved
        self.dipole_changes = self.so_far(atoms, charges)
        self._start, self._left, self._left_charges = None, _place(atoms), charges
        return moved


def _place(atoms: Atoms) -> tuple[NDArray[np.float64], ...]:
    return atoms.get_positions(), atoms.cell.array.copy()
