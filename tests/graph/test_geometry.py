"""What changed in a structure: the same answer as ASE's own comparison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import all_changes, compare_atoms
from helpers.structures import triclinic

from ase_equivar.graph.geometry import changed_parts
from ase_equivar.graph.graph import Geometry


def move(atoms: Atoms) -> None:
    atoms.positions[3, 1] += 1e-9


def strain(atoms: Atoms) -> None:
    atoms.cell[0, 2] += 1e-6


def swap(atoms: Atoms) -> None:
    atoms.numbers[[0, 1]] = atoms.numbers[[1, 0]]


def open_up(atoms: Atoms) -> None:
    atoms.pbc = [True, True, False]


def charge(atoms: Atoms) -> None:
    atoms.set_initial_charges(np.arange(len(atoms)))


def magnetize(atoms: Atoms) -> None:
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))


def drop(atoms: Atoms) -> None:
    del atoms[2]


def heat(atoms: Atoms) -> None:
    atoms.set_momenta(np.ones((len(atoms), 3)))


def tag(atoms: Atoms) -> None:
    atoms.set_tags(range(len(atoms)))


def relax_cell(atoms: Atoms) -> None:
    atoms.set_cell(1.01 * atoms.cell.array, scale_atoms=True)


ALL = (move, strain, swap, open_up, charge, magnetize, drop, heat, tag, relax_cell)


@pytest.mark.parametrize("change", ALL)
def test_same_as_ase(change: Callable[[Atoms], None]) -> None:
    before = triclinic()
    now = before.copy()
    change(now)
    for one, other in ((before, now), (now, before), (now, now.copy())):
        assert set(changed_parts(one, other)) == set(compare_atoms(one, other))
        unseen = ("initial_charges", "initial_magmoms")
        same = not compare_atoms(one, other, excluded_properties=unseen)
        assert Geometry.of(one).is_of(other) == same
    if change not in (heat, tag):
        assert changed_parts(before, now)


def test_nothing_before() -> None:
    assert changed_parts(None, triclinic()) == compare_atoms(None, triclinic()) == all_changes


def test_a_geometry_stays_as_it_was() -> None:
    atoms = triclinic()
    before = Geometry.of(atoms)
    assert before.is_of(atoms)
    for change in (move, strain, swap, open_up):
        now = atoms.copy()
        own = Geometry.of(now)
        change(now)
        assert not own.is_of(now)
    assert before.is_of(atoms)
