"""From polarizations along lattice vectors to the proper tensor, with pw.x replaced by a model."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase.build import bulk
from helpers.paths import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
from piezo_espresso import ALONG, BerryPhases, berry_input, clamped
from validation_piezoelectricity import wurtzite

E = {"e31": 0.3, "e33": -0.7, "e15": 0.4}
C_PER_M2 = 16.02176634  # of 1 |e|/Å²
ATOMS = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38)


class Model(BerryPhases):
    """A crystal with spontaneous polarization and a known proper tensor, on random branches.

    The charges that make the spontaneous polarization are carried along by the cell, which changes
    the Cartesian polarization, and not the proper tensor.
    """

    spontaneous = np.array([0.5, 0.0, 0.31])

    def __init__(self):
        object.__setattr__(self, "random", np.random.default_rng(0))

    def along(self, atoms, axis, name):
        strain = np.linalg.solve(ATOMS.cell.array, atoms.cell.array) - np.eye(3)
        np.testing.assert_allclose(strain, strain.T, atol=1e-12)
        np.testing.assert_allclose(
            atoms.get_scaled_positions(), ATOMS.get_scaled_positions(), atol=1e-12
        )
        eta = strain[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)] * (1, 1, 1, 2, 2, 2)
        polarization = wurtzite(E) @ (eta + 3 * eta**2 * [1, 1, 1, 0, 0, 0]) / C_PER_M2
        reduced = np.linalg.solve(ATOMS.cell.array.T, polarization) * ATOMS.get_volume()
        return float((self.spontaneous + reduced)[axis] + self.random.integers(-2, 3)), 1.0


def test_the_proper_tensor_on_any_branch():
    assert clamped(ATOMS, Model(), "ZnO") == pytest.approx(E, rel=1e-6)


def test_only_axial_strains_where_asked_for():
    assert set(clamped(ATOMS, Model(), "ZnO", only_axial=True)) == {"e31", "e33"}


def test_strings_lie_along_the_axis_that_is_asked_for():
    text = "&control\n  calculation = 'scf', prefix = 'x'\n/\nK_POINTS automatic\n4 4 3 0 0 1\n"
    made = berry_input(text, 0)
    assert f"'nscf', lberry = .true., gdir = 1, nppstr = {ALONG}," in made
    assert made.splitlines()[-1] == "1 6 4 0 0 0"
    assert berry_input(text, 2).splitlines()[-1] == "6 6 1 0 0 0"
