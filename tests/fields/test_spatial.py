"""Fields over space: their values on paper, and what they refuse."""

import numpy as np
import pytest

from ase_equivar.fields import (
    FieldOfPosition,
    FieldOnAtoms,
    GaussianBeam,
    GaussianPulse,
    PlaneWave,
    SineField,
    field_forces,
)

E = np.array([0.2, -0.1, 0.4])


def test_a_wave_travels_along_its_wavevector():
    vector = np.array([0.3, 0.1, -0.2])
    wave = PlaneWave(E, vector, frequency=2.0)
    crest = 2 * np.pi * 2e-3 * 35.0 * vector / (vector @ vector)  # of ω t / k after 35 fs
    across = np.cross(vector, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(wave([[0, 0, 0]], 0.0), [E])
    np.testing.assert_allclose(wave([crest, crest + across], 35.0), [E, E])
    np.testing.assert_allclose(wave([np.pi * vector / (vector @ vector)], 0.0), [-E])
    assert wave.longest_step == pytest.approx(50.0)
    assert PlaneWave(E, vector).longest_step == np.inf


def test_a_beam_falls_off_across_its_axis_only():
    pulse = GaussianPulse(E, center=50.0, width=20.0, frequency=3.0)
    axis, center = np.array([1.0, 2.0, 2.0]), np.array([5.0, 4.0, 3.0])
    beam = GaussianBeam(pulse, center, axis, waist=6.0)
    across = np.array([2.0, -2.0, 1.0])  # of length 3
    places = [center, center + 7 * axis, center + across - 4 * axis, center + 2 * across]
    expected = np.exp([0, 0, -0.25, -1.0])[:, None] * pulse(61.0)
    np.testing.assert_allclose(beam(places, 61.0), expected)
    assert beam.longest_step == pulse.longest_step
    np.testing.assert_allclose(GaussianBeam(E, center, axis, 6.0)([center], 0.0), [E])


def test_forces_are_those_of_each_atoms_own_field():
    rng = np.random.default_rng(0)
    born, fields = rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3))
    forces = field_forces(born, fields.tolist())
    for one, force, field in zip(born, forces, fields, strict=True):
        np.testing.assert_allclose(force, field_forces(one[None], field)[0])
    with pytest.raises(ValueError, match=r"shape \(3, 3\), not \(4, 3\)"):
        field_forces(born, fields[:3])


def test_steps_and_kinds_are_those_of_what_is_inside():
    inner = SineField(E, frequency=4.0)
    assert FieldOnAtoms(inner, [1]).longest_step == pytest.approx(25.0)
    assert FieldOnAtoms(PlaneWave(E, [0.1, 0, 0], frequency=4.0), [1]).longest_step == 25.0
    assert FieldOnAtoms(E, [0]) == FieldOnAtoms(list(E), np.array([0]))
    with pytest.raises(ValueError, match="indices contain an atom twice"):
        FieldOnAtoms(E, [1, 1])
    with pytest.raises(TypeError, match="give a function of positions and time"):
        FieldOfPosition(E)
    with pytest.raises(ValueError, match=r"wavevector reaches 1.2, beyond 1 1/Å"):
        PlaneWave(E, [0, 1.2, 0])
    with pytest.raises(ValueError, match=r"length of 1.27 1/Å, beyond 1: a wave of 4.94 Å"):
        PlaneWave(E, [0.9, 0, 0.9])  # no component alone is too large
