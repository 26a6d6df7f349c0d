"""Metals have neither Z* nor a finite ε∞: refused by composition, or warned about by signs.

The signs are electrons that no anion can take, and very uncertain Z*; where a model states no
uncertainty, a large ε∞ and raw Z* that break the sum rule. None is a proof: some metals, such as
MgB2, show none of them.
"""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.structures.formula import empirical_formula
from ase_equivar.structures.vacuum import describe_vacuum
from ase_equivar.structures.valence import (
    has_odd_electrons,
    is_interstitial_carbide,
    surplus_electrons,
    surplus_neighbors,
)
from ase_equivar.sum_rule import largest_per_atom, violation
from ase_equivar.warning_types import MetalWarning

# fmt: off
ELEMENTAL_INSULATORS = frozenset({
    "H", "He", "Ne", "Ar", "Kr", "Xe", "B", "C", "Si", "Ge", "N", "P", "As", "O", "S", "Se", "Te",
    "F", "Cl", "Br", "I",
})
ANION_FORMERS = ELEMENTAL_INSULATORS | {"Sb"}
"""Elements of which a semiconductor has at least one, with few exceptions."""

MOST_ELECTROPOSITIVE = frozenset({"Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba"})
ELECTROPOSITIVE = MOST_ELECTROPOSITIVE | {
    "Sc", "Y", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb",
    "Lu", "Ti", "Zr", "Hf", "V", "Nb", "Ta",
}
ANION_FORMERS_WITH = {
    "Sn": ELECTROPOSITIVE, "Bi": ELECTROPOSITIVE,
    "Pb": MOST_ELECTROPOSITIVE, "Au": MOST_ELECTROPOSITIVE,
}
"""Metals that are anions beside such elements, as in CsAu, Mg2Pb or TiNiSn, and alloys else."""
# fmt: on

VIOLATION_OF_METALS = 0.15  # |e| per atom; 2 % of the validation crystals exceed this
SURPLUS_OF_METALS = 0.1  # electrons per atom; one vacancy in 20 atoms does not make a metal
SURPLUS_NEIGHBORS_OF_METALS = 1.0
LARGE_DIELECTRIC = 25.0
LARGE_DIELECTRIC_OF_SALTS = 10.0
"""Mean of ε∞: that of oxides, fluorides, chlorides and bromides, and of others above. Of the
validation crystals, 1 % are beyond (``benchmarks/metal_alarm.py``)."""
UNCERTAINTY_OF_METALS = 0.7
"""|e|, the largest of the atoms, of a model that states it. It takes the place of the two limits
above, which finds more metals with as many wrong alarms: large ε∞ are nothing strange in
tellurides, nor raw Z* that break the sum rule a little (``benchmarks/metal_alarm.py``)."""
SALT_FORMERS = frozenset({"O", "F", "Cl", "Br"})


def refuse_metal(atoms: Atoms) -> None:
    """Refuse a crystal whose composition is that of a metal: none of its elements forms anions.

    Of the 2906 crystals with a gap in the data of the bundled models, 9 would be refused.

    Raises
    ------
    ValueError
        If the composition is that of a metal.
    """
    if _is_made_of_metals(atoms):
        raise ValueError(
            f"{empirical_formula(atoms)} is made of metals only: Z* and a finite ε∞ do not exist "
            "in a metal. If it has a gap nevertheless, take them from a first-principles "
            "calculation: as (born_charges, dielectric_tensor), or in a phonopy.yaml"
        )


def _is_made_of_metals(atoms: Atoms) -> bool:
    symbols = frozenset(atoms.symbols)
    if not (symbols and atoms.pbc.all()) or "X" in symbols:  # a dummy, which the model refuses
        return False
    if len(symbols) == 1:
        return not symbols <= ELEMENTAL_INSULATORS
    return not (
        symbols & ANION_FORMERS
        or any(
            symbols & partners
            for former, partners in ANION_FORMERS_WITH.items()
            if former in symbols
        )
    )


def signs_of_a_metal_in_structure(atoms: Atoms, total_charge: float = 0.0) -> list[str]:
    """Return the signs of a metal in the structure of a crystal, as parts of a sentence.

    Parameters
    ----------
    atoms : ase.Atoms
        Molecules and cells with vacuum are not judged.
    total_charge : float
        Charge of the cell, |e|.
    """
    if not atoms.pbc.all() or describe_vacuum(atoms) is not None:
        return []
    return signs_of_a_metal_in_crystal(atoms, total_charge)


