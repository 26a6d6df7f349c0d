"""Atoms in another order give the same polarization, with a word about it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from helpers.structures import triclinic

from ase_equivar.dielectric import polarization_along, polarization_change
from ase_equivar.dielectric.atom_matching import shortest_order
from ase_equivar.warning_types import MetalWarning

CHARGES = {"Na": 1.1, "Cl": -0.9, "O": -2.2, "Mg": 1.9}


class OfEachAtom(Calculator):
    """Z* that differ from atom to atom of an element, by their positions."""

    implemented_properties = ("born_effective_charges",)

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        reduced = self.atoms.get_scaled_positions()
        factors = 1 + 0.1 * np.cos(2 * np.pi * reduced).sum(axis=1)
        nominal = np.array([CHARGES[symbol] for symbol in self.atoms.symbols]) * factors
        tensor = np.eye(3) + 0.1 * np.arange(9).reshape(3, 3)
        charges = (nominal - nominal.mean())[:, None, None] * tensor
        self.results = {"born_effective_charges": charges}


@pytest.fixture
def pair():
    start = triclinic() * (2, 1, 1)
    rng = np.random.default_rng(2)
    start.positions += rng.uniform(-0.5, 0.5, size=(10, 3))  # no shift leaves it as it is
    end = start.copy()
    end.positions += rng.uniform(-0.25, 0.25, size=(10, 3))
    return start, end


def within_elements(atoms):
    """An order that keeps the elements where they are, and no atom that has a like one."""
    order = np.arange(len(atoms))
    for number in np.unique(atoms.numbers):
        mine = np.flatnonzero(atoms.numbers == number)
        order[mine] = np.roll(mine, 1)
    return order


def test_the_order_of_like_atoms_does_not_matter(pair):
    start, end = pair
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", MetalWarning)  # more metal than its anions can take
        expected = polarization_change(start, end, OfEachAtom())
    permuted = end[within_elements(end)]
    permuted.positions[3] += permuted.cell[1]
    with pytest.warns(UserWarning, match="move less if they are matched .*this order is used"):
        found = polarization_change(start, permuted, OfEachAtom())
    np.testing.assert_allclose(found.change, expected.change, rtol=1e-9)
    shifted = permuted.copy()
    shifted.positions += [0.3, -0.2, 0.7]
    np.testing.assert_array_equal(shortest_order(start, shifted), shortest_order(start, permuted))
    two = end[[0, 1, 2, 8, 4, 5, 6, 7, 3, 9]]
    with pytest.warns(UserWarning, match=r"\(Na 3 to 8, Na 8 to 3\)"):
        found = polarization_change(start, two, OfEachAtom())
    np.testing.assert_allclose(found.change, expected.change, rtol=1e-9)


def test_the_order_given_is_kept_where_no_other_is_shorter(pair):
    start, end = pair
    assert shortest_order(start, end) is None
    assert shortest_order(start, start) is None
    between = start.copy()  # two like atoms in the middle between two places
    between.positions[[0, 3]] = between.positions[[0, 3]].mean(axis=0)
    assert shortest_order(between, start) is None


def test_thermal_motion_of_a_supercell_is_no_other_order():
    """A shift by a vector of the small cell may happen to be a little shorter."""
    ideal = triclinic() * (3, 3, 3)
    rng = np.random.default_rng(4)
    for scale in (0.05, 0.3):
        one, other = ideal.copy(), ideal.copy()
        for atoms in (one, other):
            atoms.positions += rng.normal(scale=scale, size=(len(atoms), 3))
        assert shortest_order(one, other) is None
        swapped = np.arange(len(other))
        swapped[[3, 8]] = [8, 3]
        np.testing.assert_array_equal(shortest_order(one, other[swapped]), swapped)


def test_along_given_charges_the_order_is_asked_about(pair):
    start, end = pair
    charges = [np.multiply.outer([CHARGES[s] for s in start.symbols], np.eye(3))] * 2
    polarization_along([start, end], charges)
    near = end[[0, 1, 2, 8, 4, 5, 6, 7, 3, 9]]
    near.positions[[3, 8]] = 0.6 * near.positions[[3, 8]] + 0.4 * start.positions[[3, 8]]
    with pytest.warns(UserWarning, match="is their order the same"):
        polarization_along([start, near], charges)
