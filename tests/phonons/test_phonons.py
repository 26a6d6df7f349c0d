"""Corrected phonons against closed formulas, on low-symmetry crystals."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from helpers.given_charges import (
    DIRECTIONS,
    NACL_BORN,
    NACL_DIELECTRIC,
    fluorite,
    random_charges,
    random_dielectric,
    triclinic_pair,
)
from helpers.springs import Springs, stiffness_matrix
from scipy import constants

from ase_equivar.phonons import (
    apply_nac,
    bands,
    force_constants,
    gamma,
    lo_to_splitting,
    polar_phonon,
)
from ase_equivar.phonons.cells import to_ase


def optical_by_hand(atoms, born, dielectric, direction):
    """The three optical frequencies at Γ of a diatomic crystal, THz, from SI constants.

    Both sublattices move rigidly, so the reduced mass and one 3×3 matrix say everything.
    """
    kg = constants.atomic_mass * atoms.get_masses()
    mass = kg[0] * kg[1] / kg.sum()
    spring = stiffness_matrix(atoms, 5.0) * constants.e / constants.angstrom**2
    q = np.array(direction) / np.linalg.norm(direction)
    polarization = constants.e * q @ born[1]
    volume = atoms.get_volume() * constants.angstrom**3
    field = np.outer(polarization, polarization) / (constants.epsilon_0 * (q @ dielectric @ q))
    return np.sqrt(np.linalg.eigvalsh((spring + field / volume) / mass)) / (2 * np.pi * 1e12)


def test_cubic_lo_to_formula(nacl_phonon):
    """ω_LO² − ω_TO² = Z*² e² / (ε0 ε∞ μ Ω), and ω_TO² = 2 k / μ + second shell's 0."""
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    atoms = to_ase(nacl_phonon.primitive)
    kg = constants.atomic_mass * atoms.get_masses()
    mass = kg[0] * kg[1] / kg.sum()
    volume = atoms.get_volume() * constants.angstrom**3
    jump = (1.086 * constants.e) ** 2 / (constants.epsilon_0 * 2.43 * mass * volume)
    splitting = lo_to_splitting(nacl_phonon, DIRECTIONS)
    assert len(splitting) == len(DIRECTIONS)
    for modes in splitting:
        (pair,) = modes.pairs
        squares = [(2 * np.pi * 1e12 * f) ** 2 for f in (pair.to, pair.lo)]
        assert squares[1] - squares[0] == pytest.approx(jump, rel=1e-5)
        spring = 2 * 30.0 * np.exp(-5.64 / 2) * constants.e / constants.angstrom**2
        assert squares[0] == pytest.approx(spring / mass, rel=1e-3)  # anharmonic at 0.01 Å
        # The transverse modes stay, the acoustic ones are zero.
        np.testing.assert_allclose(modes.corrected[:5], modes.uncorrected[:5], atol=1e-3)
        np.testing.assert_allclose(modes.corrected[:3], 0, atol=1e-3)
    assert splitting.largest.splitting_cm == pytest.approx(
        splitting.largest.splitting * 33.35641, rel=1e-6
    )


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_triclinic_direction_dependence(pair_phonon, direction):
    atoms = triclinic_pair()
    born, dielectric = random_charges(2), random_dielectric()
    apply_nac(pair_phonon, (born, dielectric))
    modes = lo_to_splitting(pair_phonon, [direction])[0]
    by_hand = optical_by_hand(atoms, born, dielectric, direction)
    np.testing.assert_allclose(np.sort(modes.corrected)[3:], by_hand, rtol=1e-3)
    without = optical_by_hand(atoms, 0 * born, dielectric, direction)
    np.testing.assert_allclose(modes.uncorrected[3:], without, rtol=1e-3)
    assert modes.longitudinal.sum() == pytest.approx(1)


def test_transposed_charges_are_wrong(pair_phonon):
    """The index order matters: Z*ᵀ misses the closed formula by far more than our tolerance."""
    born, dielectric = random_charges(2), random_dielectric()
    apply_nac(pair_phonon, (born.transpose(0, 2, 1), dielectric))
    modes = lo_to_splitting(pair_phonon, [(1, 0, 0)])[0]
    by_hand = optical_by_hand(triclinic_pair(), born, dielectric, (1, 0, 0))
    assert np.abs(np.sort(modes.corrected)[3:] / by_hand - 1).max() > 0.02


def test_modes_that_the_field_does_not_touch_are_not_paired():
    """In fluorite the LO mode rises above the Raman modes, which the field must leave alone."""
    phonon = fluorite()
    symbols = phonon.primitive.symbols
    born = np.array([{"Ca": 2.4, "F": -1.2}[s] * np.eye(3) for s in symbols])
    apply_nac(phonon, (born, 2.0 * np.eye(3)))
    modes = lo_to_splitting(phonon, [(1, 2, 3)])[0]
    (pair,) = modes.pairs
    infrared = np.isclose(modes.uncorrected, pair.to, atol=1e-3)
    raman = ~infrared & (modes.uncorrected > 0.1)
    assert (infrared.sum(), raman.sum()) == (3, 3)
    assert pair.to < modes.uncorrected[raman].min() < pair.lo  # it crossed them
    away = np.abs(modes.corrected - modes.uncorrected[raman].mean()) > 1e-6
    assert away.sum() == 6
    carries = modes.longitudinal > 0.5
    assert carries.sum() == 1
    assert modes.corrected[carries][0] == pytest.approx(pair.lo)


