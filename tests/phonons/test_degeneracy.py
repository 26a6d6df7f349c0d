"""Degenerate sets, also where the modes of a large cell follow each other closely."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from helpers.springs import Springs

from ase_equivar.dielectric import infrared_modes
from ase_equivar.phonons import apply_nac, force_constants
from ase_equivar.phonons.degeneracy import degenerate_groups

TO_THZ = 15.633302  # √(eV/Å²/u)/2π


@pytest.mark.parametrize(
    ("frequencies", "sizes"),
    [
        ([], [0]),
        ([1.0], [1]),
        ([1.0, 1.0, 1.004, 2.0, 2.02], [3, 1, 1]),
        ([1.0, 1.0001, 1.009, 1.0091, 1.0092, 1.018], [2, 4]),
        (np.arange(10) * 0.004, None),
    ],
)
def test_sets_are_narrow_and_keep_what_is_closest(frequencies, sizes):
    values = np.array(frequencies, dtype=float)
    groups = degenerate_groups(values)
    assert np.concatenate(groups).tolist() == list(range(len(values)))
    assert all(np.ptp(values[group]) <= 0.01 for group in groups if len(group))
    if sizes is not None:
        assert [len(group) for group in groups] == sizes


@pytest.mark.slow
def test_modes_of_a_dense_spectrum_stay_where_they_are():
    """A magnetic crystal, whose modes have no names, with 48 modes within 0.4 THz."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat((2, 1, 1))
    rng = np.random.default_rng(0)
    atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
    atoms.set_masses(4000.0 * atoms.get_masses())
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    phonon = force_constants(atoms, Springs(atoms, 4.5), (1, 1, 1), progress=False)
    charges = np.multiply.outer(np.where(atoms.symbols == "Na", 1.0, -1.0), np.eye(3))
    apply_nac(phonon, (charges, 2.4 * np.eye(3)))
    n = 3 * len(atoms)
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    matrix = phonon.force_constants.transpose(0, 2, 1, 3).reshape(n, n) / np.outer(roots, roots)
    expected = np.sqrt(np.abs(np.linalg.eigvalsh(matrix)[3:])) * TO_THZ
    found = [mode.frequency for mode in infrared_modes(phonon) for _ in range(mode.degeneracy)]
    assert np.diff(expected).mean() < 0.01
    np.testing.assert_allclose(found, expected, atol=0.0101)
