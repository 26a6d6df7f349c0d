"""Phonopy objects whose modes at Γ are what a test wants them to be."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from phonopy import Phonopy
from phonopy.physical_units import get_physical_units

from ase_equivar.phonons import make_phonon
from ase_equivar.phonons.translations import internal_basis
from helpers.given_charges import triclinic_four

THZ = get_physical_units().DefaultToTHz


def four_ions() -> Atoms:
    """No symmetry, four different masses."""
    return triclinic_four("LiNaClBr")


def with_modes(frequencies, vectors) -> Phonopy:
    """`four_ions` with nine optical modes, THz, negative: imaginary; acoustic ones are at 0.

    `vectors`, shape (9, 9): columns are the modes in the basis of `internal_basis`.
    """
    phonon = make_phonon(four_ions())
    internal = internal_basis(phonon.primitive.masses)
    frequencies = np.asarray(frequencies)
    squares = np.sign(frequencies) * (frequencies / THZ) ** 2
    modes = internal @ vectors
    dynamical = (modes * squares) @ modes.T
    root_mass = np.sqrt(np.repeat(phonon.primitive.masses, 3))
    constants = (dynamical * np.outer(root_mass, root_mass)).reshape(4, 3, 4, 3)
    phonon.force_constants = constants.swapaxes(1, 2).copy()
    return phonon


def shift_modes(phonon: Phonopy, vectors, change: float) -> None:
    """Add to the squares (THz², of a supercell that is the primitive cell) of some modes.

    `vectors`, shape (3 N, n): eigenvectors, complete sets, so that symmetry is kept.
    """
    n = len(phonon.primitive)
    root_mass = np.sqrt(np.repeat(phonon.primitive.masses, 3))
    added = change / THZ**2 * (vectors @ vectors.T) * np.outer(root_mass, root_mass)
    constants = np.array(phonon.force_constants)
    phonon.force_constants = constants + added.reshape(n, 3, n, 3).swapaxes(1, 2)
