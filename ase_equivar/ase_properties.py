"""Make ``born_charges``, ``born_charges_uncertainty`` and another property known to ASE.

ASE has a list of the names that calculators may return; results of other names are dropped by
its file formats and refused by ``Atoms.get_properties``. ASE's own name for Z* is
``born_effective_charges``; ``born_charges`` is the short one. The other property is
``piezoelectric_tensor_clamped``. Importing `ase_equivar` calls `register`, which is all the global
state that the package has.

Trajectories (``.traj``) and JSON files and databases keep Z* then. ASE's SQLite databases (``.db``)
have columns for a few properties only, neither of the two names among them: write
``db.write(atoms, data={"born_charges": charges})`` there. ASE's writer of extended XYZ, which fails
for tensors of atoms (3.29), is made to write Z* as nine columns ``born_charges``, field first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ase.io.extxyz
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.outputs import ArrayProperty, all_outputs

BORN_CHARGES = "born_charges"
EFFECTIVE_CHARGES = "born_effective_charges"  # the name in ASE
DIELECTRIC_TENSOR = "dielectric_tensor"
UNCERTAINTY = "born_charges_uncertainty"
CLAMPED_PIEZO = "piezoelectric_tensor_clamped"
SHAPES: dict[str, tuple[str | int, ...]] = {
    BORN_CHARGES: ("natoms", 3, 3),
    UNCERTAINTY: ("natoms",),
    CLAMPED_PIEZO: (3, 6),
}


def register() -> None:
    """Add the names to ASE's properties and ``get_property`` to its Atoms; repeatable."""
    for name, shape in SHAPES.items():
        all_outputs.setdefault(name, ArrayProperty(name, float, shape))
        if name not in all_properties:
            all_properties.append(name)
    if CLAMPED_PIEZO not in ase.io.extxyz.per_config_properties:
        ase.io.extxyz.per_config_properties.append(CLAMPED_PIEZO)
    # Extended XYZ has no columns for tensors. Files with Z* as nine columns per atom are common,
    # and their readers look for them in atoms.arrays, where ASE would no longer put them.
    ase.io.extxyz.all_properties = [name for name in all_properties if name != BORN_CHARGES]
    if not hasattr(ase.io.extxyz.save_calc_results, "__wrapped__"):
        ase.io.extxyz.save_calc_results = _with_columns(ase.io.extxyz.save_calc_results)
    if not hasattr(Atoms, "get_property"):
        Atoms.get_property = get_property


def _with_columns(save_results: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ASE's function that turns results into columns, which is at a loss with tensors."""

    @functools.wraps(save_results)
    def save_with_columns(
        atoms: Atoms, calc: Any = None, calc_prefix: str | None = None, *args: Any, **more: Any
    ) -> Any:
        used = atoms.calc if calc is None else calc
        found = save_results(atoms, calc, calc_prefix, *args, **more)
        if used is None:
            return found
        prefix = f"{type(used).__name__}_" if calc_prefix is None else calc_prefix
        charges = atoms.arrays.pop(prefix + EFFECTIVE_CHARGES, None)
        if charges is not None:
            # labels that the structure came with stay what they are
            labelled = prefix + BORN_CHARGES in atoms.arrays
            name = EFFECTIVE_CHARGES if labelled else BORN_CHARGES
            atoms.arrays[prefix + name] = charges.reshape(len(atoms), 9)
        if UNCERTAINTY in used.results:
            atoms.arrays.setdefault(prefix + UNCERTAINTY, used.results[UNCERTAINTY])
        return found

    return save_with_columns


def get_property(atoms: Atoms, name: str, allow_calculation: bool = True) -> Any:
    """Ask the calculator of `atoms` for one property; becomes ``Atoms.get_property``.

    Parameters
    ----------
    atoms : ase.Atoms
        With any ASE calculator.
    name : str
        A property's name, such as "born_charges", "dielectric_tensor" or "forces".
    allow_calculation : bool
        If False, give None instead of calculating what is not there yet.

    Returns
    -------
    Any
        The calculator's own value: constraints are not applied to it.

    Raises
    ------
    RuntimeError
        If `atoms` has no calculator.
    ase.calculators.calculator.PropertyNotImplementedError
        If the calculator cannot give this property.
    """
    if atoms.calc is None:
        raise RuntimeError(
            f"the Atoms object has no calculator to ask for {name!r}; set atoms.calc first"
        )
    return atoms.calc.get_property(name, atoms, allow_calculation)
