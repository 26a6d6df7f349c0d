"""The field of a constant D, which follows the polarization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.dynamics.dipole_path import DipolePath
from ase_equivar.fields.displacement import ConstantDisplacement
from ase_equivar.fields.text import field_text
from ase_equivar.units import UC_PER_CM2

DIELECTRIC_TENSOR = "dielectric_tensor"


class HeldDisplacement:
    """The field of a constant D, by the dipole that the atoms have gathered on their way.

    Parameters
    ----------
    held : ConstantDisplacement
    path : DipolePath
        Of the run.
    atoms : ase.Atoms
        At its beginning.
    dielectric_tensor : numpy.ndarray
        ε∞, shape=(3, 3).
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
    ) -> None:
        self._held, self._path = held, path
        self._cell = atoms.cell.array.copy()
        self._volume = atoms.get_volume()
        self.dielectric_tensor = dielectric_tensor
        self.text = field_text(held)

    def on(
        self, atoms: Atoms, time: float, charges: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return (ε0 ε∞)⁻¹ (D − P) with P at these atoms, V/Å, shape=(3,)."""
        if not np.array_equal(atoms.cell.array, self._cell):
            raise ValueError(
                "the cell has changed, and a constant D is held at a constant cell only: another "
                "D or P may be meant; release() and drive again"
            )
        dipole = self._path.so_far(atoms, charges()).sum(axis=0)
        polarization = np.asarray(self._held.polarization) + dipole / self._volume / UC_PER_CM2
        return self._held.electric_field(polarization, self.dielectric_tensor)

    def sample(self, time: float) -> list[float]:
        """Return nothing: `text` tells all."""
        return []

    def state(self) -> dict[str, Any]:
        """Return ε∞, which a network may give with other last digits the next time."""
        return {DIELECTRIC_TENSOR: self.dielectric_tensor}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Take that ε∞."""
        self.dielectric_tensor = np.array(state[DIELECTRIC_TENSOR])
