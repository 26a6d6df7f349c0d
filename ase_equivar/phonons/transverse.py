"""The modes at Γ without macroscopic field, with their dipoles and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrixNAC

from ase_equivar.phonons.degeneracy import signed_frequencies
from ase_equivar.phonons.gamma import gamma_matrices
from ase_equivar.phonons.irreps import named_sets
from ase_equivar.phonons.translations import warn_if_translations_vibrate

ACTIVE = 1e-5  # fraction of the total intensity above which a mode counts as polar


@dataclass(frozen=True)
class TransverseModes:
    """The M = 3 N modes at Γ without macroscopic field, acoustic ones included.

    Attributes
    ----------
    matrix : ndarray, shape (M, M)
        Dynamical matrix, eV/(Å² u).
    vectors : ndarray, shape (M, M)
        Its eigenvectors as columns, by ascending frequency.
    frequencies : ndarray, shape (M,)
        THz; negative: imaginary.
    sets : tuple of ndarray of int
        Indices of each degenerate set.
    labels : tuple of str
        Irreducible representation of each mode; "" if phonopy cannot determine it.
    """

    matrix: NDArray[np.float64]
    vectors: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    sets: tuple[NDArray[np.int64], ...]
    labels: tuple[str, ...]

    def adapted(self, operator: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return eigenvectors that, within each degenerate set, also diagonalize an operator.

        Parameters
        ----------
        operator : ndarray, shape (M, M)
            Symmetric.
        """
        vectors = self.vectors.copy()
        for members in self.sets:
            inside = self.vectors[:, members]
            vectors[:, members] = inside @ np.linalg.eigh(inside.T @ operator @ inside)[1]
        return vectors


def transverse_modes(phonon: Phonopy) -> TransverseModes:
    """Return the modes at Γ without macroscopic field.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params`` (see `ase_equivar.phonons.apply_nac`).

    Raises
    ------
    ValueError
        If `phonon` lacks force constants or ``nac_params``.

    Warns
    -----
    AcousticSumRuleWarning
        If the translations, which are among the modes, are far from frequency 0.
    """
    matrix, _ = gamma_matrices(phonon, (0, 0, 1))
    warn_if_translations_vibrate(phonon, matrix)
    squares, vectors = np.linalg.eigh(matrix)
    frequencies = signed_frequencies(squares, phonon.unit_conversion_factor)
    named = named_sets(phonon, frequencies, vectors)
    labels = [""] * len(frequencies)
    for members, label in named:
        for k in members:
            labels[k] = label
    return TransverseModes(
        matrix, vectors, frequencies, tuple(members for members, _ in named), tuple(labels)
    )


def dipole_matrix(phonon: Phonopy) -> NDArray[np.float64]:
    """Return Z_i[a, b]/√M_i, |e|/√u, shape (3, 3 N), which converts eigenvectors to dipoles."""
    born = cast(DynamicalMatrixNAC, phonon.dynamical_matrix).born
    return weighted_charges(born, phonon.primitive.masses)


def weighted_charges(born: NDArray[np.float64], masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Z_i[a, b]/√M_i for given Z*, |e|/√u, shape (3, 3 N)."""
    weighted = born / np.sqrt(masses)[:, None, None]
    flat: NDArray[np.float64] = weighted.transpose(1, 0, 2).reshape(3, -1)
    return flat


def polar_threshold(dipoles: NDArray[np.float64]) -> float:
    """Return the intensity, e²/u, above which a mode counts as polar, from all dipoles, (3, M)."""
    return max(ACTIVE * float((dipoles**2).sum()), 1e-12)
