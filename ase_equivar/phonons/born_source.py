"""Sources of Z* and ε∞ for a Phonopy object, and their assignment to its atoms."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import get_atom_order

from ase_equivar.arguments import LARGEST_CHARGE, dielectric_array, finite_real, refuse_class
from ase_equivar.calculated_property import calculated_property
from ase_equivar.charge_source import read_charges
from ase_equivar.phonons.cells import to_ase, to_phonopy
from ase_equivar.phonons.electronic_correction import Corrected, corrected_dielectric
from ase_equivar.structures.lattice import compact_atoms
from ase_equivar.structures.metals import refuse_metal, violation_per_atom, warn_if_like_a_metal

Source: TypeAlias = BaseCalculator | Atoms | tuple[ArrayLike, ArrayLike]
"""What gives Z* and ε∞: a calculator, Atoms with one, or (born_charges, dielectric_tensor)."""

LARGEST_INDEX = 10.0  # larger values mean a metal
EPSILON = "the dielectric tensor"  # name in messages
METALLIC = 100.0  # no insulator has a larger ε∞


def given_dielectric(
    dielectric_tensor: ArrayLike | None, refractive_index: ArrayLike | None
) -> NDArray[np.float64] | Corrected | None:
    """Return the given ε∞ as a tensor, "corrected", or None for that of the source.

    Parameters
    ----------
    dielectric_tensor : array_like or "corrected", optional
        ε∞: a number, three (diagonal), nine, or shape (3, 3).
    refractive_index : array_like, optional
        n far above the vibrations and below the gap, where ε∞ = n²: a number, or three along x, y
        and z.

    Raises
    ------
    ValueError
        If both are given, or a value is unphysical.
    """
    if refractive_index is None:
        if dielectric_tensor is None:
            return None
        if isinstance(dielectric_tensor, str):
            if dielectric_tensor != "corrected":
                raise ValueError(
                    f'dielectric_tensor is {dielectric_tensor!r}; give numbers, or "corrected"'
                )
            return "corrected"
        return dielectric_array("dielectric_tensor", full_tensor(dielectric_tensor))
    if dielectric_tensor is not None:
        raise ValueError("give dielectric_tensor or refractive_index, not both")
    index = finite_real("refractive_index", refractive_index, None, largest=LARGEST_INDEX)
    if index.shape not in ((), (1,), (3,)):
        raise ValueError(
            f"refractive_index has shape {index.shape}; give a number, or three along x, y and z"
        )
    if (index < 1).any():
        raise ValueError(f"refractive_index is {refractive_index!r}; give 1 or more")
    return dielectric_array("the square of refractive_index", full_tensor(index**2))


def full_tensor(value: ArrayLike) -> NDArray[np.float64]:
    """Return a tensor, shape (3, 3), from one number, three of a diagonal, or nine."""
    given = finite_real("dielectric_tensor", value, None)
    if given.shape in ((), (1,)):
        return np.eye(3) * given
    if given.shape == (3,):
        return np.diag(given)
    return given.reshape(3, 3) if given.shape == (9,) else given


def read_source(
    phonon: Phonopy, source: Source, dielectric_tensor: NDArray[np.float64] | Corrected | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return Z* and ε∞ as given, and the cell to whose atoms Z* belong.

    Parameters
    ----------
    phonon, source
        See `ase_equivar.phonons.nac_params`.
    dielectric_tensor : ndarray, "corrected" or None
        As `given_dielectric` returns it.

    Returns
    -------
    born_charges : ndarray, shape (N, 3, 3)
        In the atom order of that cell, |e|.
    dielectric_tensor : ndarray
        ε∞, symmetric.
    of_unit_cell : bool
        True if they belong to the unit cell, False if to the primitive cell.

    Raises
    ------
    ValueError
        If the source fits neither cell, lacks a required quantity, or holds unphysical values.
    ase.calculators.calculator.PropertyNotImplementedError
        If a calculator does not provide Z*.
    TypeError
        If it is none of the three kinds of source.
    """
    if isinstance(source, tuple):
        if len(source) != 2:
            raise ValueError(
                f"expected (born_charges, dielectric_tensor), got a tuple of {len(source)}"
            )
        born = finite_real(
            "the array of Born effective charges",
            source[0],
            None,
            unit="|e|",
            largest=LARGEST_CHARGE,
        )
        if isinstance(dielectric_tensor, np.ndarray):
            dielectric = dielectric_array(EPSILON, dielectric_tensor)
        else:
            dielectric = _as_asked(dielectric_array(EPSILON, source[1]), dielectric_tensor)
        return born, dielectric, _is_of_unit_cell(phonon, born)
    if isinstance(source, Atoms):
        if source.calc is None:
            raise ValueError("the Atoms given as source of Z* have no calculator")
        born, dielectric = calculate_response(source, source.calc, dielectric_tensor)
        order, of_unit_cell = _match(phonon, source)
        return born[order], dielectric, of_unit_cell
    refuse_class("source", source)
    if not isinstance(source, BaseCalculator):
        raise TypeError(
            "Z* must come from an ASE calculator, Atoms with one, or a tuple (born_charges, "
            f"dielectric_tensor), not from a {type(source).__name__}"
        )
    born, dielectric = calculate_response(to_ase(phonon.primitive), source, dielectric_tensor)
    return born, dielectric, False


