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
        places = positions_in_cell(atoms)
        field = self._field(places, time)
        if not self._faces_are_seen and field.any():
            self._faces_are_seen = True
            cell = atoms.cell.complete().array
            jumps = jumps_at_faces(self._field, places, cell, atoms.pbc, time)
            warn_of_jumps(jumps, float(np.abs(field).max()))
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


def jumps_at_faces(
    field: SpatialField,
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    time: float,
    corner: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return by how much the field differs between opposite faces of the cell.

    Parameters
    ----------
    field : SpatialField
    positions : numpy.ndarray
        Å, shape=(N, 3); they are moved to the faces, along one cell vector after the other.
    cell : numpy.ndarray
        Rows are cell vectors, Å, shape=(3, 3).
    pbc : numpy.ndarray
        Directions in which the cell is periodic; there are no jumps along others. shape=(3,)
    time : float
        fs.
    corner : numpy.ndarray, optional
        Where the cell begins, Å, shape=(3,); by default at the origin.

    Returns
    -------
    numpy.ndarray
        The largest difference of a component along each cell vector, V/Å, shape=(3,).
    """
    corner, jumps = np.zeros(3) if corner is None else corner, np.zeros(3)
    scaled = (positions - corner) @ np.linalg.inv(cell)
    if not len(positions):
        return jumps
    for axis in np.flatnonzero(pbc):
        on_faces = []
        for face in (0.0, 1.0):
            scaled_there = scaled.copy()
            scaled_there[:, axis] = face
            on_faces.append(field(scaled_there @ cell + corner, time))
        jumps[axis] = np.abs(on_faces[1] - on_faces[0]).max()
    return jumps


def warn_of_jumps(jumps: NDArray[np.float64], strongest: float) -> None:
    """Warn if the field is discontinuous across the periodic boundaries of the cell.

    Parameters
    ----------
    jumps : numpy.ndarray
        As returned by `jumps_at_faces`, V/Å, shape=(3,).
    strongest : float
        The largest component of the field on an atom, V/Å.
    """
    for axis in np.flatnonzero(jumps > LARGEST_JUMP * strongest):
        warnings.warn(
            f"the field jumps by up to {jumps[axis]:.3g} V/Å between the faces of the cell along "
            f"{'abc'[axis]}: choose a wavevector commensurate with the cell, or a beam that "
            "vanishes there",
            FieldWarning,
            stacklevel=3,
        )


def positions_in_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Return positions wrapped into the cell along its periodic directions, Å, shape=(N, 3)."""
    cell = atoms.cell.complete().array
    scaled = atoms.positions @ np.linalg.inv(cell)
    return np.asarray(atoms.positions - np.where(atoms.pbc, np.floor(scaled), 0.0) @ cell)
