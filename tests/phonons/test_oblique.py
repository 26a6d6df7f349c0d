"""Phonons over the direction of q, against the dielectric function and by symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from helpers.chosen_modes import shift_modes
from helpers.springs import Springs

from ase_equivar.dielectric import dielectric_function, infrared_modes
from ase_equivar.phonons import (
    BranchKind,
    angular_dispersion,
    apply_nac,
    force_constants,
    lo_to_splitting,
)
from ase_equivar.phonons.transverse import transverse_modes
from ase_equivar.plotting import plot_angular_dispersion


@pytest.fixture(scope="module")
def wurtzite():
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38)
    phonon = force_constants(atoms, Springs(atoms, 3.5), (2, 2, 1), progress=False)
    charge = np.diag([2.1, 2.1, 2.3])
    charges = np.array([charge if s == "Zn" else -charge for s in atoms.symbols])
    return apply_nac(phonon, (charges, np.diag([3.6, 3.6, 3.8])))


@pytest.fixture(scope="module")
def dispersion(wurtzite):
    return angular_dispersion(wurtzite, n_angles=13)


def test_extraordinary_phonons_solve_the_equation_of_loudon(wurtzite, dispersion):
    """ε_z(ω) cos²θ + ε_x(ω) sin²θ = 0: there are two at every angle in between."""
    modes = infrared_modes(wurtzite)
    for angle, row, share in zip(
        np.deg2rad(dispersion.angles),
        dispersion.frequencies,
        dispersion.longitudinal,
        strict=True,
    ):
        field = row[share > 1e-4]
        assert len(field) == (1 if min(angle, np.pi / 2 - angle) < 1e-9 else 2)
        epsilon = dielectric_function(modes, 1e-9, field).epsilon.real
        along = epsilon[:, 2, 2] * np.cos(angle) ** 2 + epsilon[:, 0, 0] * np.sin(angle) ** 2
        np.testing.assert_allclose(along, 0, atol=2e-4 * np.abs(epsilon).max())


def test_ordinary_phonons_do_not_move(wurtzite, dispersion):
    (ordinary,) = [mode for mode in infrared_modes(wurtzite).active if mode.degeneracy == 2]
    for row, share in zip(dispersion.frequencies, dispersion.longitudinal, strict=True):
        still = np.abs(row - ordinary.frequency) < 1e-5
        assert still.any()
        assert share[still].min() < 1e-6
    moving = np.ptp(dispersion.frequencies, axis=0) > 0.1
    assert moving.sum() >= 2


def test_ends_and_angles(dispersion, wurtzite):
    np.testing.assert_allclose(dispersion.angles, np.linspace(0, 90, 13))
    np.testing.assert_allclose(dispersion.longitudinal.sum(axis=1), 1, rtol=1e-9)
    np.testing.assert_allclose(dispersion.frequencies_cm, 33.35641 * dispersion.frequencies)
    slanted = angular_dispersion(wurtzite, (0, 0, 2), (1, 0, 1), n_angles=7)
    np.testing.assert_allclose(slanted.angles[-1], 45)
    np.testing.assert_allclose(
        np.sort(slanted.frequencies[[0, 6]]), np.sort(dispersion.frequencies[[0, 6]]), atol=1e-5
    )
    with pytest.raises(ValueError, match="parallel"):
        angular_dispersion(wurtzite, (0, 0, 1), (0, 0, -3))


def test_branches_are_what_phonopy_finds_in_each_direction(wurtzite, dispersion):
    directions = [(np.sin(a), 0, np.cos(a)) for a in np.deg2rad(dispersion.angles)]
    for row, modes in zip(
        dispersion.frequencies, lo_to_splitting(wurtzite, directions), strict=True
    ):
        np.testing.assert_allclose(np.sort(row), modes.corrected, atol=1e-4)


def test_kinds_and_names_of_branches(dispersion):
    """Γ_opt = A1 + E1 + 2 E2 + 2 B1: A1 and half of E1 mix, the other half is ordinary."""
    by_kind = {kind: [] for kind in BranchKind}
    for kind, label in zip(dispersion.kinds, dispersion.labels, strict=True):
        by_kind[kind].append(label)
    assert by_kind[BranchKind.ORDINARY] == [("E1 (TO)", "E1 (TO)")]
    assert sorted(by_kind[BranchKind.EXTRAORDINARY]) == [
        ("A1 (LO)", "E1 (LO)"),
        ("E1 (TO)", "A1 (TO)"),
    ]
    assert sorted(label for label in by_kind[BranchKind.NONPOLAR] if label[0]) == [
        *[("B1", "B1")] * 2,
        *[("E2", "E2")] * 4,
    ]
    for branch, kind in zip(dispersion.frequencies.T, dispersion.kinds, strict=True):
        assert (np.ptp(branch) > 1e-6) == (kind is BranchKind.EXTRAORDINARY)


def test_extraordinary_branches_cross_level_ones_but_not_each_other():
    """A nonpolar mode in the way of an extraordinary one is not bent."""
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38)
    phonon = force_constants(atoms, Springs(atoms, 3.5), (1, 1, 1), progress=False)
    charge = np.diag([2.1, 2.1, 2.3])
    charges = np.array([charge if s == "Zn" else -charge for s in atoms.symbols])
    apply_nac(phonon, (charges, np.diag([3.6, 3.6, 3.8])))
    before = angular_dispersion(phonon, n_angles=13)
    (upper,) = [k for k, label in enumerate(before.labels) if label == ("A1 (LO)", "E1 (LO)")]
    halfway = before.frequencies[6, upper]
    assert np.ptp(before.frequencies[:, upper]) > 0.1
    modes = transverse_modes(phonon)
    raman = modes.sets[[modes.labels[s[0]] for s in modes.sets].index("B1")]
    shift_modes(phonon, modes.vectors[:, raman], halfway**2 - modes.frequencies[raman][0] ** 2)
    apply_nac(phonon, (charges, np.diag([3.6, 3.6, 3.8])))
    after = angular_dispersion(phonon, n_angles=13)
    (moved,) = [k for k, label in enumerate(after.labels) if label == ("A1 (LO)", "E1 (LO)")]
    np.testing.assert_allclose(after.frequencies[:, moved], before.frequencies[:, upper], atol=1e-6)
    level = np.abs(after.frequencies - halfway).max(axis=0) < 1e-3
    assert [after.labels[k] for k in np.flatnonzero(level)] == [("B1", "B1")]


def test_picture(dispersion, tmp_path):
    figure = plot_angular_dispersion(dispersion, title="ZnO")
    ax = figure.axes[0]
    assert len(ax.lines) == 12
    assert "to z, towards x" in ax.get_xlabel()
    (dots,) = ax.collections
    strongest = dots.get_offsets()[dots.get_array().argmax()]
    at = np.abs(dispersion.angles - strongest[0]).argmin()
    assert dispersion.longitudinal[at].max() == pytest.approx(dispersion.longitudinal.max())
    assert strongest[1] == dispersion.frequencies[at, dispersion.longitudinal[at].argmax()]
    assert ax.get_ylim()[1] > dispersion.frequencies.max()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(texts) == ["extraordinary", "nonpolar", "ordinary"]
    strokes = {line.get_color(): line.get_linestyle() for line in ax.lines}
    assert len(set(strokes.values())) == len(strokes) == 3
    names = " ".join(text.get_text() for text in ax.texts)
    assert all(name in names for name in ("A1 (LO)", "E1 (LO)", "A1 (TO)", "E1 (TO)"))
    figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000
