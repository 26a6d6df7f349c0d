"""The dynamical matrix at Γ without and with the non-analytical correction; see `nac`."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrixNAC
from phonopy.physical_units import get_calculator_physical_units

from ase_equivar.arguments import finite_real
from ase_equivar.phonons.requirements import require_force_constants, require_nac
from ase_equivar.structures.phonopy_objects import require_phonopy

NAC_FACTOR = 14.399652
"""e²/(4πε0) in eV·Å, for force constants in eV/Å² and lengths in Å."""


def gamma_matrices(
    phonon: Phonopy, direction: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the dynamical matrix at Γ without and with the correction, for q → 0 along q̂.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params``.
    direction : array_like
        Direction of q, Cartesian, shape (3,); its length does not matter.

    Returns
    -------
    without, with_correction : ndarray, shape (3 N, 3 N)
        For the N atoms of the primitive cell, eV/(Å² u); both are real at Γ.

    Raises
    ------
    ValueError
        If `phonon` lacks force constants or ``nac_params``, or `direction` is zero.
    """
    matrix = require_nac(phonon)
    # Components along the reciprocal basis, as phonopy wants them: q_i = a_i·q.
    q_direction = phonon.primitive.cell @ unit_vector(direction)
    without = uncorrected_gamma_matrix(phonon)
    matrix.run(np.zeros(3), q_direction=q_direction)
    return without, np.array(matrix.dynamical_matrix).real


def uncorrected_gamma_matrix(phonon: Phonopy) -> NDArray[np.float64]:
    """Return the dynamical matrix at Γ without the correction, eV/(Å² u), shape (3 N, 3 N).

    Raises
    ------
    ValueError
        If `phonon` lacks force constants.
    """
    matrix = require_force_constants(phonon)
    matrix.run(np.zeros(3))
    return np.array(matrix.dynamical_matrix).real


def checked_correction(phonon: Phonopy, direction: ArrayLike) -> NDArray[np.float64]:
    """Return phonopy's ΔD along a direction, after comparing it with the closed formula.

    Returns
    -------
    ndarray, shape (3 N, 3 N), eV/(Å² u)

    Raises
    ------
    ValueError
        As `gamma_matrices`.
    RuntimeError
        If the two differ, so that the correction is not that of Z* and ε∞.
    """
    without, corrected = gamma_matrices(phonon, direction)
    matrix = cast(DynamicalMatrixNAC, phonon.dynamical_matrix)
    q = unit_vector(direction)
    cell = phonon.primitive
    charge = np.einsum("c,ica->ia", q, matrix.born) / np.sqrt(cell.masses)[:, None]
    scale = 4 * np.pi * NAC_FACTOR / abs(cell.volume) / (q @ matrix.dielectric_constant @ q)
    expected = scale * np.outer(charge, charge)
    difference = np.abs(corrected - without - expected).max()
    if not difference <= 1e-3 * np.abs(expected).max() + 1e-6:  # NaN is neither
        raise RuntimeError(
            f"the non-analytical correction along {np.round(q, 3)} is not that of Z* and ε∞: it "
            f"should change the dynamical matrix at Γ by up to {np.abs(expected).max():.3g} eV/(Å² "
            f"u) and is off by {difference:.3g}; check phonon.nac_params, in particular its factor"
        )
    return corrected - without


def unit_vector(direction: ArrayLike, name: str = "a direction") -> NDArray[np.float64]:
    """Return a direction scaled to length 1, shape (3,); `name` is used in messages."""
    vector = finite_real(name, direction, (3,))
    largest = np.abs(vector).max()
    if largest == 0:
        raise ValueError(f"{name} is zero; give three numbers that are not all zero")
    scaled = vector / largest  # whose square is finite
    return np.asarray(scaled / np.linalg.norm(scaled))


def check_units(phonon: Phonopy) -> None:
    """Refuse a Phonopy object that is not in eV and Å."""
    require_phonopy(phonon)
    units = get_calculator_physical_units(phonon.calculator)
    if (units.length_unit, units.force_constants_unit) != ("angstrom", "eV/angstrom^2"):
        raise ValueError(
            f"the Phonopy object is in the units of {phonon.calculator} "
            f"({units.length_unit}, {units.force_constants_unit}); only Å and eV/Å² are supported"
        )
