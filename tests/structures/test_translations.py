"""Translations within a cell, and the primitive cell, beside a symmetry search by spglib."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.neighborlist import neighbor_list
from spglib import find_primitive

from ase_equivar.structures.translations import find_translations, reduced_cell

CELL = [[4.1, 0.2, -0.3], [0.7, 4.6, 0.4], [-0.5, 0.9, 5.2]]
TRICLINIC = Atoms(
    "Na2ClBr", scaled_positions=np.random.default_rng(3).random((4, 3)), cell=CELL, pbc=True
)
SUPERCELLS = [  # whole multiples along no axis of the cell, left-handed ones, and large ones
    [[2, 1, 0], [0, 1, 3], [1, 0, 2]],
    [[0, 1, 1], [1, 0, 1], [1, 1, 0]],
    [[3, 0, 0], [0, 1, 0], [0, 0, 2]],
    [[0, 2, 0], [2, 0, 0], [0, 0, 1]],
    [[5, 3, 1], [0, 1, 0], [2, 0, 1]],
]


def distances(atoms: Atoms) -> np.ndarray:
    """Distances up to 6 Å around each kind of atom, per atom."""
    i, d = neighbor_list("id", atoms, 6.0)
    return np.array([np.sort(np.append(d[i == k], np.inf))[:20].sum() for k in range(len(atoms))])


@pytest.mark.parametrize("matrix", SUPERCELLS)
@pytest.mark.parametrize("crystal", [TRICLINIC, bulk("GaAs", "zincblende", 5.7)])
def test_the_smallest_cell_is_found_again(crystal: Atoms, matrix: list[list[int]]) -> None:
    atoms = make_supercell(crystal, matrix)
    atoms.positions += 20 * (np.random.default_rng(0).random(3) - 0.5)
    atoms = atoms[np.random.default_rng(1).permutation(len(atoms))]
    atoms.positions += np.random.default_rng(2).integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    found = find_translations(atoms, 0.01)
    n = abs(round(np.linalg.det(matrix)))
    assert len(found.shifts) == n
    assert found.deviation < 1e-8
    small = reduced_cell(atoms, found)
    assert small is not None
    assert len(small) == len(crystal)
    assert abs(small.cell.volume) == pytest.approx(crystal.cell.volume)
    for number in set(crystal.numbers):  # the same crystal, in the same directions
        mine, theirs = (distances(one)[one.numbers == number] for one in (small, crystal))
        np.testing.assert_allclose(np.sort(mine), np.sort(theirs), atol=1e-7)
    whole = small.cell.array @ np.linalg.inv(crystal.cell.array)
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-9)


def test_crystals_without_translations_and_doubtful_ones() -> None:
    assert len(find_translations(TRICLINIC, 0.01).shifts) == 1
    assert len(find_translations(bulk("Cu", cubic=True), 0.01).shifts) == 4
    double = TRICLINIC.repeat((1, 2, 1))
    double.positions[5] += [0.0, 0.003, 0.004]
    found = find_translations(double, 0.01)
    assert len(found.shifts) == 2
    assert found.deviation == pytest.approx(0.005)
    assert len(find_translations(double, 0.004).shifts) == 1
    double.symbols[5] = "K"
    assert len(find_translations(double, 0.01).shifts) == 1


def test_a_skewed_cell_becomes_a_short_one() -> None:
    skewed = TRICLINIC.copy()
    skewed.cell[:] = [[1, 3, -2], [0, 1, 0], [0, 4, 1]] @ TRICLINIC.cell.array
    small = reduced_cell(skewed, find_translations(skewed, 0.01))
    assert small is not None
    np.testing.assert_allclose(np.sort(small.cell.lengths()), np.sort(TRICLINIC.cell.lengths()))
    assert abs(small.cell.volume) == pytest.approx(TRICLINIC.cell.volume)
    np.testing.assert_array_equal(small.positions, TRICLINIC.positions)


def test_as_many_atoms_as_spglib_finds() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):  # whole lattices of few sites, many of which are not primitive
        shape = tuple(rng.integers(1, 4, 3))
        n = int(np.prod(shape))
        atoms = Atoms("H", cell=CELL, pbc=True).repeat(shape)
        atoms.numbers = rng.choice([11, 17], n, p=[0.8, 0.2])
        _, _, kinds = find_primitive(
            (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        )
        small = reduced_cell(atoms, find_translations(atoms, 0.01))
        assert small is not None
        assert len(small) == len(kinds)
