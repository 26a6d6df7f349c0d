"""Angular dispersion of the modes at Γ with the direction of q: ordinary and extraordinary phonons.

As q rotates in a plane, a mode whose dipole is perpendicular to that plane, or zero, never has a
field: its frequency does not depend on the direction. In a uniaxial crystal, with the axis in the
plane, those with a dipole (perpendicular to q and to the axis) are the ordinary phonons. All modes
with a dipole in the plane mix longitudinal and transverse character as q rotates away from the
axis: extraordinary phonons. R. Loudon, Adv. Phys. 13, 423 (1964).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from ase_equivar.arguments import whole_number
from ase_equivar.phonons.degeneracy import signed_frequencies
from ase_equivar.phonons.gamma import checked_correction, gamma_matrices, unit_vector
from ase_equivar.phonons.lo_to import warn_if_imaginary
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.phonons.transverse import dipole_matrix, polar_threshold, transverse_modes
from ase_equivar.units import THZ_TO_CM

FIELD = 1e-6  # fraction of the correction above which a mode is called longitudinal


class BranchKind(StrEnum):
    """Effect of the field on a branch; see the docstring of `ase_equivar.phonons.oblique`."""

    EXTRAORDINARY = "extraordinary"
    ORDINARY = "ordinary"
    NONPOLAR = "nonpolar"


@dataclass(frozen=True)
class AngularDispersion:
    """The M = 3 N modes at Γ for n directions of q → 0 in one plane.

    Extraordinary branches never cross each other and are connected by their order; ordinary and
    nonpolar ones are flat and may cross others.

    Attributes
    ----------
    start, end : ndarray, shape (3,)
        First and last direction, Cartesian unit vectors.
    angles : ndarray, shape (n,)
        Angle between q and `start`, degrees.
    frequencies : ndarray, shape (n, M)
        Frequencies of each branch with the non-analytical correction, THz; negative: imaginary.
    longitudinal : ndarray, shape (n, M)
        Fraction of the total correction in each mode, 0 (no field) to 1.
    kinds : tuple of BranchKind
        Kinds of the M branches.
    labels : tuple of (str, str)
        Label of each branch for q along `start` and along `end`, e.g. "A1 (LO)", or "E2" for a
        nonpolar one; "" if phonopy has no name, or if representations mix.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    angles: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    longitudinal: NDArray[np.float64]
    kinds: tuple[BranchKind, ...]
    labels: tuple[tuple[str, str], ...]

    @property
    def frequencies_cm(self) -> NDArray[np.float64]:
        """Frequencies, cm⁻¹, shape (n, M)."""
        return self.frequencies * THZ_TO_CM


def angular_dispersion(
    phonon: Phonopy,
    start: ArrayLike = (0, 0, 1),
    end: ArrayLike = (1, 0, 0),
    *,
    n_angles: int = 91,
) -> AngularDispersion:
    """Return the modes at Γ as q → 0 rotates from one direction to another.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params`` (see `ase_equivar.phonons.apply_nac`).
    start, end : array_like
        Cartesian, shape (3,), not parallel. By default from z, usually the axis of a uniaxial
        crystal, to x.
    n_angles : int
        Number of directions, both ends included.

    Raises
    ------
    ValueError
        If `phonon` lacks force constants or ``nac_params``, or the directions are parallel.

    Warns
    -----
    ImaginaryModesWarning
        If modes are imaginary.
    """
    require_force_constants(phonon)
    first, last = unit_vector(start, "start"), unit_vector(end, "end")
    n_angles = whole_number("n_angles", n_angles, at_least=2)
    across = last - (first @ last) * first
    if np.linalg.norm(across) < 1e-6:
        raise ValueError(
            f"the directions {start!r} and {end!r} are parallel and do not span a plane"
        )
    across = unit_vector(across)
    angles = np.linspace(0, np.arctan2(across @ last, first @ last), n_angles)
    directions = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * across

    modes, charges = transverse_modes(phonon), dipole_matrix(phonon)
    normal = np.cross(first, across)
    # In each degenerate set, vectors with a dipole in the plane, perpendicular to it, and without
    # one.
    vectors = modes.adapted(charges.T @ (np.eye(3) - 2 * np.outer(normal, normal)) @ charges)
    dipoles = charges @ vectors
    threshold = polar_threshold(dipoles)
    off_plane = (normal @ dipoles) ** 2
    moves = (dipoles**2).sum(axis=0) - off_plane > threshold
    moving = vectors[:, moves]
    names = [name for name, does in zip(modes.labels, moves, strict=True) if does]

    frequencies = np.tile(modes.frequencies, (n_angles, 1))
    longitudinal = np.zeros_like(frequencies)
    inside = []  # eigenvectors in terms of `moving`
    for k, direction in enumerate(directions):
        _, with_field = gamma_matrices(phonon, direction)
        squares, mixed = np.linalg.eigh(moving.T @ with_field @ moving)
        correction = checked_correction(phonon, direction)
        field_energy = np.einsum("ak,ab,bk->k", moving @ mixed, correction, moving @ mixed)
        if (total := float(np.trace(correction))) > 0:
            longitudinal[k, moves] = field_energy / total
        frequencies[k, moves] = signed_frequencies(squares, phonon.unit_conversion_factor)
        inside.append(mixed)
    warn_if_imaginary(float(frequencies.min()), "at Γ")

    labels = [(name, name) for name in modes.labels]
    kinds = [BranchKind.NONPOLAR] * len(labels)
    for k in np.flatnonzero(off_plane > threshold).tolist():
        kinds[k] = BranchKind.ORDINARY
        labels[k] = (_with_type(modes.labels[k], 0.0), _with_type(modes.labels[k], 0.0))
    for n, k in enumerate(np.flatnonzero(moves).tolist()):
        kinds[k] = BranchKind.EXTRAORDINARY
        at_start, at_end = (
            _with_type(_common_name(names, inside[end][:, n]), longitudinal[end, k])
            for end in (0, -1)
        )
        labels[k] = (at_start, at_end)
    return AngularDispersion(
        start=first,
        end=last,
        angles=np.rad2deg(angles),
        frequencies=frequencies,
        longitudinal=longitudinal,
        kinds=tuple(kinds),
        labels=tuple(labels),
    )


def _common_name(names: list[str], vector: NDArray[np.float64]) -> str:
    """Return the representation of a mixture of modes; "" if it is not a single one."""
    for name in dict.fromkeys(names):
        share = sum(part**2 for part, of in zip(vector, names, strict=True) if of == name)
        if share > 0.99:
            return name
    return ""


def _with_type(name: str, longitudinal: float) -> str:
    if not name:
        return ""
    return f"{name} (LO)" if longitudinal > FIELD else f"{name} (TO)"
