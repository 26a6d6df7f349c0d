"""Velocities from displacements, against those of a motion that is known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.constraints import FixAtoms
from helpers.structures import triclinic

from ase_equivar.dielectric import trajectory_current, with_velocities

TIMESTEP = 1.0  # fs
OMEGA = 2 * np.pi / 20.0  # rad/fs: 1 668 cm⁻¹


def frames(n, *, wrapped=False, drift=0.0):
    """A vibration of all atoms in a low-symmetry crystal, and a drift of one of them."""
    start = triclinic()
    amplitudes = 0.05 * np.random.default_rng(3).normal(size=(len(start), 3))
    for k in range(n):
        atoms = start.copy()
        atoms.positions += amplitudes * np.sin(OMEGA * k * TIMESTEP)
        atoms.positions[0] += drift * k * TIMESTEP
        velocities = amplitudes * OMEGA * np.cos(OMEGA * k * TIMESTEP)  # Å/fs
        velocities[0] += drift
        if wrapped:
            atoms.wrap()
        atoms.set_velocities(velocities / units.fs)
        yield atoms


def without_velocities(images):
    for atoms in images:
        still = atoms.copy()
        del still.arrays["momenta"]
        yield still


@pytest.mark.parametrize("wrapped", [False, True])
def test_they_are_those_of_the_motion(wrapped):
    """To (ωΔt)⁴/30, through the faces of the cell too."""
    given = list(frames(60, wrapped=wrapped, drift=0.3))
    found = list(with_velocities(without_velocities(given), TIMESTEP))
    assert len(found) == 56
    bound = (OMEGA * TIMESTEP) ** 4 / 30
    for atoms, expected in zip(found, given[2:], strict=False):
        np.testing.assert_array_equal(atoms.positions, expected.positions)
        scale = np.abs(expected.get_velocities()[1:]).max()
        error = np.abs(atoms.get_velocities() - expected.get_velocities()).max()
        assert error <= 1.01 * bound * 0.2 * OMEGA / units.fs
        assert error < 0.05 * max(scale, 0.01)


def test_the_current_is_the_same():
    charges = np.random.default_rng(1).normal(size=(len(triclinic()), 3, 3))
    given = list(frames(60))
    current = trajectory_current(given[2:-2], charges, TIMESTEP).current
    moved = with_velocities(without_velocities(given), TIMESTEP)
    found = trajectory_current(moved, charges, TIMESTEP).current
    assert np.abs(found - current).max() < 5e-4 * np.abs(current).max()


def test_constraints_are_kept_and_hold_nothing_back():
    given = []
    for atoms in without_velocities(frames(6)):
        atoms.set_constraint(FixAtoms([1]))
        given.append(atoms)
    found = list(with_velocities(given, TIMESTEP))
    assert len(found[0].constraints) == 1
    assert np.abs(found[0].get_velocities()[1]).max() > 0  # what the file says


def test_too_few_frames_give_none():
    assert list(with_velocities(without_velocities(frames(4)), TIMESTEP)) == []
