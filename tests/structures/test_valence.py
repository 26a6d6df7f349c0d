"""Electrons that no anion can take: the sign of a metal that needs the structure only."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.spacegroup import crystal
from helpers.structures import triclinic

from ase_equivar.structures.metals import signs_of_a_metal_in_structure
from ase_equivar.structures.valence import has_odd_electrons


def rock_salt(formula: str) -> Atoms:
    return bulk(formula, "rocksalt", a=4.6)


def perovskite(*symbols: str) -> Atoms:
    sites = [(0.5, 0.5, 0.5), (0, 0, 0), (0.5, 0, 0)]
    return crystal(symbols, sites, spacegroup=221, cellpar=[3.9] * 3 + [90] * 3)


def half_heusler(*symbols: str) -> Atoms:
    sites = [(0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5)]
    return crystal(
        symbols, sites, spacegroup=216, cellpar=[6.0] * 3 + [90] * 3, primitive_cell=True
    )


def diboride(symbol: str) -> Atoms:
    sites = [(0, 0, 0), (1 / 3, 2 / 3, 0.5)]
    return crystal([symbol, "B"], sites, spacegroup=191, cellpar=[3.1, 3.1, 3.3, 90, 90, 120])


SELENIUM = crystal(
    "Se", [(0.225, 0, 1 / 3)], spacegroup=152, cellpar=[4.37, 4.37, 4.95, 90, 90, 120]
)


@pytest.mark.parametrize(
    ("atoms", "sign"),
    [
        (rock_salt("NbC"), "give away 0.50 electrons per atom more than its anions can take"),
        (rock_salt("TiC"), "it is a carbide of a transition metal"),
        (rock_salt("TiN"), "give away 0.50"),
        (rock_salt("ZrN"), "give away 0.50"),
        (rock_salt("TiO"), "give away 0.50"),
        (rock_salt("YS"), "give away 0.50"),
        (rock_salt("PdH"), "its primitive cell has an odd number of electrons"),
        (diboride("Ti"), "give away 0.67"),
        (diboride("Al"), "an odd number"),
        (bulk("TiH2", "fluorite", a=4.45), "give away 0.67"),
        (perovskite("Sr", "Nb", "O"), "an odd number"),
        (perovskite("Mg", "C", "Ni"), "carbide"),
        (bulk("CoSi2", "fluorite", a=5.36) * (1, 2, 1), "an odd number"),  # 26 times 2 in all
        (bulk("Si", "sc", a=2.55), "its atoms have 2.0 close neighbors more than they can make"),
        (bulk("Te", "sc", a=3.2), "4.0 close neighbors"),
        (bulk("Al"), "no element in it is an anion"),
        (triclinic(), "give away 0.20"),
    ],
    ids=lambda value: str(value.symbols) if isinstance(value, Atoms) else "",
)
def test_metals(atoms: Atoms, sign: str) -> None:
    [found] = signs_of_a_metal_in_structure(atoms)
    assert sign in found


@pytest.mark.parametrize(
    "atoms",
    [
        *map(rock_salt, ("NaCl", "MgO", "NiO", "MnO", "ScN", "PbTe", "LiH", "CuCl", "EuO")),
        perovskite("Ba", "Ti", "O"),
        perovskite("La", "Mn", "O"),
        perovskite("Sr", "Li", "H"),
        half_heusler("Zr", "Ni", "Sn"),
        half_heusler("Ti", "Co", "Sb"),
        half_heusler("Nb", "Fe", "Sb"),
        bulk("Mg2Si", "fluorite", a=6.35)[[0, 1, 2]],
        bulk("Si"),
        bulk("C", "diamond", a=3.57),
        SELENIUM,
        bulk("SiC", "zincblende", a=4.35),
        bulk("GaAs", "zincblende", a=5.65),
        molecule("NO", vacuum=5.0, pbc=True),
        molecule("OH"),
        graphene("C2", vacuum=6.0),
    ],
    ids=lambda atoms: str(atoms.symbols),
)
def test_crystals_with_a_gap_and_molecules(atoms: Atoms) -> None:
    assert signs_of_a_metal_in_structure(atoms) == []


def test_defects_of_insulators_make_no_metals() -> None:
    crystal = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 2)
    vacancy = crystal[1:]
    assert vacancy.get_chemical_formula() == "Mg31O32"
    assert signs_of_a_metal_in_structure(vacancy) == []
    assert signs_of_a_metal_in_structure(crystal[:1] + crystal[2:]) == []
    hole = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (2, 2, 2)
    assert signs_of_a_metal_in_structure(hole[1:]) == []


@pytest.mark.parametrize(
    ("formula", "units", "charge", "odd"),
    [
        ("PdH", 1, 0.0, True),  # 47 electrons
        ("PdH", 2, 0.0, False),  # 94, and no translation within the cell
        ("PdH", 3, 0.0, True),
        ("MgO", 1, 0.0, False),
        ("MgO", 3, 0.0, False),
        ("MgO", 1, 1.0, True),
        ("MgO", 2, 1.0, True),
        ("MgO", 1, 0.5, False),
    ],
)
def test_the_primitive_cell_decides_on_odd_electrons(
    formula: str, units: int, charge: float, odd: bool
) -> None:
    """The atoms of a primitive cell are displaced at random; larger cells are copies of it."""
    cell = [[3.9, 0.2, 0.1], [0.3, 4.3, -0.2], [-0.1, 0.5, 4.8]]
    atoms = Atoms(formula, [[0, 0, 0], [1.9, 2.1, 2.3]], cell=cell, pbc=True) * (1, 1, units)
    atoms.rattle(0.1, seed=1)
    assert has_odd_electrons(atoms, charge) == odd
    for repeat in (2, 1, 1), (1, 3, 1), (2, 2, 1):
        larger = atoms * repeat
        assert has_odd_electrons(larger, charge * len(larger) / len(atoms)) == odd


def test_the_charge_of_the_cell_counts() -> None:
    """OH⁻ in a crystal is filled, OH is not."""
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], cell=[3.1, 3.2, 3.3], pbc=True)
    assert signs_of_a_metal_in_structure(atoms) == [
        "its primitive cell has an odd number of electrons"
    ]
    assert signs_of_a_metal_in_structure(atoms, total_charge=-1.0) == []
    sodium = Atoms("Na2O", [[0, 0, 0], [1.9, 0.1, 0.0], [0, 2.1, 0]], cell=[4.1] * 3, pbc=True)
    assert signs_of_a_metal_in_structure(sodium) == []
    [surplus] = signs_of_a_metal_in_structure(sodium, total_charge=-2.0)
    assert "0.67 electrons" in surplus
