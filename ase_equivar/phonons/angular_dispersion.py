"""How the modes at Γ change with the direction of q: ordinary and extraordinary phonons.

In a uniaxial crystal, a mode whose dipole is perpendicular to both q and the axis carries no field:
an ordinary phonon, whose frequency does not depend on the direction. The others mix longitudinal
and transverse parts as q turns from the axis into the plane: extraordinary phonons. R. Loudon,
Adv. Phys. 13, 423 (1964).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from ase_equivar.frequency_units import THZ_TO_CM
from ase_equivar.phonons.lo_to import lo_to_splitting
from ase_equivar.phonons.nac import unit_vector


@dataclass(frozen=True)
class AngularDispersion:
    """The M = 3 N modes at Γ for n directions of q → 0 in one plane.

    Attributes
    ----------
    start, end : ndarray, shape (3,)
        First and last direction, Cartesian unit vectors.
    angles : ndarray, shape (n,)
        Between q and `start`, degrees.
    frequencies : ndarray, shape (n, M)
        With the non-analytical correction, THz, rising; negative: imaginary.
    longitudinal : ndarray, shape (n, M)
        Share of the whole correction that each mode carries, 0 (no field: an ordinary phonon, or
        one that light does not excite) to 1.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    angles: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    longitudinal: NDArray[np.float64]

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
    """Return the modes at Γ while q → 0 turns from one direction to another.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params`` (see `ase_equivar.phonons.apply_nac`).
    start, end : array_like
        Cartesian, shape (3,), not parallel. By default from z, the axis of a uniaxial crystal as
        it is usually set up, to x.
    n_angles : int
        Number of directions, both ends included.

    Raises
    ------
    ValueError
        When `phonon` lacks force constants or ``nac_params``, or the directions are parallel.

    Warns
    -----
    UserWarning
        When modes are imaginary.
    """
    first, last = unit_vector(start), unit_vector(end)
    across = last - (first @ last) * first
    if np.linalg.norm(across) < 1e-6:
        raise ValueError(f"the directions {start!r} and {end!r} are parallel: they span no plane")
    across = unit_vector(across)
    angles = np.linspace(0, np.arctan2(across @ last, first @ last), n_angles)
    directions = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * across
    modes = lo_to_splitting(phonon, list(directions))
    order = [np.argsort(one.corrected, kind="stable") for one in modes]
    return AngularDispersion(
        start=first,
        end=last,
        angles=np.rad2deg(angles),
        frequencies=np.array([one.corrected[k] for one, k in zip(modes, order, strict=True)]),
        longitudinal=np.array([one.longitudinal[k] for one, k in zip(modes, order, strict=True)]),
    )
