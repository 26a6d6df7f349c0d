"""The exact motion of the harmonic crystal at a temperature, frame by frame."""

from __future__ import annotations

import numpy as np
from ase import units

from helpers.polar_crystal import CHARGES, HESSIAN, MASSES, N, ions

BORN = CHARGES.reshape(3, N, 3).transpose(1, 0, 2)
ELECTRONIC = np.array([[2.5, 0.2, 0.1], [0.2, 3.0, -0.1], [0.1, -0.1, 2.2]])
KELVIN = 300.0
STEP = 2.0  # fs


def harmonic_run(frames, seed=3):
    """Exact motion of the harmonic crystal with kT of energy in each mode, phases random."""
    roots = np.sqrt(np.repeat(MASSES, 3))
    squares, modes = np.linalg.eigh(HESSIAN / np.outer(roots, roots))
    omega, modes = np.sqrt(squares[3:]), modes[:, 3:]
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, size=len(omega))
    angles = np.arange(frames)[:, None] * STEP * units.fs * omega + phases
    amplitude = np.sqrt(2 * units.kB * KELVIN)
    positions = (amplitude / omega * np.sin(angles)) @ modes.T / roots
    velocities = (amplitude * np.cos(angles)) @ modes.T / roots
    for u, v in zip(positions.reshape(-1, N, 3), velocities.reshape(-1, N, 3), strict=True):
        atoms = ions(velocities=False)
        atoms.positions += u
        atoms.set_velocities(v)
        yield atoms
