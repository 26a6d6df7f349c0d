"""Make ``born_charges``, ``born_charges_uncertainty`` and another property known to ASE.

ASE has a list of the names that calculators may return; results of other names are dropped by
its file formats and refused by ``Atoms.get_properties``. ASE's own name for Z* is
``born_effective_charges``; ``born_charges`` is the short one. The other property is
``piezoelectric_tensor_clamped``. Importing `ase_equivar` calls `register`, which is all the global
state that the package has.

Trajectories (``.traj``) and JSON files and databases keep Z* then. ASE's SQLite databases (``.db``)
have columns for a few properties only, neither of the two names among them: write
``db.write(atoms, data={"born_charges": charges})`` there. ASE's writer of extended XYZ, which fails
for tensors of atoms (3.29), is made to write Z* as nine columns ``born_charges``, field first. The
module of that writer is changed when it is first imported: `ase.io` imports half of SciPy.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.outputs import ArrayProperty, all_outputs

from ase_equivar.warning_types import InputWarning

BORN_CHARGES = "born_charges"
EFFECTIVE_CHARGES = "born_effective_charges"  # the name in ASE
DIELECTRIC_TENSOR = "dielectric_tensor"
UNCERTAINTY = "born_charges_uncertainty"
FIELD_FORCES = "field_forces"  # of runs in a field, whose files hold the Z* that they used
CLAMPED_PIEZO = "piezoelectric_tensor_clamped"
EXTXYZ = "ase.io.extxyz"
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
    extxyz = sys.modules.get(EXTXYZ)
    if extxyz is not None:
        _adapt_extxyz(extxyz)
    elif not any(isinstance(finder, _ExtxyzFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ExtxyzFinder())
    if not hasattr(Atoms, "get_property"):
        Atoms.get_property = get_property


class _ExtxyzFinder:
    """Finds ASE's module of extended XYZ where the other finders do, and changes it once loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the other finders' specification; None for any other module."""
        if name != EXTXYZ:
            return None
        others = [getattr(one, "find_spec", None) for one in sys.meta_path if one is not self]
        found = (find_spec(name, path, target) for find_spec in others if find_spec is not None)
        spec: ModuleSpec | None = next((one for one in found if one is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _ExtxyzLoader(spec.loader)
        return spec


class _ExtxyzLoader(Loader):
    """Loads one module as another loader does, which may load others too, and then changes it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the other loader returns."""
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """Load the module, which then looks as if the other loader had done it alone."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _adapt_extxyz(module)


def _adapt_extxyz(extxyz: Any) -> None:
    """Make ASE's module of extended XYZ read and write the properties; repeatable."""
    if CLAMPED_PIEZO not in extxyz.per_config_properties:
        extxyz.per_config_properties.append(CLAMPED_PIEZO)
    # Extended XYZ has no columns for tensors. Files with Z* as nine columns per atom are common,
    # and their readers look for them in atoms.arrays, where ASE would no longer put them.
    extxyz.all_properties = [name for name in all_properties if name != BORN_CHARGES]
    # the module lists all properties that it knows when it is loaded
    ours = [name for name in (BORN_CHARGES, UNCERTAINTY) if name in extxyz.per_atom_properties]
    for name in ours:
        extxyz.per_atom_properties.remove(name)
    if not hasattr(extxyz.save_calc_results, "__wrapped__"):
        extxyz.save_calc_results = _with_columns(extxyz.save_calc_results)
        extxyz.set_calc_and_arrays = _with_tensors(extxyz.set_calc_and_arrays)


def _with_columns(save_results: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ASE's function that turns results into columns, which is at a loss with tensors."""

    @functools.wraps(save_results)
    def save_with_columns(
        atoms: Atoms, calc: Any = None, calc_prefix: str | None = None, *args: Any, **more: Any
    ) -> Any:
        used = atoms.calc if calc is None else calc
        if _belong_to_another(used, atoms):
            warnings.warn(
                f"the calculator of {atoms.get_chemical_formula()} holds results of another "
                "structure, none of which are written: a calculator keeps those of its latest "
                "structure. Give each its own, or calculate before you write",
                InputWarning,
                stacklevel=3,
            )
            return None
        found = save_results(atoms, calc, calc_prefix, *args, **more)
        if used is None:
            return found
        prefix = f"{type(used).__name__}_" if calc_prefix is None else calc_prefix
        charges = atoms.arrays.pop(prefix + EFFECTIVE_CHARGES, used.results.get(BORN_CHARGES))
        if charges is not None and np.size(charges) == 9 * len(atoms):
            # labels that the structure came with stay what they are
            labels = atoms.arrays.get(prefix + BORN_CHARGES)
            rows = np.reshape(charges, (len(atoms), 9))
            name = BORN_CHARGES if labels is None else EFFECTIVE_CHARGES
            if not np.array_equal(rows, labels):
                atoms.arrays[prefix + name] = rows
        if UNCERTAINTY in used.results:
            atoms.arrays.setdefault(prefix + UNCERTAINTY, used.results[UNCERTAINTY])
        return found

    return save_with_columns


def _with_tensors(set_results: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ASE's function that turns columns into results, so that Z* are tensors again."""

    @functools.wraps(set_results)
    def set_with_tensors(atoms: Atoms, *args: Any, **more: Any) -> Any:
        found = set_results(atoms, *args, **more)
        results: dict[str, Any] = {} if atoms.calc is None else atoms.calc.results
        charges = results.get(EFFECTIVE_CHARGES)
        if charges is not None and np.shape(charges) == (len(atoms), 9):
            results[EFFECTIVE_CHARGES] = charges.reshape(-1, 3, 3)
        return found

    return set_with_tensors


def _belong_to_another(calculator: Any, atoms: Atoms) -> bool:
    """Whether results with tensors of this package are not those of `atoms` as it stands.

    ASE would write them all the same.
    """
    ours = {BORN_CHARGES, EFFECTIVE_CHARGES, UNCERTAINTY, CLAMPED_PIEZO}
    if not ours & set(getattr(calculator, "results", ())):
        return False
    known = getattr(calculator, "atoms", None)  # None: results that were put there by hand
    return (
        known is not None
        and hasattr(calculator, "check_state")
        and bool(calculator.check_state(atoms))
    )


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
