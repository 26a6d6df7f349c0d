"""Chemical formulas in conventional order: SiO2, where ASE's alphabetical order gives O2Si."""

from __future__ import annotations

from ase import Atoms
from ase.formula import Formula

# fmt: off
NONMETALS = (
    "Rn", "Xe", "Kr", "Ar", "Ne", "He", "B", "Si", "C", "Sb", "As", "P", "N", "H", "Te", "Se", "S",
    "At", "I", "Br", "Cl", "O", "F",
)
# fmt: on
"""In the order of a formula: that of IUPAC's Red Book (2005), Table VI."""


def empirical_formula(atoms: Atoms) -> str:
    """Return the empirical formula: metals alphabetically, then nonmetals, oxygen near the end.

    Parameters
    ----------
    atoms : ase.Atoms
        For example, "SiO2" for three or nine atoms of quartz.
    """
    reduced, _ = Formula(atoms.get_chemical_formula()).reduce()
    counts = reduced.count()
    rank = {symbol: place for place, symbol in enumerate(NONMETALS)}
    order = sorted(counts, key=lambda symbol: (rank.get(symbol, -1), symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order)
