"""What a Phonopy object must hold before anything is made of it: finite numbers above all.

phonopy itself takes NaN for what it is, and gives frequencies that are no better.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrix, DynamicalMatrixNAC

from ase_equivar.arguments import born_charges_array, dielectric_array, positive_number


def require_phonopy(phonon: Any) -> None:
    """Refuse what is no Phonopy object, as a TypeError."""
    if not isinstance(phonon, Phonopy):
        raise TypeError(f"phonon is a {type(phonon).__name__}; give a phonopy.Phonopy")


def require_force_constants(phonon: Phonopy) -> DynamicalMatrix:
    """Return the dynamical matrix of an object with finite force constants.

    If it has ``nac_params``, these are checked too: see `require_nac`.

    Raises
    ------
    TypeError
        When it is no Phonopy object.
    ValueError
        When it has no force constants, or they or ``nac_params`` are not finite.
    """
    require_phonopy(phonon)
    if phonon.force_constants is None:
        raise ValueError("the Phonopy object has no force constants; see force_constants()")
    if not np.isfinite(phonon.force_constants).all():
        raise ValueError("the force constants of the Phonopy object are not finite")
    matrix = phonon.dynamical_matrix
    assert matrix is not None  # phonopy makes it with the force constants
    if isinstance(matrix, DynamicalMatrixNAC):
        _check_nac(phonon, matrix)
    return matrix


def require_nac(phonon: Phonopy) -> DynamicalMatrixNAC:
    """Return the dynamical matrix of an object with the non-analytical correction.

    Raises
    ------
    TypeError
        When it is no Phonopy object.
    ValueError
        When it has no ``nac_params``, or they are not what Z* and ε∞ can be.
    """
    require_phonopy(phonon)
    if phonon.force_constants is None:
        raise ValueError("the Phonopy object has no force constants; see force_constants()")
    matrix = phonon.dynamical_matrix
    if not isinstance(matrix, DynamicalMatrixNAC):
        raise ValueError("the Phonopy object has no nac_params; see apply_nac()")
    _check_nac(phonon, matrix)
    return matrix


def _check_nac(phonon: Phonopy, matrix: DynamicalMatrixNAC) -> None:
    """Look at what is in use, and at what stands in the object, which may have changed since."""
    given = phonon.nac_params or {}
    for born in (matrix.born, given.get("born", matrix.born)):
        born_charges_array("born in nac_params", born)
    used = matrix.dielectric_constant
    for dielectric in (used, given.get("dielectric", used)):
        dielectric_array("dielectric in nac_params", dielectric)
    positive_number("factor in nac_params", matrix.nac_factor, "eV·Å")
