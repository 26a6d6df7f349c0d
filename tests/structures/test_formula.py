"""Formulas in the order of chemists, of the smallest whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.formula import Formula

from ase_equivar.structures.formula import empirical_formula


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("O6Si3", "SiO2"),
        ("Cl", "Cl"),
        ("O3TiBa", "BaTiO3"),
        ("F2C4H8", "C2H4F"),
        ("O12Al2Ca3Si3", "Al2Ca3Si3O12"),
        ("ClBrNa2", "Na2BrCl"),
        ("XO", "XO"),
    ],
)
def test_the_order_of_elements(given: str, written: str) -> None:
    assert empirical_formula(Atoms(given)) == written


def test_the_numbers_are_those_of_ase() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        kinds = rng.choice(np.arange(1, 90), size=rng.integers(1, 5), replace=False)
        atoms = Atoms(numbers=rng.permutation(np.repeat(kinds, 2 * rng.integers(1, 7, len(kinds)))))
        reduced, _ = Formula(str(atoms.symbols)).reduce()
        assert Formula(empirical_formula(atoms)).count() == reduced.count()
