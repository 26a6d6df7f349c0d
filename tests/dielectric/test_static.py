"""Static response against closed formulas and linear response, which knows no modes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.polar_phonons import (
    DEBYE,
    DIRECTIONS,
    linear_response,
    reduced_mass,
    triclinic,
    wurtzite,
)
from scipy import constants
from scipy.integrate import trapezoid
from scipy.spatial.transform import Rotation

from ase_equivar.dielectric import (
    InfraredMode,
    InfraredModes,
    dielectric_function,
    infrared_modes,
    ionic_dielectric_range,
    lyddane_sachs_teller,
    static_dielectric,
)
from ase_equivar.phonons import lo_to_splitting


def test_static_epsilon_of_rock_salt(phonons):
    """ε0 = ε∞ + Z*² e²/(ε0 μ ω_TO² Ω); the frequency itself is sqrt(2 k/μ)."""
    phonon = phonons["rock salt"]
    (mode,) = modes = infrared_modes(phonon)
    mass, volume = reduced_mass(phonon), phonon.primitive.volume * constants.angstrom**3
    spring = 2 * 30.0 * np.exp(-5.64 / 2) * constants.e / constants.angstrom**2
    omega = 2 * np.pi * 1e12 * mode.frequency
    assert omega**2 == pytest.approx(spring / mass, rel=1e-3)  # anharmonic at 0.01 Å
    ionic = (1.086 * constants.e) ** 2 / (constants.epsilon_0 * mass * omega**2 * volume)
    dielectric = static_dielectric(modes)
    np.testing.assert_allclose(dielectric.ionic, ionic * np.eye(3), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(dielectric.static, (2.43 + ionic) * np.eye(3), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(dielectric.electronic, 2.43 * np.eye(3), atol=1e-9)
    assert mode.degeneracy == 3
    assert mode.is_active


def test_ionic_part_is_the_direct_linear_response(phonon):
    expected = linear_response(phonon)
    ionic = static_dielectric(infrared_modes(phonon)).ionic
    np.testing.assert_allclose(ionic, expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_low_symmetry_is_low(phonons):
    """The triclinic crystal can tell a tensor from its diagonal, and Z* from its transpose."""
    ionic = static_dielectric(infrared_modes(phonons["triclinic"])).ionic
    np.testing.assert_allclose(ionic, ionic.T, atol=1e-12)
    assert np.abs(ionic[[0, 0, 1], [1, 2, 2]]).min() > 0.02 * ionic.max()
    transposed = static_dielectric(infrared_modes(triclinic(transpose=True))).ionic
    assert np.abs(transposed / linear_response(phonons["triclinic"]) - 1).max() > 0.1


def two_modes(squares):
    """A = 12 along each axis, and 75 along z alone, with these ω² (negative: imaginary)."""
    made = [
        InfraredMode(
            frequency=np.sign(square) * np.sqrt(abs(square)),
            degeneracy=1,
            charge=1.0,
            intensity=1.0,
            oscillator=np.diag(diagonal),
            strength=np.diag(diagonal) / square,
            is_active=True,
            label="",
        )
        for square, diagonal in zip(squares, [(12.0, 12.0, 12.0), (0.0, 0.0, 75.0)], strict=True)
    ]
    return InfraredModes(tuple(made), 2.0 * np.eye(3), ("Na", "Cl"), 40.0, np.diag(np.ones(3)))


def test_range_is_the_linear_response_with_other_short_range_forces(phonon):
    """Force constants and Lorentz field apart, in eV/Å²; no modes. Softening is next to none."""
    modes = infrared_modes(phonon)
    limits = ionic_dielectric_range(modes, 0.13, 0.004, 1e-9)
    expected = [linear_response(phonon, error).trace() / 3 for error in (0.13, -0.004)]
    assert limits == pytest.approx(expected, rel=1e-4)
    assert limits[0] < static_dielectric(modes).ionic.trace() / 3 < limits[1]


def test_range_does_not_depend_on_masses_without_softening(phonons):
    isotopes = phonons["triclinic"].replicate()
    isotopes.masses = 1.7 * phonons["triclinic"].masses[::-1]
    isotopes.force_constants = phonons["triclinic"].force_constants
    isotopes.nac_params = phonons["triclinic"].nac_params
    limits = [
        ionic_dielectric_range(infrared_modes(one), 0.1, 0.01, 1e-9)
        for one in (phonons["triclinic"], isotopes)
    ]
    assert limits[1] == pytest.approx(limits[0], rel=1e-4)


def test_range_of_modes_whose_squares_are_too_small():
    """χ is isotropic but along z, and so are ε∞ = 2 and the field of (ε∞ + 2)⁻¹ = 1/4."""
    squares = np.array([4.0, 25.0])
    lowest, highest = ionic_dielectric_range(two_modes(squares), 0.1, 0.3, 0.7)
    stiff, soft = squares + np.hypot(0.1 * squares, 0.7), squares * 0.7
    across, along = 12 / stiff[0], 12 / stiff[0] + 75 / stiff[1]
    expected = (2 / (1 / across + 0.1 / 4) + 1 / (1 / along + 0.1 / 4)) / 3
    assert lowest == pytest.approx(expected)
    across, along = 12 / soft[0], 12 / soft[0] + 75 / soft[1]
    expected = (2 / (1 / across - 0.3 / 4) + 1 / (1 / along - 0.3 / 4)) / 3
    assert highest == pytest.approx(expected)


def test_soft_modes_have_a_wide_range():
    """The softer one mode, the larger the relative width; it has no upper limit in the end."""
    widths = []
    for square in (25.0, 4.0, 0.6, 0.3):
        lowest, highest = ionic_dielectric_range(two_modes([square, 25.0]), 0.1, 0.1, 1.0)
        widths.append(highest / lowest)
    assert np.all(np.diff(widths[:3]) > 0)
    assert widths[0] < 1.5 < 5 < widths[2]
    assert np.isinf(widths[3])


def test_imaginary_polar_modes_have_a_lower_limit_within_their_error():
    lowest, highest = ionic_dielectric_range(two_modes([-0.5, 25.0]), 0.1, 0.1, 1.0)
    across = 12 / (np.hypot(0.05, 1) - 0.5)
    along = across + 75 / (25 + np.hypot(2.5, 1))
    expected = (2 / (1 / across + 0.1 / 4) + 1 / (1 / along + 0.1 / 4)) / 3
    assert lowest == pytest.approx(expected)
    assert np.isinf(highest)
    with pytest.raises(ValueError, match=r"polar mode at 2\.00i THz"):
        ionic_dielectric_range(two_modes([-4.0, 25.0]), 0.1, 0.1, 1.0)


def test_a_fraction_of_one_leaves_no_force_constants():
    with pytest.raises(ValueError, match="too_stiff is 1; give a fraction below 1"):
        ionic_dielectric_range(two_modes([4.0, 25.0]), too_stiff=1)


def test_lyddane_sachs_teller(phonon):
    dielectric = static_dielectric(infrared_modes(phonon))
    checks = lyddane_sachs_teller(phonon, dielectric, DIRECTIONS)
    for check, direction in zip(checks, DIRECTIONS, strict=True):
        assert abs(check.error) < 1e-6
        assert check.dielectric_ratio > 1.05
        unit = np.array(direction) / np.linalg.norm(direction)
        ratio = (unit @ dielectric.static @ unit) / (unit @ dielectric.electronic @ unit)
        assert check.dielectric_ratio == pytest.approx(ratio)
    frequencies = lo_to_splitting(phonon, DIRECTIONS)
    for check, modes in zip(checks, frequencies, strict=True):
        optical = np.sort(modes.corrected)[3:] / np.sort(modes.uncorrected)[3:]
        assert np.prod(optical) ** 2 == pytest.approx(check.frequency_ratio, rel=1e-4)


def test_lyddane_sachs_teller_notices_a_wrong_static_tensor(phonons):
    wrong = static_dielectric(infrared_modes(triclinic(transpose=True)))
    checks = lyddane_sachs_teller(phonons["triclinic"], wrong)
    assert max(abs(check.error) for check in checks) > 0.01


def test_oscillator_sum_rule(phonon):
    """Σ S ω² = e²/(ε0 Ω) Σ_i Z_i Z_iᵀ/M_i, and ∫ ω Im ε dω = π/2 of it."""
    modes = infrared_modes(phonon)
    cell, born = phonon.primitive, phonon.nac_params["born"]
    scale = constants.e**2 / (constants.epsilon_0 * cell.volume * constants.angstrom**3)
    by_hand = sum(z @ z.T / m for z, m in zip(born, cell.masses, strict=True))
    by_hand = by_hand * scale / constants.atomic_mass / (2 * np.pi * 1e12) ** 2
    largest = by_hand.max()
    np.testing.assert_allclose(modes.oscillator_sum, by_hand, rtol=1e-5, atol=1e-6 * largest)
    total = sum(mode.oscillator for mode in modes)
    np.testing.assert_allclose(total, by_hand, rtol=1e-5, atol=1e-6 * largest)

    grid = np.linspace(0, 400, 200_001)
    spectrum = dielectric_function(modes, 0.1, grid)
    integral = trapezoid(grid[:, None, None] * spectrum.epsilon.imag, grid, axis=0)
    np.testing.assert_allclose(integral, np.pi / 2 * by_hand, rtol=1e-3, atol=1e-3 * largest)
    assert modes.oscillator_error < 1e-8
    strongest = max(modes, key=lambda mode: mode.oscillator.trace())
    without = replace(modes, modes=tuple(mode for mode in modes if mode is not strongest))
    assert without.oscillator_error > 0.05


def test_strengths_charges_and_intensities_of_rock_salt(phonons):
    phonon = phonons["rock salt"]
    (mode,) = infrared_modes(phonon)
    inverse = 1 / phonon.primitive.masses
    displacements = np.sqrt((inverse**2).sum())  # of a mode: u ∝ (1/M1, −1/M2)
    assert mode.charge == pytest.approx(1.086 * inverse.sum() / displacements)
    assert mode.intensity == pytest.approx(3 * (1.086 * DEBYE) ** 2 * inverse.sum(), rel=1e-5)
    np.testing.assert_allclose(mode.oscillator, mode.strength * mode.frequency**2, atol=1e-9)
    assert mode.frequency_cm == pytest.approx(33.35641 * mode.frequency)


def test_degenerate_modes_do_not_depend_on_the_frame(phonons):
    """In a turned crystal eigh picks other vectors of each pair; nothing else may change."""
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    modes, turned = infrared_modes(phonons["wurtzite"]), infrared_modes(wurtzite(turn))
    assert [m.degeneracy for m in modes] == [m.degeneracy for m in turned]
    assert sorted(m.degeneracy for m in modes) == [1, 1, 1, 2, 2, 2]
    assert len(modes.active) == 2  # A1 and E1 of wurtzite; B1 and E2 are silent for light
    for a, b in zip(modes, turned, strict=True):
        assert b.frequency == pytest.approx(a.frequency, rel=1e-6)
        assert b.charge == pytest.approx(a.charge, abs=1e-5)
        assert b.intensity == pytest.approx(a.intensity, abs=1e-5)
        np.testing.assert_allclose(b.strength, turn @ a.strength @ turn.T, atol=1e-5)
        assert a.is_active == b.is_active
    by_degeneracy = {mode.degeneracy: mode.strength for mode in modes.active}
    along, across = by_degeneracy[1][2, 2], by_degeneracy[2][0, 0]
    np.testing.assert_allclose(by_degeneracy[1], np.diag([0, 0, along]), atol=1e-5)
    np.testing.assert_allclose(by_degeneracy[2], np.diag([across, across, 0]), atol=1e-5)
