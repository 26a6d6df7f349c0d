"""What counts as vacuum: all sheets, and no crystal."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, make_supercell, surface
from ase.data import covalent_radii
from helpers.paths import CRYSTALS

from ase_equivar.io.extxyz import read_extxyz
from ase_equivar.structures.vacuum import VACUUM_GAP, describe_vacuum, widest_gap


def slab(symbols: str, a: float, vacuum: float) -> Atoms:
    """Three layers of rock salt whose outer planes are `vacuum` Å apart."""
    atoms = surface(bulk(symbols, "rocksalt", a=a, cubic=True), (1, 0, 0), 3, vacuum=vacuum / 2)
    atoms.pbc = True
    return atoms


@pytest.mark.parametrize("vacuum", [8.0, 15.0])
@pytest.mark.parametrize(
    ("symbols", "a"), [("MgO", 4.2), ("NaCl", 5.6), ("CsI", 7.6), ("CsF", 6.0), ("BaO", 5.5)]
)
def test_slabs_are_found_however_they_lie(symbols, a, vacuum):
    atoms = slab(symbols, a, vacuum)
    for shift in (0.0, 0.31, -4.7):
        moved = atoms.copy()
        moved.set_scaled_positions(atoms.get_scaled_positions() + np.array([0, 0, shift]))
        assert "Å of vacuum" in describe_vacuum(moved)
        largest = covalent_radii[atoms.numbers].max()
        assert vacuum - 2 * largest <= widest_gap(moved) + 1e-9 <= vacuum + 1e-6
    skewed = atoms.copy()
    skewed.set_cell(atoms.cell.array + np.outer([0, 0, 1], 1.7 * atoms.cell.array[0]))
    assert widest_gap(skewed) == pytest.approx(widest_gap(atoms))


@pytest.mark.parametrize(
    "vectors",
    [
        [[1, 0, 0], [0, 1, 1], [0, 0, 1]],  # the sheet's normal leaves the third face
        [[1, 0, 1], [0, 1, 1], [0, 0, 2]],
        [[1, 0, 1], [-1, 0, 1], [0, 1, 0]],  # rotated by 45° about the second axis
        [[1, 1, 1], [-1, 0, 1], [0, -1, 1]],
    ],
)
def test_sheets_are_found_in_every_supercell(vectors):
    """None of the faces need be parallel to the sheet, also where the vectors are the shortest."""
    filled = [[x, y, z] for x in (0, 1 / 3, 2 / 3) for y in (0, 1 / 3, 2 / 3) for z in (0, 0.08)]
    atoms = Atoms("BN" * 9, cell=[9.0, 9.2, 9.5], pbc=True, scaled_positions=filled)
    expected = widest_gap(atoms)
    assert expected > VACUUM_GAP
    supercell = make_supercell(atoms, vectors)
    supercell.rotate(37, (1, 2, 3), rotate_cell=True)
    assert widest_gap(supercell) == pytest.approx(expected)


def test_large_sheets_that_are_stacked_askew():
    """The shortest vectors of the lattice all lead from one sheet to the next."""
    places = [(2.1 * x, 2.1 * y, 0) for x in range(6) for y in range(6)]
    symbols = ["Mg" if (x + y) % 2 == 0 else "O" for x in range(6) for y in range(6)]
    cell = np.array([[12.6, 0, 0], [0, 12.6, 0], [6.3, 6.3, 8.0]])
    atoms = Atoms(symbols, positions=places, cell=cell, pbc=True)
    assert describe_vacuum(atoms) == "has 5.2 Å of vacuum"
    for vectors in ([[0, 0, 1], [-1, 0, 1], [0, -1, 1]], [[0, 0, 1], [-1, 0, 1], [-1, -1, 1]]):
        other = atoms.copy()
        other.set_cell(vectors @ cell)
        assert describe_vacuum(other) == "has 5.2 Å of vacuum"


def test_layers_and_molecules():
    sheet = graphene("BN", a=2.5, vacuum=4.0)
    sheet.pbc = True
    assert describe_vacuum(sheet) == "has 6.3 Å of vacuum"
    layered = Atoms(  # h-BN, two layers 3.33 Å apart
        "BNBN",
        cell=[[2.5, 0, 0], [-1.25, 2.165, 0], [0, 0, 6.66]],
        scaled_positions=[[0, 0, 0], [1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.5], [0, 0, 0.5]],
        pbc=True,
    )
    assert describe_vacuum(layered) is None
    assert widest_gap(bulk("MgO", "rocksalt", a=4.21, cubic=True)) == 0.0
    sheet.pbc = [True, True, False]
    assert describe_vacuum(sheet) == "is not periodic in three directions"


def test_a_crystal_with_wide_gaps_between_planes_is_one():
    """As Ca4Co2O6 of the training data: planes of Ca 6.4 Å apart, 2.8 Å between their spheres."""
    atoms = Atoms("Ca2O", cell=[3.4, 3.7, 8.8], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.5, 0.5, 2.4 / 8.8], [0.5, 0, 1.2 / 8.8]])
    assert widest_gap(atoms) == pytest.approx(6.4 - 2 * covalent_radii[20])
    assert widest_gap(atoms) < VACUUM_GAP
    assert describe_vacuum(atoms) is None


def test_crystals_of_the_data_have_none():
    assert not [atoms for atoms in read_extxyz(CRYSTALS) if describe_vacuum(atoms)]