def check_crystal(atoms: Atoms, calc: BaseCalculator) -> None:
    """Refuse a calculator for charged cells, and a crystal made of metals only.

    Raises
    ------
    ValueError
        Saying so.
    """
    if charge := getattr(calc, "total_charge", 0):
        raise ValueError(
            f"the calculator has total_charge={charge}: the non-analytical correction needs a "
            "neutral cell"
        )
    refuse_metal(atoms)


def calculate_response(
    atoms: Atoms,
    calc: BaseCalculator,
    dielectric_tensor: NDArray[np.float64] | Corrected | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Z*, shape (N, 3, 3), and ε∞, shape (3, 3), of a crystal; errors as `read_source`."""
    check_crystal(atoms, calc)
    born = read_charges(calc)(atoms)
    per_atom = violation_per_atom(calc, atoms, born)
    if isinstance(dielectric_tensor, np.ndarray):
        warn_if_like_a_metal(calc, atoms, per_atom)
        return born, dielectric_array(EPSILON, dielectric_tensor)
    dielectric = _property(calc, "dielectric_tensor", atoms)
    if dielectric is None:
        raise ValueError(
            f"{_name(calc)} does not provide dielectric_tensor (ε∞): pass it as dielectric_tensor="
        )
    electronic = dielectric_array(f"{EPSILON} of {_name(calc)}", dielectric)
    warn_if_like_a_metal(calc, atoms, per_atom, electronic)
    return born, _as_asked(electronic, dielectric_tensor)


def _as_asked(electronic: NDArray[np.float64], correction: Corrected | None) -> NDArray[np.float64]:
    if correction is None:
        return electronic
    refuse_metallic(electronic)  # corrected, it may pass
    return corrected_dielectric(electronic)


def _property(calc: BaseCalculator, name: str, atoms: Atoms) -> NDArray[np.float64] | None:
    if name not in calc.implemented_properties and name not in getattr(calc, "results", {}):
        return None
    try:
        value = calculated_property(calc, name, atoms)
    except PropertyNotImplementedError:
        return None
    if value is None:
        return None
    return finite_real(f"{name} of {_name(calc)}", value, None, largest=LARGEST_CHARGE)


def _name(calc: BaseCalculator) -> str:
    return type(calc).__name__


def _is_of_unit_cell(phonon: Phonopy, born: NDArray[np.float64]) -> bool:
    n_unit, n_primitive = len(phonon.unitcell), len(phonon.primitive)
    if born.shape == (n_unit, 3, 3) and n_unit == n_primitive:
        if not np.array_equal(unit_cell_atoms_of_primitive(phonon), np.arange(n_unit)):
            raise ValueError(
                f"unit cell and primitive cell both have {n_unit} atoms but in different order, so "
                "an array of charges is ambiguous: give Atoms with a calculator that holds them"
            )
        return False
    if born.shape not in ((n_unit, 3, 3), (n_primitive, 3, 3)):
        raise ValueError(
            f"born_charges of shape {born.shape} fit neither the unit cell ({n_unit} atoms) nor "
            f"the primitive cell ({n_primitive} atoms): expected ({n_unit}, 3, 3) or "
            f"({n_primitive}, 3, 3)"
        )
    return len(born) == n_unit


def _match(phonon: Phonopy, atoms: Atoms) -> tuple[list[int], bool]:
    given = _without_masses(atoms)
    tolerance = phonon.symmetry.tolerance
    for cell, of_unit_cell in ((phonon.unitcell, True), (phonon.primitive, False)):
        order = get_atom_order(given, _without_masses(to_ase(cell)), atol=tolerance)
        if order is not None:
            return order, of_unit_cell
    raise ValueError(
        f"the Atoms with Z* ({len(atoms)} atoms) match neither the unit cell "
        f"({len(phonon.unitcell)} atoms) nor the primitive cell ({len(phonon.primitive)} atoms) of "
        f"the Phonopy object: cells, species and positions must agree within {tolerance} Å"
    )


def _without_masses(atoms: Atoms) -> PhonopyAtoms:
    """Return phonopy's cell; isotopes have the same Z*, and very skewed cells are not kept."""
    plain = compact_atoms(atoms).copy()
    plain.set_masses()
    return to_phonopy(plain)


def unit_cell_atoms_of_primitive(phonon: Phonopy) -> NDArray[np.int64]:
    """Return for each atom of the primitive cell an equivalent atom of the unit cell.

    Returns
    -------
    ndarray, shape (primitive atoms,)
    """
    supercell = phonon.supercell
    return np.array([supercell.u2u_map[s] for s in supercell.s2u_map[phonon.primitive.p2s_map]])


def refuse_metallic(dielectric: NDArray[np.float64]) -> None:
    """Refuse an ε∞ that is that of a metal.

    Raises
    ------
    ValueError
        Saying so.
    """
    highest = float(np.linalg.eigvalsh(dielectric)[-1])
    if highest > METALLIC:
        raise ValueError(
            f"ε∞ up to {highest:.0f} is that of a metal or of a vanishing gap, where Z* and the "
            "non-analytical correction have no meaning"
        )
