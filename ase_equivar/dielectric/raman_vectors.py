"""Eigenvectors of the optical modes at Γ in degenerate sets, with and without a direction of q."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy

from ase_equivar.phonons.degeneracy import degenerate_groups, signed_frequencies
from ase_equivar.phonons.gamma import checked_correction
from ase_equivar.phonons.irreps import named_sets
from ase_equivar.phonons.transverse import dipole_matrix, polar_threshold

SHARE = 0.01  # smallest share of a representation in a mode that appears in its label


@dataclass(frozen=True)
class ModeSet:
    """A set of degenerate modes.

    Attributes
    ----------
    frequency : float
        THz; negative: imaginary.
    vectors : ndarray, shape (3 N, g)
        Eigenvectors of the dynamical matrix as columns; rows x, y, z of atom 0, then of atom 1, ….
    label : str
        Irreducible representation (Mulliken symbol); "" if phonopy cannot assign one.
    """

    frequency: float
    vectors: NDArray[np.float64]
    label: str


def transverse_sets(
    phonon: Phonopy, squares: NDArray[np.float64], vectors: NDArray[np.float64]
) -> list[ModeSet]:
    """Return the sets of the modes without macroscopic field.

    Parameters
    ----------
    phonon : phonopy.Phonopy
    squares, vectors : ndarray, shape (M,) and (3 N, M)
        From `ase_equivar.dielectric.infrared.optical_modes`.
    """
    frequencies = signed_frequencies(squares, phonon.unit_conversion_factor)
    return [
        ModeSet(float(frequencies[members].mean()), vectors[:, members], label)
        for members, label in named_sets(phonon, frequencies, vectors)
    ]


def longitudinal_sets(
    phonon: Phonopy, transverse: list[ModeSet], direction: NDArray[np.float64]
) -> list[ModeSet]:
    """Return the sets of the modes for q → 0 along a direction.

    In each degenerate set that is polar along q, the field couples to one combination of the modes.
    These combinations mix with each other into the longitudinal modes; all others do not change.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With ``nac_params``.
    transverse : list of ModeSet
        From `transverse_sets`.
    direction : ndarray, shape (3,)
        Unit vector, Cartesian.
    """
    correction = checked_correction(phonon, direction)
    charges = dipole_matrix(phonon)
    threshold = polar_threshold(charges @ np.hstack([one.vectors for one in transverse]))
    found, picked, names, squares = [], [], [], []
    for one in transverse:
        dipoles = charges @ one.vectors
        label = one.label
        if label and (dipoles**2).sum() > threshold:
            label = f"{one.label} (TO)"
        along = direction @ dipoles
        rest = one.vectors
        if along @ along > threshold:
            basis, _ = np.linalg.qr(along[:, None], mode="complete")
            picked.append(one.vectors @ basis[:, 0])
            names.append(one.label)
            squares.append(np.sign(one.frequency) * one.frequency**2)
            rest = one.vectors @ basis[:, 1:]
        if rest.shape[1]:
            found.append(ModeSet(one.frequency, rest, label))
    if not picked:
        return found
    mixing = np.array(picked).T
    factor = phonon.unit_conversion_factor
    matrix = np.diag(squares) / factor**2 + mixing.T @ correction @ mixing
    eigenvalues, shares = np.linalg.eigh(matrix)
    frequencies = signed_frequencies(eigenvalues, factor)
    for members in degenerate_groups(frequencies):
        label = _mixed_name(names, (shares[:, members] ** 2).sum(axis=1) / len(members))
        vectors = mixing @ shares[:, members]
        found.append(ModeSet(float(frequencies[members].mean()), vectors, label))
    return found


def _mixed_name(names: list[str], shares: NDArray[np.float64]) -> str:
    """Return the representations that contribute to a mode; "" if one of them is not known."""
    inside = {
        name: float(shares[[of == name for of in names]].sum()) for name in dict.fromkeys(names)
    }
    parts = [name for name, share in inside.items() if share > SHARE]
    return f"{' + '.join(sorted(parts))} (LO)" if all(parts) else ""
