"""Make ``born_charges`` and ``born_charges_uncertainty`` known to ASE.

ASE has a list of the names that calculators may return; results of other names are dropped by
its file formats and refused by ``Atoms.get_properties``. ASE's own name for Z* is
``born_effective_charges``; ``born_charges`` is the short one. Importing `ase_equivar` calls
`register`, which is all the global state that the package has.

Trajectories (``.traj``) and JSON files and databases keep Z* then. ASE's SQLite databases (``.db``)
have columns for a few properties only, neither of the two names among them: write
``db.write(atoms, data={"born_charges": charges})`` there.
"""

from __future__ import annotations

from typing import Any

import ase.io.extxyz
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.outputs import ArrayProperty, all_outputs

BORN_CHARGES = "born_charges"
UNCERTAINTY = "born_charges_uncertainty"
SHAPES = {BORN_CHARGES: ("natoms", 3, 3), UNCERTAINTY: ("natoms",)}


def register() -> None:
    """Add the names to ASE's properties and ``get_property`` to its Atoms; repeatable."""
    for name, shape in SHAPES.items():
        all_outputs.setdefault(name, ArrayProperty(name, float, shape))
        if name not in all_properties:
            all_properties.append(name)
    # Extended XYZ has no columns for tensors. Files with Z* as nine columns per atom are common,
    # and their readers look for them in atoms.arrays, where ASE would no longer put them.
    ase.io.extxyz.all_properties = [name for name in all_properties if name != BORN_CHARGES]
    if not hasattr(Atoms, "get_property"):
        Atoms.get_property = get_property


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
