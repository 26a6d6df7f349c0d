"""Translations of the whole crystal among the modes at Γ, which force nothing back."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy

from ase_equivar.phonons.degeneracy import signed_frequencies
from ase_equivar.warning_types import AcousticSumRuleWarning

TRANSLATION_WARNING = 0.5  # THz


def warn_if_translations_vibrate(phonon: Phonopy, matrix: NDArray[np.float64]) -> None:
    """Warn if the translations are far from frequency 0.

    Parameters
    ----------
    phonon : phonopy.Phonopy
    matrix : ndarray, shape (3 N, 3 N)
        At Γ, without macroscopic field, eV/(Å² u).

    Warns
    -----
    AcousticSumRuleWarning
    """
    masses = phonon.primitive.masses
    translations = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
    of_translations = np.linalg.eigvalsh(translations.T @ matrix @ translations)
    drift = signed_frequencies(of_translations, phonon.unit_conversion_factor)
    if np.abs(drift).max() > TRANSLATION_WARNING:
        warnings.warn(
            f"the acoustic modes at Γ have frequencies up to {np.abs(drift).max():.2f} THz instead "
            "of 0: the force constants violate the acoustic sum rule; "
            "phonon.symmetrize_force_constants() restores it",
            AcousticSumRuleWarning,
            stacklevel=4,
        )


def internal_basis(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of all mass-weighted displacements but the translations.

    Returns
    -------
    ndarray, shape (3 N, 3 N − 3)
        Columns.
    """
    basis, _ = np.linalg.qr(np.sqrt(masses)[:, None], mode="complete")
    return np.kron(basis[:, 1:], np.eye(3))
