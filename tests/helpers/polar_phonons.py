"""Phonons of crystals of springs with given Z* and ε∞, and their response without modes."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from scipy import constants

from ase_equivar.phonons import apply_nac, force_constants
from helpers.given_charges import triclinic_four
from helpers.springs import Springs

X, Y, Z = np.eye(3)
DIRECTIONS = (X, Y, Z, (1, 1, 0), (1, -2, 3))
DEBYE = 4.803204  # of 1 e·Å


def rock_salt(dielectric=2.43, charge=1.086):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    phonon = force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)
    return apply_nac(phonon, (charge * np.array([np.eye(3), -np.eye(3)]), dielectric * np.eye(3)))


def wurtzite(rotation=None):
    """Uniaxial: modes along the axis, pairs across it, and modes that light does not see."""
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38)
    turn = np.eye(3) if rotation is None else rotation
    atoms.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    phonon = force_constants(atoms, Springs(atoms, 3.5), (2, 2, 1), progress=False)
    charge = turn @ np.diag([2.1, 2.1, 2.3]) @ turn.T
    charges = np.array([charge if s == "Zn" else -charge for s in atoms.symbols])
    return apply_nac(phonon, (charges, turn @ np.diag([3.6, 3.6, 3.8]) @ turn.T))


def triclinic(transpose=False):
    """Four atoms without any symmetry; Z* and ε∞ likewise."""
    atoms = triclinic_four()
    phonon = force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)
    charges = np.random.default_rng(0).normal(scale=0.8, size=(4, 3, 3))
    charges -= charges.mean(axis=0)
    a = np.random.default_rng(1).normal(size=(3, 3))
    if transpose:
        charges = charges.transpose(0, 2, 1)
    return apply_nac(phonon, (charges, 2.0 * np.eye(3) + 0.5 * a @ a.T))


def gallium_arsenide():
    atoms = bulk("GaAs", "zincblende", a=5.65)
    phonon = force_constants(atoms, Springs(atoms, 4.5), (1, 1, 1), progress=False)
    return apply_nac(phonon, (2.1 * np.array([np.eye(3), -np.eye(3)]), 10.9 * np.eye(3)))


MAKERS = {"rock salt": rock_salt, "wurtzite": wurtzite, "triclinic": triclinic}


def linear_response(phonon, error=0.0):
    """e² Z Φ⁺ Zᵀ/(ε0 Ω): atoms follow a static field until springs and field balance.

    `error` changes the short-range part of the force constants by this fraction: what is left of
    them without the Lorentz field e² Zᵀ (ε∞ + 2)⁻¹ Z/(ε0 Ω) of the displaced charges.
    """
    primitive, fc = phonon.primitive, phonon.force_constants
    n = len(primitive)
    stiffness = np.zeros((n, 3, n, 3))
    for i, row in enumerate(primitive.p2s_map):
        for s, image_of in enumerate(primitive.s2p_map):
            j = list(primitive.p2s_map).index(image_of)
            stiffness[i, :, j] += fc[i if len(fc) == n else row, s]
    stiffness = stiffness.reshape(3 * n, 3 * n)
    born = phonon.nac_params["born"].transpose(1, 0, 2).reshape(3, 3 * n)
    volume = abs(primitive.volume) * constants.angstrom**3
    to_si = constants.e**2 * constants.angstrom**2 / (constants.epsilon_0 * constants.e * volume)
    lorentz = np.linalg.inv(phonon.nac_params["dielectric"] + 2 * np.eye(3))
    short_range = stiffness + to_si * born.T @ lorentz @ born
    compliance = np.linalg.pinv(stiffness + error * short_range, rcond=1e-8)  # Å²/eV
    return to_si * born @ compliance @ born.T


def reduced_mass(phonon):
    kg = constants.atomic_mass * phonon.primitive.masses
    return kg[0] * kg[1] / kg.sum()
