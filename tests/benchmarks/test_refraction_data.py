"""The measured refraction behind the correction of ε∞: typing errors would show here."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import spglib
from ase.neighborlist import neighbor_list
from helpers.paths import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
from dispersion import Fractions, Table, sellmeier, squared
from measured_refraction import FIT, MEASURED, TEST
from refraction_crystals import LABELS, STRUCTURES

UNCERTAIN = {"AlN": 0.09, "TiO2": 0.08}  # visible and infrared experiments differ


def test_forms_agree_on_one_dispersion():
    """One electronic pole at 0.2 µm and one lattice pole at 20 µm: ε∞ = 1.5 + 2."""
    forms = [
        sellmeier(1.5, (2.0, 0.2), (3.0, 20.0)),
        squared(1.5, (2.0, 0.04), (3.0, 400.0)),
        # B λ²/(λ² − λ0²) = B + B λ0²/(λ² − λ0²)
        Fractions(1.5 + 2.0 + 3.0, ((0.08, 0.04), (1200.0, 400.0))),
    ]
    for form in forms:
        assert form.electronic == pytest.approx(3.5)
    wavelengths = np.linspace(0.8, 3.0, 20)
    x = wavelengths**2
    index = np.sqrt(1.5 + 2.0 * x / (x - 0.04) + 3.0 * x / (x - 400))
    table = Table(tuple(zip(wavelengths, index, strict=True)))
    assert table.electronic == pytest.approx(3.5, abs=2e-3)


def test_halves_share_no_group():
    groups = {crystal.group for crystal in MEASURED}
    assert groups == set(FIT) | set(TEST)
    assert not set(FIT) & set(TEST)
    in_fit = sum(crystal.group in FIT for crystal in MEASURED)
    assert abs(2 * in_fit - len(MEASURED)) <= 2
    assert len({crystal.name for crystal in MEASURED}) == len(MEASURED) == len(STRUCTURES)
    assert set(LABELS) <= set(STRUCTURES)


@pytest.mark.parametrize("crystal", MEASURED, ids=lambda crystal: crystal.name)
def test_extrapolated_constants_and_structures(crystal):
    if crystal.quoted is not None:
        tolerance = UNCERTAIN.get(crystal.name, 0.04)
        np.testing.assert_allclose(crystal.electronic, crystal.quoted, rtol=tolerance)
    atoms = STRUCTURES[crystal.name].atoms()
    assert atoms.symbols.formula.reduce()[0].count() == formula_of(crystal.name)
    cell = atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers
    number = spglib.get_symmetry_dataset(cell).number
    assert number == STRUCTURES[crystal.name].spacegroup
    assert len(crystal.electronic) == 1 or number < 195
    assert neighbor_list("d", atoms, 4.5).min() > 1.2


def formula_of(name):
    from ase.formula import Formula

    return Formula(name).count()
