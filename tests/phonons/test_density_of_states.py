"""Density of states against phonopy's own and its moments."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from helpers.given_charges import NACL_BORN, NACL_DIELECTRIC, triclinic_pair
from helpers.springs import Springs
from scipy.integrate import trapezoid

from ase_equivar.phonons import apply_nac, density_of_states, force_constants, make_phonon
from ase_equivar.warning_types import InputWarning


def phonopys_own(phonon, mesh_length, x):
    """The density at evenly spaced frequencies by phonopy's command."""
    phonon.run_mesh(mesh_length)
    phonon.run_total_dos(
        freq_min=x[0], freq_max=x[-1], freq_pitch=x[1] - x[0], use_tetrahedron_method=True
    )
    return phonon.total_dos.dos


@pytest.mark.parametrize("method", ["gonze", "wang"])
def test_density_of_states_is_phonopys_own(nacl_phonon, method):
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC), method=method)
    density = density_of_states(nacl_phonon, mesh_length=40, n_points=401)
    expected = phonopys_own(nacl_phonon, 40.0, density.frequencies)
    np.testing.assert_allclose(density.corrected, expected, atol=1e-6)
    assert np.abs(density.corrected - density.uncorrected).max() > 0.1


def test_density_of_states_of_a_triclinic_crystal_is_phonopys_own():
    """Bands that overlap, and one atom so heavy that its bands are nearly flat."""
    atoms = triclinic_pair()
    atoms.set_masses([1.0, 4000.0])
    phonon = force_constants(atoms, Springs(atoms, 5.0), (2, 2, 2), progress=False)
    density = density_of_states(phonon, mesh_length=25, n_points=60)
    expected = phonopys_own(phonon, 25.0, density.frequencies)
    np.testing.assert_allclose(density.uncorrected, expected, atol=1e-9)
    assert density.uncorrected.max() > 0.1


@pytest.mark.slow
def test_moments_of_the_density_of_states():
    """All modes are there, and Σ ω² is the trace of the dynamical matrix averaged over q:
    the force constants of each atom on itself.
    """
    atoms = triclinic_pair()
    phonon = force_constants(atoms, Springs(atoms, 5.0), (2, 2, 2), progress=False)
    density = density_of_states(phonon, mesh_length=60)
    x, g = density.frequencies, density.uncorrected
    assert density.corrected is None
    assert trapezoid(g, x) == pytest.approx(6, rel=2e-3)
    own = [
        np.trace(phonon.force_constants[i, i]) / mass
        for i, mass in zip(phonon.primitive.p2s_map, phonon.primitive.masses, strict=True)
    ]
    moment = trapezoid(g * x**2, x) / phonon.unit_conversion_factor**2
    assert moment == pytest.approx(sum(own), rel=5e-3)


@pytest.mark.parametrize(("mesh_length", "n_points"), [(1.0, 801), (30.0, 2)])
def test_modes_that_are_missing_are_told(nacl_phonon, mesh_length, n_points):
    with pytest.warns(InputWarning, match=r"holds 0.00 of 6 modes: .* increase both"):
        density_of_states(nacl_phonon, mesh_length=mesh_length, n_points=n_points)


def test_density_of_states_without_force_constants_or_mesh(nacl_phonon):
    with pytest.raises(ValueError, match="no force constants"):
        density_of_states(make_phonon(bulk("NaCl", "rocksalt", a=5.64)))
    with pytest.raises(ValueError, match="mesh_length is"):
        density_of_states(nacl_phonon, mesh_length=0)
