"""Metals have neither Z* nor a finite ε∞: refused by composition, or noticed by the sum rule.

Neither is a proof. A metallic oxide or carbide whose raw Z* happen to sum to zero passes both.
"""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.structures.formula import empirical_formula
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

VIOLATION_OF_METALS = 0.15  # |e| per atom; of the validation crystals, 2 % are beyond


def refuse_metal(atoms: Atoms) -> None:
    """Refuse a crystal whose composition is that of a metal: no element is an anion in it.

    Of the 2906 crystals with a gap in the data of the bundled models, 9 would be refused.

    Raises
    ------
    ValueError
        Saying so.
    """
    symbols = frozenset(atoms.symbols)
    if not (symbols and atoms.pbc.all()):
        return
    if len(symbols) == 1:
        insulates = symbols <= ELEMENTAL_INSULATORS
    else:
        insulates = bool(symbols & ANION_FORMERS) or any(
            symbols & partners
            for former, partners in ANION_FORMERS_WITH.items()
            if former in symbols
        )
    if not insulates:
        raise ValueError(
            f"{empirical_formula(atoms)} is made of metals only: Z* and "
            "a finite ε∞ do not exist in a metal. If it has a gap all the same, take them from a "
            "first-principles calculation: as (born_charges, dielectric_tensor), or in a "
            "phonopy.yaml"
        )


def violation_per_atom(calc: object, atoms: Atoms, born_charges: NDArray[np.float64]) -> float:
    """Return how far Z* miss the sum rule, for a calculator that corrects them before that.

    Parameters
    ----------
    calc : ase calculator, or another source of Z*
        That gave the charges just now; its ``diagnostics`` are asked, if it has any.
    atoms : ase.Atoms
    born_charges : ndarray, shape (N, 3, 3)
        As `calc` gave them, |e|.

    Returns
    -------
    float
        |e| per atom: the largest singular value of Σ Z*, whatever the orientation of the crystal.
    """
    diagnostics = getattr(calc, "diagnostics", None)
    excess = violation(born_charges)[0] if diagnostics is None else diagnostics.sum_rule_violation
    return largest_per_atom(excess, len(atoms))


def warn_if_like_a_metal(atoms: Atoms, per_atom: float) -> None:
    """Warn where the raw Z* miss the sum rule by more than 0.15 e per atom.

    The bundled model misses it by up to 0.03 e in good salts, and by 0.2 to 0.4 e in NbC, TiC, ZrN,
    TiO and TiN; but by 0.13 e and less in MgB2 and ReO3, which pass.

    Parameters
    ----------
    atoms : ase.Atoms
    per_atom : float
        From `violation_per_atom`.
    """
    if per_atom > VIOLATION_OF_METALS:
        warnings.warn(
            f"{empirical_formula(atoms)} may be a metal, or unlike "
            "anything in the training data: its raw Z* break the sum rule by "
            f"{per_atom:.2f} e per atom. A metal has no Z* and no finite ε∞",
            MetalWarning,
            stacklevel=2,
        )
