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
    translations, _ = translation_split(phonon.primitive.masses)
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


def translation_split(
    masses: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mass-weighted translations, and a basis of all displacements orthogonal to them.

    Returns
    -------
    translations : ndarray, shape (3 N, 3)
    internal : ndarray, shape (3 N, 3 N − 3)
        Together they are an orthonormal basis.
    """
    weights = np.sqrt(masses / masses.sum())
    basis, _ = np.linalg.qr(weights[:, None], mode="complete")
    return np.kron(weights[:, None], np.eye(3)), np.kron(basis[:, 1:], np.eye(3))