@pytest.mark.filterwarnings("ignore:imaginary")  # so strong charges in so small a supercell
def test_bands_at_gamma_follow_each_segments_direction(pair_phonon):
    apply_nac(pair_phonon, (random_charges(2), random_dielectric()))
    segments = bands(pair_phonon, n_points=5)
    reciprocal = np.linalg.inv(pair_phonon.primitive.cell).T
    at_gamma = 0
    for segment in segments:
        for index, other in ((0, -1), (-1, 0)):
            if np.abs(segment.qpoints[index]).max() > 1e-9:
                continue
            at_gamma += 1
            modes = lo_to_splitting(pair_phonon, [segment.qpoints[other] @ reciprocal])[0]
            np.testing.assert_allclose(
                segment.corrected[index][3:], np.sort(modes.corrected)[3:], atol=1e-5
            )
            np.testing.assert_allclose(
                segment.uncorrected[index][3:], modes.uncorrected[3:], atol=1e-5
            )
    assert at_gamma >= 6


def test_bands_converge_to_their_value_at_gamma(nacl_phonon):
    """With the correction, q → 0 is continuous along a segment; without it LO is missing."""
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    segment = bands(nacl_phonon, "GX", n_points=401)[0]
    assert (segment.start, segment.end) == ("G", "X")
    np.testing.assert_allclose(segment.corrected[1], segment.corrected[0], atol=0.05)
    assert segment.corrected[0, -1] - segment.uncorrected[0, -1] > 1
    # Far from Γ, at a q-point that the supercell holds, the correction must vanish.
    np.testing.assert_allclose(segment.corrected[-1], segment.uncorrected[-1], atol=1e-6)


def test_bands_without_correction_and_unknown_point(nacl_phonon):
    segments = bands(nacl_phonon, "GX,GL", n_points=3)
    assert [(s.start, s.end) for s in segments] == [("G", "X"), ("G", "L")]
    assert all(s.corrected is None for s in segments)
    with pytest.raises(
        ValueError, match=r"'GZ' does not fit this lattice, which has the points .*X"
    ):
        bands(nacl_phonon, "GZ")
    for path in ("", "G", "G,X", "GX,", "GX,L", "GG", "GXXL"):
        with pytest.raises(ValueError, match=r"does not fit this lattice|part without length"):
            bands(nacl_phonon, path)


@pytest.mark.parametrize("method", ["gonze", "wang"])
def test_both_methods_agree_with_the_closed_formula(pair_phonon, method):
    apply_nac(pair_phonon, (random_charges(2), random_dielectric()), method=method)
    assert type(pair_phonon.dynamical_matrix).__name__.endswith(
        {"gonze": "GL", "wang": "Wang"}[method]
    )
    change = gamma.checked_correction(pair_phonon, (1, 2, -1))
    assert np.linalg.matrix_rank(change, tol=1e-8 * np.abs(change).max()) == 1


def test_polar_phonon_is_all_steps_in_one():
    atoms = triclinic_pair()
    source = random_charges(2), random_dielectric()
    one = polar_phonon(
        atoms, Springs(atoms, 5.0), source, supercell=(2, 2, 2), method="wang", progress=False
    )
    steps = force_constants(atoms, Springs(atoms, 5.0), (2, 2, 2), progress=False)
    apply_nac(steps, source)
    expected = lo_to_splitting(steps, DIRECTIONS)
    for a, b in zip(lo_to_splitting(one, DIRECTIONS), expected, strict=True):
        np.testing.assert_allclose(a.corrected, b.corrected, atol=1e-6)
    assert one.nac_params["method"] == "wang"


def test_polar_phonon_asks_for_charges_before_forces():
    class NoForces(Calculator):
        implemented_properties = ("forces",)

    with pytest.raises(ValueError, match="fit neither"):
        polar_phonon(triclinic_pair(), NoForces(), (random_charges(5), random_dielectric()))


def test_nonpolar_crystal_has_no_pairs():
    atoms = bulk("Si", "diamond", a=5.43)
    phonon = force_constants(atoms, Springs(atoms, 4.0), (2, 2, 2), progress=False)
    with pytest.warns(UserWarning, match="changes nothing"):
        apply_nac(phonon, (np.zeros((2, 3, 3)), 12.0 * np.eye(3)))
    splitting = lo_to_splitting(phonon)
    assert splitting.largest is None
    np.testing.assert_allclose(splitting[0].corrected, splitting[0].uncorrected, atol=1e-5)
