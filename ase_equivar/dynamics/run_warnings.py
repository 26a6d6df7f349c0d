"""What a driven run tells its user: a field without effect, motion that it does not know of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.warning_types import FieldWarning

NOTHING_LEFT = 1e-9  # of a force, relative
STACK = 4  # from here to whoever called the step


def describe_other_motion(what: str, between: str, time: float) -> str:
    """Say what a run lacks whose atoms were moved, or removed, between steps at this time (fs)."""
    return (
        f"atoms were {what} between two {between}: the work, the displacements and the change of "
        f"polarization lack that motion, in which the field stood still at {time:.4g} fs"
    )


def warn_of_other_motion(away: float, time: float) -> None:
    """Warn that atoms were moved by up to `away` (Å) between two steps, at this time (fs)."""
    described = describe_other_motion(f"moved by up to {away:.3g} Å", "steps", time)
    warnings.warn(
        f"{described}. Before another dynamics or optimizer, release()",
        FieldWarning,
        stacklevel=STACK,
    )


def warn_of_standing_field(away: float, time: float) -> None:
    """Warn that forces are asked for `away` (Å) from where a run has left the atoms, at `time`."""
    warnings.warn(
        f"forces are asked for outside of the steps of the driven run, with an atom {away:.3g} Å "
        f"from where the run has left it: the field stands still at {time:.4g} fs, and its work is "
        "not counted. Before another dynamics, an optimizer or finite differences, release()",
        FieldWarning,
        stacklevel=STACK,
    )


def warn_if_without_effect(
    field: NDArray[np.float64], forces: Sequence[NDArray[np.float64]], atoms: Atoms
) -> None:
    """Warn if a field exerts no force, or none that the constraints of the atoms leave.

    Parameters
    ----------
    field : ndarray
        V/Å.
    forces : sequence of ndarray, shape (N, 3)
        Of the field on the atoms, at both ends of a step.
    atoms : ase.Atoms
    """
    if not any(one.any() for one in forces):
        why = "check that Z* are not zero"
    elif not any(_left_by_constraints(atoms, one).any() for one in forces):
        held = ", ".join(type(one).__name__ for one in atoms.constraints)
        why = f"the constraints of the atoms ({held}) hold all of it back"
    else:
        return
    warnings.warn(
        f"the field, of up to {np.abs(field).max():.4g} V/Å, exerts no force on any atom: {why}",
        FieldWarning,
        stacklevel=STACK,
    )


def _left_by_constraints(atoms: Atoms, forces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the constraints of atoms leave of forces, without rounding errors."""
    left, added = forces.copy(), np.zeros_like(forces)  # some add forces of their own
    for constraint in atoms.constraints:
        constraint.adjust_forces(atoms, left)
        constraint.adjust_forces(atoms, added)
    left -= added
    return np.where(np.abs(left) > NOTHING_LEFT * np.abs(forces).max(), left, 0.0)


def warn_of_zero_field(negligible: float, time: float) -> None:
    """Warn that the field was never above `negligible` (V/Å) in a run that ends at `time` (fs)."""
    warnings.warn(
        f"the field was zero (never above {negligible} V/Å) throughout this run, which ends at "
        f"{time:.4g} fs: unless it sets in during a later run, check its times (fs) and its "
        "frequency (THz)",
        FieldWarning,
        stacklevel=STACK,
    )