def signs_of_a_metal_in_crystal(atoms: Atoms, total_charge: float = 0.0) -> list[str]:
    """Return what `signs_of_a_metal_in_structure` does for a crystal known to have no vacuum."""
    if _is_made_of_metals(atoms):
        return ["no element in it is an anion"]
    neighbors = surplus_neighbors(atoms)
    if neighbors > SURPLUS_NEIGHBORS_OF_METALS:
        return [f"its atoms have {neighbors:.1f} close neighbors more than they can make bonds"]
    surplus = surplus_electrons(atoms, total_charge)
    if surplus > SURPLUS_OF_METALS:
        return [
            f"its metals give away {surplus:.2f} electrons per atom more than its anions can take"
        ]
    if is_interstitial_carbide(atoms):
        return ["it is a carbide of a transition metal"]
    if has_odd_electrons(atoms, total_charge):
        return ["its primitive cell has an odd number of electrons"]
    return []


def signs_of_a_metal_in_response(
    atoms: Atoms,
    per_atom: float,
    dielectric_tensor: NDArray[np.float64] | None,
    largest_uncertainty: float | None = None,
) -> list[str]:
    """Return the signs of a metal in Z* and ε∞, as parts of a sentence.

    Parameters
    ----------
    atoms : ase.Atoms
    per_atom : float
        Violation of the sum rule by raw Z*, |e| per atom; see `sum_rule.largest_per_atom`.
    dielectric_tensor : ndarray or None, shape (3, 3)
        ε∞, if it is known.
    largest_uncertainty : float, optional
        Of an atom's Z*, |e|, of a model that states it; it alone counts then.
    """
    if largest_uncertainty is not None:
        if largest_uncertainty <= UNCERTAINTY_OF_METALS:
            return []
        return [f"the expected error of its Z* is up to {largest_uncertainty:.2f} e"]
    signs = []
    if per_atom > VIOLATION_OF_METALS:
        signs.append(f"its raw Z* break the sum rule by {per_atom:.2f} e per atom")
    if dielectric_tensor is not None:
        mean = float(np.trace(dielectric_tensor)) / 3
        is_salt = not SALT_FORMERS.isdisjoint(atoms.symbols)
        if mean > (LARGE_DIELECTRIC_OF_SALTS if is_salt else LARGE_DIELECTRIC):
            signs.append(f"its ε∞ is {mean:.1f}")
    return signs


def describe_metal(atoms: Atoms, signs: list[str]) -> str:
    """Return a message with the signs of a metal."""
    return (
        f"{empirical_formula(atoms)} may be a metal, or unlike anything in the training data: "
        f"{'; '.join(signs)}. A metal has no Z* and no finite ε∞"
    )


def violation_per_atom(calc: object, atoms: Atoms, born_charges: NDArray[np.float64]) -> float:
    """Return the violation of the sum rule by Z*, before the correction that a calculator applies.

    Parameters
    ----------
    calc : ase calculator, or another source of Z*
        The source of these charges; its ``diagnostics`` are used, if it has any.
    atoms : ase.Atoms
    born_charges : ndarray, shape (N, 3, 3)
        As returned by `calc`, |e|.

    Returns
    -------
    float
        |e| per atom: the largest singular value of Σ Z*, which does not depend on the orientation
        of the crystal.
    """
    diagnostics = getattr(calc, "diagnostics", None)
    excess = violation(born_charges)[0] if diagnostics is None else diagnostics.sum_rule_violation
    return largest_per_atom(excess, len(atoms))


def warn_if_like_a_metal(
    source: object,
    atoms: Atoms,
    per_atom: float,
    dielectric_tensor: NDArray[np.float64] | None = None,
) -> None:
    """Warn of signs of a metal, once per call.

    A source with ``diagnostics``, such as `EquivarCalculator`, warns itself, once per crystal.

    Parameters
    ----------
    source : ase calculator, or another source of Z*
    atoms, per_atom, dielectric_tensor
        See `signs_of_a_metal_in_response`; `per_atom` is from `violation_per_atom`.
    """
    if hasattr(source, "diagnostics"):
        return
    signs = [
        *signs_of_a_metal_in_structure(atoms),
        *signs_of_a_metal_in_response(atoms, per_atom, dielectric_tensor),
    ]
    if signs:
        warnings.warn(describe_metal(atoms, signs), MetalWarning, stacklevel=2)
