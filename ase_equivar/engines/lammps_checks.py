"""Warnings of a field in LAMMPS that `drive` issues with ASE, by the first process, once each."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_equivar.dynamics.checks import NET_CHARGE_LIMIT
from ase_equivar.dynamics.field_at_positions import jumps_at_faces, warn_of_jumps
from ase_equivar.engines.lammps_atoms import LocalAtoms
from ase_equivar.engines.processes import is_first, largest, total
from ase_equivar.fields import SpatialField
from ase_equivar.warning_types import FieldWarning


class FieldWarnings:
    """Looks at a field in LAMMPS; all processes must call each method together.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm or None
        None if there is only this process.
    """

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self._faces_are_seen = False

    def of_net_charge(self, born_charges: NDArray[np.float64]) -> None:
        """Warn if a uniform field would accelerate the atoms as a whole.

        Parameters
        ----------
        born_charges : numpy.ndarray
            Of the atoms of this process, |e|, shape=(n_local, 3, 3).
        """
        net = float(np.abs(total(self._communicator, born_charges.sum(axis=0))).max())
        if net > NET_CHARGE_LIMIT and is_first(self._communicator):
            warnings.warn(
                f"the Z* sum to {net:.3g} e, so a uniform field accelerates all atoms together, "
                "without end unless LAMMPS holds some (fix setforce), holds the center of mass "
                "(fix recenter, fix momentum) or has friction (fix langevin)",
                FieldWarning,
                stacklevel=2,
            )

    def of_jumps(
        self, field: SpatialField, on_atoms: NDArray[np.float64], here: LocalAtoms, time: float
    ) -> None:
        """Warn if the field jumps between the faces of the box, when it is first not zero."""
        if self._faces_are_seen:
            return
        own = np.array(np.abs(on_atoms).max(initial=0.0))
        strongest = float(largest(self._communicator, own))
        if not strongest:
            return
        self._faces_are_seen = True
        _, cell = here.fractional()
        jumps = jumps_at_faces(field, here.in_box(), cell, here.periodic, time, here.corner)
        jumps = largest(self._communicator, jumps)
        if is_first(self._communicator):
            warn_of_jumps(jumps, strongest)
