"""LO–TO pairs against poles and zeros of the dielectric function, and the names of modes."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from ase.build import bulk
from helpers.chosen_modes import four_ions, shift_modes, with_modes
from helpers.springs import Springs
from scipy.optimize import brentq
from scipy.stats import ortho_group

from ase_equivar.dielectric import infrared_modes
from ase_equivar.phonons import (
    angular_dispersion,
    apply_nac,
    force_constants,
    lo_to_splitting,
)
from ase_equivar.phonons.transverse import transverse_modes
from ase_equivar.warning_types import AcousticSumRuleWarning

X, Y, Z = np.eye(3)
CROWDED = [3.0, 4.0, 4.03, 5.0, 6.0, 7.0, 7.02, 8.0, 9.0]


def low_symmetry(frequencies, scale=1.0):
    """Every mode has a dipole along every direction."""
    phonon = with_modes(frequencies, ortho_group.rvs(9, random_state=4))
    charges = scale * np.random.default_rng(0).normal(scale=0.8, size=(4, 3, 3))
    a = np.random.default_rng(1).normal(size=(3, 3))
    source = charges - charges.mean(axis=0), 2.0 * np.eye(3) + 0.5 * a @ a.T
    return apply_nac(phonon, source)


def separated(frequencies):
    """Modes polarized along x, y and z, three each, as in an orthorhombic crystal."""
    one = ortho_group.rvs(3, random_state=2)
    phonon = with_modes(np.ravel(frequencies), np.kron(one, np.eye(3)))
    charges = np.multiply.outer([0.9, 1.2, -1.3, -0.8], np.eye(3))
    return apply_nac(phonon, (charges, 2.5 * np.eye(3)))


def zeros_of_epsilon(phonon, direction):
    """LO frequencies (THz) where q·ε(ω)·q = 0, and the TO ones, from strengths alone."""
    q = np.array(direction) / np.linalg.norm(direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # imaginary modes
        modes = infrared_modes(phonon)
    residues = np.array([q @ mode.oscillator @ q for mode in modes])
    seen = residues > 1e-9 * residues.max()
    residues, electronic = residues[seen], q @ modes.electronic @ q
    poles = np.array([np.sign(m.frequency) * m.frequency**2 for m in modes])[seen]
    ends = [*poles, poles[-1] + 1.01 * residues.sum() / electronic]
    squares = [
        brentq(lambda s: electronic + (residues / (poles - s)).sum(), low + 1e-9, high - 1e-9)
        for low, high in pairwise(ends)
    ]
    return [np.sign(s) * np.sqrt(np.abs(s)) for s in (poles, np.array(squares))]


@pytest.mark.parametrize("direction", [X, Y, Z, (1, 1, 0), (1, -2, 3)])
def test_pairs_are_poles_and_zeros_of_epsilon(direction):
    """Of all polar modes, however little of the field an LO mode carries between two TO modes."""
    phonon = low_symmetry(CROWDED)
    modes = lo_to_splitting(phonon, [direction])[0]
    poles, zeros = zeros_of_epsilon(phonon, direction)
    assert len(modes.pairs) == 9
    np.testing.assert_allclose([pair.to for pair in modes.pairs], poles, atol=1e-4)
    np.testing.assert_allclose([pair.lo for pair in modes.pairs], zeros, atol=1e-4)
    assert min(pair.splitting for pair in modes.pairs) >= 0
    np.testing.assert_allclose([pair.to for pair in modes.pairs], CROWDED, atol=1e-4)
    assert np.sort(modes.longitudinal)[3] < 1e-3  # there are LO modes with next to no field
    assert modes.largest == max(modes.pairs, key=lambda pair: pair.splitting)


def test_a_mode_of_another_direction_is_not_paired_though_it_coincides():
    """As in corundum, where an A2u mode (polarized along z) lies on an LO mode of Eu along x."""
    start = np.array([[4.0, 5.5, 3.0], [6.0, 6.5, 7.0], [9.0, 9.5, 8.0]])
    _, zeros = zeros_of_epsilon(separated(start), X)
    start[0, 2] = zeros[0] + 0.003
    start[1, 2] = start[0, 0] + 0.5
    phonon = separated(start)
    modes = lo_to_splitting(phonon, [X, Y, Z])
    for axis, one in enumerate(modes):
        assert [pair.to for pair in one.pairs] == pytest.approx(np.sort(start[:, axis]), abs=1e-4)
        expected = zeros_of_epsilon(separated(start), np.eye(3)[axis])[1]
        assert [pair.lo for pair in one.pairs] == pytest.approx(expected, abs=1e-4)


@pytest.mark.filterwarnings("ignore:imaginary")
def test_an_unstable_transverse_mode_has_no_gap():
    phonon = low_symmetry([-4.0, *CROWDED[1:]])
    modes = lo_to_splitting(phonon, [X])[0]
    soft, *others = modes.pairs
    assert soft.to == pytest.approx(-4.0)
    assert soft.splitting is None
    assert soft.splitting_cm is None
    assert modes.largest in others
    assert modes.largest.splitting == max(pair.splitting for pair in others)
    assert modes.largest.splitting < modes.largest.lo
    nothing_else = bulk("NaCl", "rocksalt", a=5.64)
    phonon = force_constants(nothing_else, Springs(nothing_else, 4.5), (1, 1, 1), progress=False)
    phonon.force_constants = -phonon.force_constants
    apply_nac(phonon, (9.0 * np.array([np.eye(3), -np.eye(3)]), 2.0 * np.eye(3)))
    splitting = lo_to_splitting(phonon)
    assert splitting[0].pairs[0].lo > 0 > splitting[0].pairs[0].to
    assert splitting.largest is None


# Names


def fluorite():
    atoms = bulk("CaF2", "fluorite", a=5.46)
    phonon = force_constants(atoms, Springs(atoms, 3.0), (1, 1, 1), progress=False)
    charges = np.array([{"Ca": 2.4, "F": -1.2}[s] * np.eye(3) for s in phonon.primitive.symbols])
    return apply_nac(phonon, (charges, 2.0 * np.eye(3)))


def test_pairs_and_modes_have_labels():
    modes = lo_to_splitting(fluorite(), [X])[0]
    assert [pair.label for pair in modes.pairs] == ["T1u"]
    assert sorted(modes.labels[3:]) == ["T1u"] * 3 + ["T2g"] * 3
    for label, is_active in list(zip(modes.labels, modes.is_active, strict=True))[3:]:
        assert is_active == (label == "T1u")
    assert not modes.is_active[:3].any()  # translations
    assert lo_to_splitting(low_symmetry(CROWDED))[0].pairs[4].label == "A"


@pytest.mark.parametrize("distance", [0.02, 0.005, 0.0015, 0.0])
def test_sets_that_coincide_by_accident_keep_their_names(distance):
    """A Raman mode on the infrared mode, less than the tolerance of a degenerate set away."""
    phonon = fluorite()
    modes = transverse_modes(phonon)
    raman = np.array([label == "T2g" for label in modes.labels])
    infrared = np.array([label == "T1u" for label in modes.labels])
    infrared[:3] = False  # the translations
    wanted = modes.frequencies[infrared].mean() + distance
    change = wanted**2 - modes.frequencies[raman].mean() ** 2
    shift_modes(phonon, modes.vectors[:, raman], change)
    apply_nac(phonon, (phonon.nac_params["born"], phonon.nac_params["dielectric"]))
    found = [(mode.label, mode.degeneracy, mode.is_active) for mode in infrared_modes(phonon)]
    if distance:
        assert found == [("T1u", 3, True), ("T2g", 3, False)]
    else:
        assert [degeneracy for _, degeneracy, _ in found] == [6]


def test_the_crystal_of_chosen_modes_has_no_symmetry():
    assert len(set(four_ions().symbols)) == 4
    np.testing.assert_allclose(
        transverse_modes(low_symmetry(CROWDED)).frequencies, [0, 0, 0, *CROWDED], atol=1e-4
    )


@pytest.mark.parametrize("on_site", [0.06, -0.06])
def test_force_constants_that_hold_the_crystal_are_told(on_site):
    """Acoustic modes were listed as polar ones, or blamed on a crystal that is not relaxed."""
    phonon = low_symmetry(CROWDED)
    phonon.force_constants[np.arange(len(phonon.force_constants)), phonon.primitive.p2s_map] += (
        on_site * np.eye(3)
    )
    phonon.force_constants = phonon.force_constants
    for splitting in (lo_to_splitting, lambda one: angular_dispersion(one, n_angles=3)):
        with pytest.warns(AcousticSumRuleWarning, match="violate the acoustic sum rule"):
            splitting(phonon)
