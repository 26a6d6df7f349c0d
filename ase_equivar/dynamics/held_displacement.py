"""The field at constant D, from the integral of Z* or from the polarization itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.ase_properties import DIELECTRIC_TENSOR
from ase_equivar.dynamics.dipole_path import WRAP_ROUNDING, DipolePath
from ase_equivar.fields.displacement import ConstantDisplacement
from ase_equivar.fields.text import field_text
from ase_equivar.units import C_PER_M2, UC_PER_CM2

AT_START = "polarization_at_start"
POSITIONS = "positions_at_start"

PolarizationOf = Callable[[Atoms], NDArray[np.float64]]
"""Returns P of atoms, C/m², shape=(3,), continuous along continuous motion."""


class HeldDisplacement:
    """The field at constant D for the present polarization.

    Parameters
    ----------
    held : ConstantDisplacement
    path : DipolePath
        The path of the atoms in this run.
    atoms : ase.Atoms
        Atoms at the start of the run.
    dielectric_tensor : numpy.ndarray
        ε∞, shape=(3, 3).
    polarization_of : callable, optional
        Returns P, whose change is used instead of the dipole accumulated along the `path`.
    """

    is_static = True
    follows_path = True
    longest_step = np.inf

    def __init__(
        self,
        held: ConstantDisplacement,
        path: DipolePath,
        atoms: Atoms,
        dielectric_tensor: NDArray[np.float64],
        polarization_of: PolarizationOf | None = None,
    ) -> None:
        self._held, self._path = held, path
        self._cell = atoms.cell.array.copy()
        self._volume = atoms.get_volume()
        self.dielectric_tensor = dielectric_tensor
        self.text = field_text(held)
        self._polarization_of = polarization_of
        self._at_start = None if polarization_of is None else polarization_of(atoms)
        self._positions_at_start = atoms.get_positions()

    def on(
        self, atoms: Atoms, time: float, charges: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return (ε0 ε∞)⁻¹ (D − P) with P of these atoms, V/Å, shape=(3,)."""
        if not np.array_equal(atoms.cell.array, self._cell):
            raise ValueError(
                "the cell has changed, but a constant D requires a constant cell; release(), and "
                "drive again with the D and P of the new cell"
            )
        if self._polarization_of is None or self._at_start is None:
            dipole = self._path.so_far(atoms, charges()).sum(axis=0)
            change = dipole / self._volume / UC_PER_CM2
        else:
            now = self._polarization_of(self._unwrapped(atoms))
            change = (now - self._at_start) * C_PER_M2 / UC_PER_CM2
        polarization = np.asarray(self._held.polarization) + change
        return self._held.electric_field(polarization, self.dielectric_tensor)

    def sample(self, time: float) -> list[float]:
        """Return no samples: `text` identifies the field."""
        return []

    def state(self) -> dict[str, Any]:
        """Return ε∞ and P: a network may not reproduce their last digits in a later process."""
        known = {DIELECTRIC_TENSOR: self.dielectric_tensor}
        if self._at_start is None:
            return known
        return {**known, AT_START: self._at_start, POSITIONS: self._positions_at_start}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore ε∞ and the initial P."""
        self.dielectric_tensor = np.array(state[DIELECTRIC_TENSOR])
        if self._at_start is not None:
            self._at_start = np.array(state[AT_START])
            if POSITIONS in state:  # not in older ones
                self._positions_at_start = np.array(state[POSITIONS])

    def _unwrapped(self, atoms: Atoms) -> Atoms:
        """Return the atoms where they have gone: P differs between periodic images of an atom."""
        gone = self._positions_at_start + self._path.displacements + self._path.moved(atoms)
        if np.allclose(gone, atoms.positions, rtol=0, atol=WRAP_ROUNDING):
            return atoms  # of which results are known
        whole = atoms.copy()
        whole.positions = gone
        return whole
