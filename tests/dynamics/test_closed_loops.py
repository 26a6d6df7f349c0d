"""Z* around closed loops: zero if they derive from a polarization, known if they rotate."""

import numpy as np
import pytest
from helpers.polar_crystal import ROTATIONAL, SYMMETRIC, N, PolarCrystal, ions

from ase_equivar.dynamics.closed_loops import loop_residual, loop_work

RNG = np.random.default_rng(21)
FIRST, SECOND = RNG.normal(scale=0.1, size=(2, N, 3))


def crystal(**settings):
    atoms = ions()
    atoms.calc = PolarCrystal(**settings)
    return atoms


def test_no_work_around_a_loop_if_there_is_a_polarization():
    found = loop_work(crystal(quadratic=0.5), FIRST, SECOND)
    np.testing.assert_allclose(found.dipole_change, 0, atol=1e-13)
    assert found.length > 0.1
    assert np.abs(SYMMETRIC @ FIRST.ravel()).max() > 0.1  # Z* do change along the loop
    assert loop_residual(crystal(quadratic=0.5)) < 1e-13


def test_rotational_charges_do_the_work_that_stokes_says():
    atoms = crystal(quadratic=0.2, rotational=0.3)
    before = atoms.positions.copy()
    found = loop_work(atoms, FIRST, SECOND)
    expected = 2 * np.pi * 0.3 * np.einsum("ajk,j,k->a", ROTATIONAL, SECOND.ravel(), FIRST.ravel())
    np.testing.assert_allclose(found.dipole_change, expected, atol=1e-12)
    assert np.abs(expected).max() > 0.01
    field = np.array([0.1, 0.2, -0.4])
    assert found.work(field) == pytest.approx(field @ expected)
    assert found.relative == pytest.approx(np.linalg.norm(expected) / found.length)
    assert 0.001 < found.relative < 1
    assert found.uncertainty < 1e-12
    np.testing.assert_allclose(loop_work(atoms, SECOND, FIRST).dipole_change, -expected, atol=1e-12)
    np.testing.assert_array_equal(atoms.positions, before)


def test_one_number_for_a_model():
    small, large = (loop_residual(crystal(rotational=0.3), amplitude=a) for a in (0.02, 0.04))
    assert large / small == pytest.approx(2, rel=0.05)
    assert small == loop_residual(crystal(rotational=0.3), amplitude=0.02)
    twice = loop_residual(crystal(rotational=0.6), amplitude=0.02)
    assert twice / small == pytest.approx(2, rel=0.05)


def test_symmetry_does_not_hide_the_curl():
    class Even(PolarCrystal):
        """Z* that are even in the displacements, as where every atom is a center of inversion."""

        def born_charges(self, positions):
            born = super().born_charges(positions)
            born[0, 0, 0] += (positions - self.sites)[0, 1] ** 2
            return born

    atoms = ions()
    atoms.calc = Even()
    np.testing.assert_allclose(loop_work(atoms, FIRST, SECOND).dipole_change, 0, atol=1e-14)
    assert loop_residual(atoms) > 1e-5


def test_uncertainty_tells_when_points_are_too_few():
    class Wavy(PolarCrystal):
        def born_charges(self, positions):
            born = super().born_charges(positions)
            born[0, 0, 0] += np.sin(25 * positions[0, 1])
            return born

    atoms = ions()
    atoms.calc = Wavy()
    coarse, fine = (loop_work(atoms, FIRST, SECOND, n_points=n) for n in (8, 64))
    assert fine.uncertainty < 1e-10
    assert coarse.uncertainty > np.abs(coarse.dipole_change - fine.dipole_change).max() > 1e-4


def test_bad_input_is_named():
    atoms = crystal()
    with pytest.raises(ValueError, match="points is 5; give an even number"):
        loop_work(atoms, FIRST, SECOND, n_points=5)
    with pytest.raises(ValueError, match=r"first has shape \(2, 3\), not \(3, 3\)"):
        loop_work(atoms, FIRST[:2], SECOND)
    with pytest.raises(ValueError, match="amplitude is "):
        loop_residual(atoms, amplitude=0)
    with pytest.raises(NotImplementedError, match="does not give 'born_effective_charges'"):
        loop_residual(crystal(with_charges=False))
    atoms.calc = None
    with pytest.raises(ValueError, match="no calculator"):
        loop_work(atoms, FIRST, SECOND)
