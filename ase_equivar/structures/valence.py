"""Test whether a crystal has more electrons than its bonds and anions can hold, as metals have.

Both counts need only the structure. In an insulator the electrons that the metals donate at least
do not exceed what its anions can accept, and bands are filled by pairs of electrons unless ions are
magnetic. Neither count proves a metal or a gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import gcd

from ase import Atoms
from ase.data import covalent_radii

from ase_equivar.structures.lattice import compact_atoms
from ase_equivar.structures.translations import find_translations

# fmt: off
_TAKES = {
    1: "H F Cl Br I Au B",
    2: "O S Se Te",
    3: "N P As Sb Bi",
    4: "C Si Ge Sn Pb",
}
"""Electrons that fill the shell of an atom; of B, those that make it like carbon, as in MgB2."""

_GIVES = {
    1: "Li Na K Rb Cs Cu Ag",
    2: "Be Mg Ca Sr Ba Zn Cd Sm Eu Tm Yb",
    3: "Sc Y La Ce Pr Nd Pm Gd Tb Dy Ho Er Lu Th U",
    4: "Ti Zr Hf",
    5: "V Nb Ta",
    -1: "Al Ga In Tl Co Rh Ir",
    -2: "Fe Ru Os Pt",
}
"""Electrons that an atom gives away at least: 0 of the others. The d shell of groups 3 to 5 is
empty in a semiconductor and that of groups 8 to 11 may be filled, as in half-Heusler compounds."""

_GIVES_TO_HALOGENS = {
    "Ti": 2, "V": 2, "Cr": 2, "Mn": 2, "Fe": 2, "Co": 2, "Ni": 2, "Nb": 3, "Mo": 2, "Tc": 3,
    "Ta": 3, "W": 2, "Re": 3,
}
_GIVES_TO_OXYGEN = {**_GIVES_TO_HALOGENS, "Ti": 3, "V": 3, "Nb": 4}
_GIVES_TO_CHALCOGENS = {"Ti": 3, "V": 3, "Nb": 3, "Ta": 3}

_HALOGENS = frozenset({"F", "Cl", "Br", "I"})
_CHALCOGENS = frozenset({"S", "Se", "Te"})
_F_SHELL = frozenset({
    "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb",
    "Pa", "U", "Np", "Pu",
})
_3D = frozenset({"Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"})
_4D_5D = frozenset({
    "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au",
})
# fmt: on
_BONDS = {
    symbol: 8 - group
    for group, symbols in {4: "C Si Ge", 5: "N P As", 6: "O S Se Te", 7: "F Cl Br I"}.items()
    for symbol in symbols.split()
}
_BOND_LENGTH = 1.2  # of the longest bond, in covalent diameters
_TRANSITION = _3D | _4D_5D | _F_SHELL | {"Sc", "Y", "La", "Lu", "Th"}
_CARBIDE_FORMERS = frozenset({"C", "Si", "Ge", "B"})

_MAX_ATOMS = 30
"""Of a primitive cell whose electrons are counted: one defect in a larger one makes no metal."""
_MAX_SEARCHED = 200
"""Atoms of a cell in which a smaller one is looked for: a large supercell is mostly an MD's."""
_TOLERANCE = 0.01  # Å


def surplus_electrons(atoms: Atoms, total_charge: float = 0.0) -> float:
    """Return the electrons per atom that the metals donate beyond what the anions can accept.

    Parameters
    ----------
    atoms : ase.Atoms
    total_charge : float
        Charge of the cell, |e|.

    Returns
    -------
    float
        0 or less if all electrons fit into bonds and filled shells.
    """
    counts = Counter(atoms.get_chemical_symbols())
    gives = {symbol: n for n, symbols in _GIVES.items() for symbol in symbols.split()}
    gives |= _given_to_anions(counts)
    takes = {symbol: n for n, symbols in _TAKES.items() for symbol in symbols.split()}
    surplus = -total_charge
    for symbol, count in counts.items():
        surplus += count * (-takes[symbol] if symbol in takes else gives.get(symbol, 0))
    return surplus / len(atoms)


def _given_to_anions(symbols: Mapping[str, int]) -> dict[str, int]:
    if symbols.keys() & _HALOGENS:
        return _GIVES_TO_HALOGENS
    if "O" in symbols:
        return _GIVES_TO_OXYGEN
    return _GIVES_TO_CHALCOGENS if symbols.keys() & _CHALCOGENS else {}


def has_odd_electrons(atoms: Atoms, total_charge: float = 0.0) -> bool:
    """Whether a primitive cell has an odd number of electrons and no ion that is often magnetic.

    Often magnetic are 4f and 5f ions, 3d ions in the presence of N, O, S, Se, Te or halogens, and
    4d and 5d ions in the presence of halogens. Only primitive cells of up to 30 atoms are tested.

    Parameters
    ----------
    atoms : ase.Atoms
        A crystal.
    total_charge : float
        Of the cell, |e|; one that is no whole number says nothing about electrons.
    """
    symbols = set(atoms.symbols)
    with_halogen = not symbols.isdisjoint(_HALOGENS)
    with_others = not symbols.isdisjoint(_CHALCOGENS | {"N", "O"})
    if (
        symbols & _F_SHELL
        or (symbols & _3D and (with_halogen or with_others))
        or (symbols & _4D_5D and with_halogen)
    ):
        return False
    counts = Counter(atoms.numbers.tolist())
    if total_charge == 0 and atoms.numbers.sum() // gcd(*counts.values()) % 2 == 0:
        return False  # no cell of whole formula units has an odd number
    copies = _count_translations(atoms)
    n_electrons = (float(atoms.numbers.sum()) - total_charge) / copies
    return len(atoms) <= _MAX_ATOMS * copies and n_electrons % 2 == 1


def _count_translations(atoms: Atoms) -> int:
    """Count the primitive cells in a cell; 1 for large cells, which are mostly from MD."""
    if len(atoms) > _MAX_SEARCHED:
        return 1
    return len(find_translations(compact_atoms(atoms), _TOLERANCE).shifts)


def surplus_neighbors(atoms: Atoms) -> float:
    """Return the mean number of close neighbors in an element beyond its number of bonds.

    A nonmetallic element of group N forms 8 − N bonds (8 − N rule of Hume-Rothery): 4 in diamond
    and silicon, whereas silicon under pressure or molten has 6 neighbors and is a metal.

    Parameters
    ----------
    atoms : ase.Atoms

    Returns
    -------
    float
        0 for compounds, and for elements to which the rule does not apply.
    """
    symbols = set(atoms.symbols)
    bonds = _BONDS.get(symbols.pop()) if len(symbols) == 1 else None
    if bonds is None:
        return 0.0
    from ase.neighborlist import neighbor_list  # imports half of SciPy

    reach = _BOND_LENGTH * 2 * covalent_radii[atoms.numbers[0]]
    return len(neighbor_list("i", atoms, reach)) / len(atoms) - bonds


def is_interstitial_carbide(atoms: Atoms) -> bool:
    """Whether this is a transition-metal carbide without other anions, such as TiC or Ti3SiC2."""
    symbols = set(atoms.symbols)
    takers = {symbol for group in _TAKES.values() for symbol in group.split()}
    return bool("C" in symbols and symbols & _TRANSITION and symbols & takers <= _CARBIDE_FORMERS)
