"""What a field in LAMMPS refuses, and warns of as `drive` does with ASE."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_equivar.dynamics.checks import NET_CHARGE_LIMIT
from ase_equivar.dynamics.dipole_path import WRAP_ROUNDING
from ase_equivar.dynamics.field_at_positions import jumps_at_faces, warn_of_jumps
from ase_equivar.dynamics.run_warnings import describe_other_motion
from ase_equivar.engines.lammps_atoms import LocalAtoms
from ase_equivar.engines.processes import is_first, largest, total
from ase_equivar.fields import ConstantDisplacement, SpatialField
from ase_equivar.warning_types import FieldWarning

MINIMIZER = "MINIMIZE"  # fix that LAMMPS has while it minimizes


def refuse_run_style(lmp: Any) -> None:
    """Refuse what takes forces at other times than in a run of equal steps."""
    if lmp.has_id("fix", MINIMIZER):
        raise ValueError("minimize in a field, which has no energy that LAMMPS could minimize")
    if lmp.extract_global("respa_levels"):
        raise ValueError("run_style respa would take the field's forces at the wrong times")


def refuse_box(here: LocalAtoms, field: object, stress_without_field: bool) -> None:
    """Refuse a box in which the field would be wrong.

    Parameters
    ----------
    here : LocalAtoms
    field : AnyField
    stress_without_field : bool
        Whether a pressure without the field's contribution is accepted.
    """
    if isinstance(field, ConstantDisplacement) and (here.box_changes or not here.periodic.all()):
        raise ValueError("a constant D requires a constant box that is periodic in all directions")
    if here.box_changes and not stress_without_field:
        raise ValueError(
            "the box changes (a barostat, fix deform, fix balance, or a boundary that is "
            "shrink-wrapped), but LAMMPS' pressure lacks the field's contribution: give "
            "stress_without_field=True if nothing depends on the pressure, or to accept that"
        )


class FieldWarnings:
    """Warns by the first process, once of each; all processes must call each method together.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm or None
        None if there is only this process.
    """

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self._faces_are_seen = False
        self._other_motion_is_seen = False

    def of_net_charge(self, born_charges: NDArray[np.float64]) -> None:
        """Warn if a uniform field would accelerate the atoms as a whole.

        Parameters
        ----------
        born_charges : numpy.ndarray
            Of the atoms of this process on which the field acts, |e|, shape=(N, 3, 3).
        """
        net = float(np.abs(total(self._communicator, born_charges.sum(axis=0))).max())
        if net > NET_CHARGE_LIMIT and is_first(self._communicator):
            warnings.warn(
                f"the Z* of the atoms in the field sum to {net:.3g} e, so a uniform field "
                "accelerates all atoms together, without end unless LAMMPS holds some (fix "
                "setforce), holds the center of mass (fix recenter, fix momentum) or has friction "
                "(fix langevin)",
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
        _, cell = here.fractional
        jumps = jumps_at_faces(field, here.in_box(), cell, here.periodic, time, here.corner)
        jumps = largest(self._communicator, jumps)
        if is_first(self._communicator):
            warn_of_jumps(jumps, strongest)

    def of_other_motion(
        self,
        field: Any,
        change: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
        here: LocalAtoms,
        time: float,
    ) -> None:
        """Warn once that the atoms are not where the last run has left them.

        Parameters
        ----------
        field : Field, SpatialField, ConstantDisplacement or AppliedField
        change : tuple, optional
            Of the fractional coordinates of own atoms since then, shape=(n_local, 3), and the cell,
            Å; None if there are other atoms now.
        here : LocalAtoms
        time : float
            fs

        Raises
        ------
        ValueError
            At constant D, which depends on the polarization.
        """
        away = np.inf if change is None else self._away(*change, here.periodic)
        if away <= WRAP_ROUNDING:
            return
        what = "removed or added" if change is None else f"moved by up to {away:.3g} Å"
        if isinstance(field, ConstantDisplacement):
            raise ValueError(
                f"atoms were {what} between two runs, so the polarization that a constant D needs "
                "is unknown: unfix the field, and add it again with the polarization of the atoms "
                "as they are now"
            )
        if is_first(self._communicator) and not self._other_motion_is_seen:
            warnings.warn(describe_other_motion(what, "runs", time), FieldWarning, stacklevel=2)
        self._other_motion_is_seen = True

    def _away(
        self, change: NDArray[np.float64], cell: NDArray[np.float64], periodic: NDArray[np.bool_]
    ) -> float:
        """Return how far an atom has gone, but for lattice vectors, relative to all, Å."""
        moved = (change - np.where(periodic, np.rint(change), 0.0)) @ cell
        sums = total(self._communicator, np.array([*moved.sum(axis=0), len(moved)]))
        away = np.linalg.norm(moved - sums[:3] / sums[3], axis=1)
        return float(largest(self._communicator, np.array(away.max(initial=0.0))))
