"""Whether a checkpoint belongs to a run, and is complete."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from ase.data import atomic_masses
from numpy.typing import NDArray

from ase_equivar.dynamics.charge_refresh import KEPT_CHARGES

OPTIONAL = (  # not in every checkpoint: of earlier versions, or with update_interval=1
    "drive/field_samples",
    "drive/positions_at_start",
    "pbc",
    "constraints",
    *(f"drive/{name}" for name in KEPT_CHARGES),
)
UNDEFINED = ("drive/largest_uncertainty",)  # nan where the source of Z* states none
MOVING = ("atoms/positions", "atoms/momenta", "atoms/masses", "atoms/cell")
NOT_FINITE = "there are numbers that are not finite in "


def check_same_atoms(content: dict[str, Any], atoms: Atoms, path: str | Path) -> None:
    """Raise a ValueError if a checkpoint belongs to other atoms, or to atoms held otherwise."""
    if not np.array_equal(content.get("atoms/numbers", ()), atoms.numbers):
        raise ValueError(f"{path} belongs to other atoms than {atoms.get_chemical_formula()}")
    _check_masses(content, atoms, path)
    _check_pbc_and_arrays(content, atoms, path)
    now = named_by_constraints(atoms)
    before = content.get("constraints", now)
    if isinstance(before, list) and before != now:  # what is damaged is reported with the rest
        missing = [one for one in before if one not in now]
        further = [one for one in now if one not in before]
        raise ValueError(
            f"{path} belongs to atoms with other constraints: {_listed(missing)}, and not "
            f"{_listed(further)}; set the same ones, restore, and change them afterwards"
        )


def named_by_constraints(atoms: Atoms) -> list[str]:
    """Return each constraint's name, with the whole numbers it was made of: mostly atoms."""
    fixed: set[int] = set()  # by one constraint or by several
    texts = []
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed.update(constraint.get_indices().tolist())
        else:
            texts.append(f"{type(constraint).__name__} {_whole_numbers(constraint)}")
    if fixed:
        texts.append(f"FixAtoms of {len(fixed)}: {sorted(fixed)}")
    return sorted(texts)


def _whole_numbers(constraint: Any) -> list[Any]:
    """Return the arguments of a constraint that are whole numbers, not what it has worked out."""
    try:
        arguments = constraint.todict()["kwargs"].values()
    except Exception:  # a constraint of the user's, or one whose arguments ASE cannot tell
        return []
    found = []
    for value in arguments:
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different length
            continue
        if array.dtype.kind in "iub":
            found.append(array.tolist())
    return found


def _listed(constraints: list[Any]) -> str:
    return shorten(", ".join(map(str, constraints)), 80) or "none"


def _check_masses(content: dict[str, Any], atoms: Atoms, path: str | Path) -> None:
    """Refuse other masses: some integrators have taken those of the atoms for good."""
    usual = atomic_masses[atoms.numbers]
    before = content.get("atoms/masses", usual)
    now = atoms.get_masses()
    if before.shape != now.shape:
        return  # damaged: reported with the rest
    different = np.flatnonzero(~np.isclose(before, now))
    if different.size:
        atom = different[0]
        raise ValueError(
            f"{path} belongs to atoms of other masses: atom {atom} had {before[atom]:g} u, and has "
            f"{now[atom]:g} u; set the same masses before the dynamics is made"
        )


def _check_pbc_and_arrays(content: dict[str, Any], atoms: Atoms, path: str | Path) -> None:
    """Refuse other periodic directions, and arrays that the checkpoint lacks."""
    periodic = content.get("pbc", atoms.pbc)
    if not np.array_equal(periodic, atoms.pbc):
        raise ValueError(
            f"{path} belongs to atoms with pbc={periodic.tolist()}; these have {atoms.pbc.tolist()}"
        )
    for name in numeric_arrays(atoms):
        if name not in content and name not in MOVING:
            array = name.removeprefix("atoms/")
            raise ValueError(
                f"{path} belongs to atoms without arrays[{array!r}], which these have: remove it, "
                "restore, and set it again"
            )


def numeric_arrays(atoms: Atoms) -> dict[str, NDArray[Any]]:
    """Return the arrays of numbers; texts stay as they are in a run, and may be Python objects."""
    return {f"atoms/{name}": v for name, v in atoms.arrays.items() if v.dtype.kind in "biufc"}


def problem_of(name: str, present: Any, values: dict[str, Any]) -> str:
    """Return in what a value of a checkpoint cannot take the place of the present one."""
    if name not in values:
        return "" if name in OPTIONAL else f"it has no {name}"
    value = values[name]
    if name.startswith("dyn/") and {np.shape(present), np.shape(value)} == {(), (3, 3)}:
        # ASE's barostats begin with 0.0 what becomes a matrix in the first step
        number, matrix = (present, value) if np.ndim(value) else (value, present)
        if type(number) is float and number == 0.0 and np.isfinite(matrix).all():
            return ""
    if isinstance(present, np.ndarray):
        if not isinstance(value, np.ndarray) or value.shape != present.shape:
            return f"{name} has shape {np.shape(value)}, not {present.shape}"
        if value.dtype.kind != present.dtype.kind:
            return f"{name} is of type {value.dtype}, not {present.dtype}"
        # an array of the user's may have gaps
        may_be_nan = name.startswith("atoms/") and name not in MOVING
        if value.dtype.kind in "fc" and not (may_be_nan or np.isfinite(value).all()):
            return NOT_FINITE + name
        return ""
    if isinstance(present, dict) and not isinstance(value, dict):
        return f"{name} is {value!r}, not the state of a random number generator"
    if isinstance(present, int | float) and not isinstance(present, bool):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not (np.isfinite(value) or name in UNDEFINED):
            return f"{name} is {value!r}, not a finite number"
    if name == "dyn/nsteps" and not (isinstance(value, int) and value >= 0):
        return f"{name} is {value!r}, not a number of steps"
    if isinstance(present, bool) and not isinstance(value, bool):
        return f"{name} is {value!r}, not true or false"
    if isinstance(present, list | tuple) and not isinstance(value, list):
        return f"{name} is {value!r}, not a list"
    return ""
