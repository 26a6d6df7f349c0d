"""Chemical formulas in conventional order: SiO2, where ASE's alphabetical order gives O2Si."""

from __future__ import annotations

from collections import Counter
from math import gcd

from ase import Atoms
from ase.data import chemical_symbols

# fmt: off
NONMETALS = (
    "Rn", "Xe", "Kr", "Ar", "Ne", "He", "B", "Si", "C", "Sb", "As", "P", "N", "H", "Te", "Se", "S",
    "At", "I", "Br", "Cl", "O", "F",
)
# fmt: on
"""In the order of a formula: that of IUPAC's Red Book (2005), Table VI."""
_RANK = {symbol: place for place, symbol in enumerate(NONMETALS)}


def empirical_formula(atoms: Atoms) -> str:
    """Return the empirical formula: metals alphabetically, then nonmetals, oxygen near the end.

    Parameters
    ----------
    atoms : ase.Atoms
        For example, "SiO2" for three or nine atoms of quartz.
    """
    counts = Counter(atoms.numbers.tolist())
    n_units = gcd(*counts.values())
    units = {chemical_symbols[number]: count // n_units for number, count in counts.items()}
    order = sorted(units, key=lambda symbol: (_RANK.get(symbol, -1), symbol))
    return "".join(f"{symbol}{units[symbol] if units[symbol] > 1 else ''}" for symbol in order)
