"""ε(ω), reflectivity and their sum rules."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.polar_phonons import DIRECTIONS, X, Z

from ase_equivar.dielectric import dielectric_function, infrared_modes, static_dielectric
from ase_equivar.phonons import lo_to_splitting


def test_limits_of_the_dielectric_function(phonon):
    modes = infrared_modes(phonon)
    dielectric = static_dielectric(modes)
    epsilon = dielectric_function(modes, 0.3, [0.0, 1e-7, 1e5]).epsilon
    np.testing.assert_allclose(epsilon[0], dielectric.static, rtol=1e-12)
    np.testing.assert_allclose(epsilon[1], dielectric.static, atol=1e-5)
    np.testing.assert_allclose(epsilon[2], dielectric.electronic, atol=1e-6)


def test_kramers_kronig(low):
    """Re ε(ω) − ε∞ = 2/π P∫ ω' Im ε(ω')/(ω'² − ω²) dω', by Maclaurin's rule."""
    step = 0.02
    grid = step * np.arange(20_000)
    epsilon = dielectric_function(low, 0.4, grid).epsilon
    for index in (50, 151, 300, 455, 800):
        others = np.arange(1 - index % 2, len(grid), 2)  # every other point, never the pole
        weight = grid[others] / (grid[others] ** 2 - grid[index] ** 2)
        integral = 4 * step / np.pi * np.einsum("w,wab->ab", weight, epsilon[others].imag)
        real = epsilon[index].real - low.electronic
        np.testing.assert_allclose(integral, real, atol=2e-4 * np.abs(real).max())


def test_absorption_is_positive_in_every_direction(low):
    spectrum = dielectric_function(low, 0.2)
    assert np.linalg.eigvalsh(spectrum.epsilon[1:].imag).min() > 0
    np.testing.assert_allclose(spectrum.epsilon, spectrum.epsilon.transpose(0, 2, 1), atol=1e-12)
    for direction in DIRECTIONS:
        assert spectrum.loss(direction)[1:].min() > 0


def test_the_damping_is_the_width_of_the_peak(phonons):
    modes = infrared_modes(phonons["rock salt"])
    spectrum = dielectric_function(modes, 0.05, np.linspace(7, 9, 20_001))
    peak = spectrum.along(X).imag
    assert spectrum.frequencies[peak.argmax()] == pytest.approx(modes[0].frequency, abs=2e-3)
    wide = spectrum.frequencies[peak > peak.max() / 2]
    assert wide[-1] - wide[0] == pytest.approx(0.05, rel=0.01)


def test_damping_per_mode(phonons):
    modes = infrared_modes(phonons["wurtzite"])
    widths = np.where([mode.degeneracy == 2 for mode in modes], 0.1, 0.4)
    both, narrow, wide = (
        dielectric_function(modes, w, np.arange(20.0)) for w in (widths, 0.1, 0.4)
    )
    np.testing.assert_allclose(both.along(X), narrow.along(X))
    np.testing.assert_allclose(both.along(Z), wide.along(Z))
    assert np.abs(narrow.along(X) - wide.along(X)).max() > 0.01


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("crystal", ["rock salt", "wurtzite", "triclinic"])
def test_loss_peaks_where_phonopy_has_lo_modes(phonons, crystal, direction):
    phonon = phonons[crystal]
    modes = lo_to_splitting(phonon, [direction])[0]
    spectrum = dielectric_function(infrared_modes(phonon), 0.002, np.arange(0, 25, 5e-4))
    loss = spectrum.loss(direction)
    is_peak = (loss[1:-1] > loss[:-2]) & (loss[1:-1] > loss[2:])
    peaks = spectrum.frequencies[1:-1][is_peak]
    strong = modes.corrected[modes.longitudinal > 0.02]
    assert len(strong) > 0
    for frequency in strong:
        assert np.abs(peaks - frequency).min() < 2e-3


def test_reflectivity_of_a_cubic_crystal(phonons):
    modes = infrared_modes(phonons["rock salt"])
    spectrum = dielectric_function(modes, 1e-4)
    index = np.sqrt(spectrum.along(X))
    reflected = spectrum.reflectivity((1, 1, 0), (1, -1, 0))
    np.testing.assert_allclose(reflected, np.abs((1 - index) / (1 + index)) ** 2, rtol=1e-9)
    pair = lo_to_splitting(phonons["rock salt"]).largest
    band = (spectrum.frequencies > pair.to + 0.1) & (spectrum.frequencies < pair.lo - 0.1)
    assert band.sum() > 100
    np.testing.assert_allclose(reflected[band], 1, atol=0.01)
    assert reflected.min() < 0.01  # above LO, where ε passes through 1


def test_reflectivity_of_a_triclinic_crystal(low):
    """Against the two waves inside: D in the face, ε⁻¹ D = D/n² there, fields that match."""
    spectrum = dielectric_function(low, 0.2, np.linspace(0.5, 20, 150))
    e, n = np.array([2.0, 1.0, 0.0]) / 5**0.5, np.array([-1.0, 2.0, 3.0]) / 14**0.5
    frame = np.array([e, np.cross(n, e)])
    reflected = spectrum.reflectivity(e, n)
    for epsilon, found in zip(spectrum.epsilon, reflected, strict=True):
        inverse_squares, waves = np.linalg.eig(frame @ np.linalg.inv(epsilon) @ frame.T)
        refraction = 1 / np.sqrt(inverse_squares)
        refraction *= np.sign(refraction.imag)  # waves that decay
        # E of the incoming, reflected and transmitted waves; H is n × (index) E.
        electric = waves
        matrix = np.block([[-np.eye(2), electric], [np.eye(2), electric * refraction]])
        solution = np.linalg.solve(matrix, np.array([1.0, 0, 1.0, 0]))
        assert found == pytest.approx((np.abs(solution[:2]) ** 2).sum(), rel=1e-8)
    turned = spectrum.reflectivity(np.cross(n, e), n)
    assert np.abs(turned - reflected).max() > 0.05
    assert 0 <= min(reflected.min(), turned.min()) <= max(reflected.max(), turned.max()) <= 1
    with pytest.raises(ValueError, match="perpendicular"):
        spectrum.reflectivity(e, (1, 0, 0))


def test_powder_is_the_mean_over_orientations(low):
    spectrum = dielectric_function(low, 0.3, np.linspace(0, 20, 50))
    powder = spectrum.powder()
    directions = np.random.default_rng(0).normal(size=(20_000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    mean = np.einsum("na,wab,nb->w", directions, spectrum.epsilon, directions) / len(directions)
    np.testing.assert_allclose(powder.along((1, 2, 3)), mean, rtol=0.02)
    np.testing.assert_allclose(powder.epsilon[:, 0, 1], 0)
    np.testing.assert_allclose(powder.along(X), powder.along(Z))


def test_default_grid_reaches_beyond_the_last_lo_mode(phonon):
    spectrum = dielectric_function(infrared_modes(phonon), 0.1)
    highest = max(modes.corrected.max() for modes in lo_to_splitting(phonon, DIRECTIONS))
    assert highest < spectrum.frequencies[-1] < 1.5 * highest
    assert spectrum.frequencies[0] == 0
    assert np.diff(spectrum.frequencies).max() < 0.021


def test_default_grid_is_not_empty_above_the_lo_mode(phonons):
    """One polar set takes all strength, so that its LO mode is known."""
    phonon = phonons["rock salt"]
    (highest,) = [pair.lo for pair in lo_to_splitting(phonon, [X])[0].pairs]
    spectrum = dielectric_function(infrared_modes(phonon), 0.1)
    assert spectrum.frequencies[-1] == pytest.approx(1.2 * highest, rel=1e-6)


@pytest.mark.parametrize("damping", [0, -1, np.nan, [0.1, 0.1], "wide"])
def test_impossible_damping(phonons, damping):
    with pytest.raises(ValueError, match=r"damping (must be|is)"):
        dielectric_function(infrared_modes(phonons["wurtzite"]), damping)


@pytest.mark.parametrize("frequencies", [[-1.0], [np.inf], [[1.0]], 3.0])
def test_impossible_frequencies(low, frequencies):
    with pytest.raises(ValueError, match=r"frequencies (must be|is)"):
        dielectric_function(low, 0.1, frequencies)
