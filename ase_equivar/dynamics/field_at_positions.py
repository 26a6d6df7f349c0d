"""A field E(r, t) on the atoms, with their positions wrapped into the cell."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.fields.spatial import SpatialField
from ase_equivar.fields.text import field_text
from ase_equivar.warning_types import FieldWarning

LARGEST_JUMP = 0.01  # jump at the faces of the cell, relative to the strongest field on an atom


class FieldAtPositions:
    """E(r, t), with r in the cell.

    Parameters
    ----------
    field : SpatialField
    n_atoms : int
    """

    follows_path = False
    is_static = False

    def __init__(self, field: SpatialField, n_atoms: int) -> None:
        self._field, self._n_atoms = field, n_atoms
        self._faces_are_seen = False
        self.text = field_text(field)

    @property
    def longest_step(self) -> float:
        """The longest time step that resolves the field, fs."""
        return self._field.longest_step

    def on(
        self, atoms: Atoms, time: float, charges: Callable[[], NDArray[np.float64]] | None = None
    ) -> NDArray[np.float64]:
        """Return the field at the atoms, V/Å, shape=(N, 3); it does not depend on their Z*."""
        field = self._field(positions_in_cell(atoms), time)
        if not self._faces_are_seen and field.any():
            self._faces_are_seen = True
            self._look_at_faces(atoms, time, float(np.abs(field).max()))
        return field

    def sample(self, time: float) -> list[float]:
        """Return a weighted sum of the field over a fixed set of points."""
        count = np.arange(1, self._n_atoms + 1)[:, None]
        points = 10 * np.modf(count * np.sqrt([2, 3, 5]))[0]
        return [float(one) for one in (np.cos(count) * self._field(points, time)).sum(axis=0)]

    def state(self) -> dict[str, Any]:
        """Return an empty state: the field depends on position and time only."""
        return {}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""

    def _look_at_faces(self, atoms: Atoms, time: float, strongest: float) -> None:
        """Warn if the field is discontinuous across the periodic boundaries of the cell."""
        scaled = positions_in_cell(atoms) @ np.linalg.inv(atoms.cell.complete().array)
        for axis in np.flatnonzero(atoms.pbc):
            on_faces = []
            for face in (0.0, 1.0):
                scaled_there = scaled.copy()
                scaled_there[:, axis] = face
                on_faces.append(self._field(scaled_there @ atoms.cell.complete().array, time))
            jump = float(np.abs(on_faces[1] - on_faces[0]).max())
            if jump > LARGEST_JUMP * strongest:
                warnings.warn(
                    f"the field jumps by up to {jump:.3g} V/Å between the faces of the cell along "
                    f"{'abc'[axis]}: choose a wavevector commensurate with the cell, or a beam "
                    "that vanishes there",
                    FieldWarning,
                    stacklevel=2,
                )


def positions_in_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Return positions wrapped into the cell along its periodic directions, Å, shape=(N, 3)."""
    cell = atoms.cell.complete().array
    scaled = atoms.positions @ np.linalg.inv(cell)
    return np.asarray(atoms.positions - np.where(atoms.pbc, np.floor(scaled), 0.0) @ cell)
