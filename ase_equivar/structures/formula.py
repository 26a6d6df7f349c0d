"""Chemical formulas as chemists write them: SiO2, where ASE's order by the alphabet has O2Si."""

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
    """Return the smallest formula: metals by the alphabet, then the others, oxygen near the end.

    Parameters
    ----------
    atoms : ase.Atoms
        "SiO2" for three atoms of quartz and for nine.
    """
    reduced, _ = Formula(atoms.get_chemical_formula()).reduce()
    counts = reduced.count()
    rank = {symbol: place for place, symbol in enumerate(NONMETALS)}
    order = sorted(counts, key=lambda symbol: (rank.get(symbol, -1), symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order)
