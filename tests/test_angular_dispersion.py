"""Phonons over the direction of q, against the dielectric function and by symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from springs import Springs

from ase_equivar.dielectric import dielectric_function, infrared_modes
from ase_equivar.phonons import angular_dispersion, apply_nac, force_constants
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
    assert (np.diff(dispersion.frequencies, axis=1) >= 0).all()
    np.testing.assert_allclose(dispersion.frequencies_cm, 33.35641 * dispersion.frequencies)
    slanted = angular_dispersion(wurtzite, (0, 0, 2), (1, 0, 1), n_angles=7)
    np.testing.assert_allclose(slanted.angles[-1], 45)
    np.testing.assert_allclose(
        slanted.frequencies[[0, 6]], dispersion.frequencies[[0, 6]], atol=1e-5
    )
    with pytest.raises(ValueError, match="parallel"):
        angular_dispersion(wurtzite, (0, 0, 1), (0, 0, -3))


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
    figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000
