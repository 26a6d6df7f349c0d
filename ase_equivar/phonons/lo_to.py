"""LO–TO splitting: the modes at Γ, with and without the non-analytical correction.

Along a direction q̂, the dielectric function q̂·ε(ω)·q̂ has a pole at each transverse mode whose
dipole has a component along q̂, and a zero at each longitudinal mode. Poles and zeros alternate, so
the n-th zero belongs to the n-th pole: between them ε is negative and light is reflected.
Experiments pair them in this way, and the gap is defined accordingly here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from ase_equivar.arguments import finite_real
from ase_equivar.phonons.degeneracy import signed_frequencies
from ase_equivar.phonons.gamma import checked_correction, gamma_matrices, unit_vector
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.phonons.transverse import (
    TransverseModes,
    dipole_matrix,
    polar_threshold,
    transverse_modes,
)
from ase_equivar.units import THZ_TO_CM
from ase_equivar.warning_types import ImaginaryModesWarning

IMAGINARY_WARNING = -0.1  # THz: below the numerical noise of acoustic modes


@dataclass(frozen=True)
class LoToPair:
    """A pole of ε along one direction and the zero that follows it: a TO and an LO mode.

    Attributes
    ----------
    to, lo : float
        Frequencies, THz; negative: imaginary.
    label : str
        Irreducible representation of the TO mode; "" if phonopy cannot determine it.
    """

    to: float
    lo: float
    label: str = ""

    @property
    def splitting(self) -> float | None:
        """LO − TO, THz; None where the TO mode is unstable."""
        return self.lo - self.to if self.to > 0 else None

    @property
    def to_cm(self) -> float:
        """TO, cm⁻¹."""
        return self.to * THZ_TO_CM

    @property
    def lo_cm(self) -> float:
        """LO, cm⁻¹."""
        return self.lo * THZ_TO_CM

    @property
    def splitting_cm(self) -> float | None:
        """LO − TO, cm⁻¹; None where the TO mode is unstable."""
        return None if self.splitting is None else self.splitting * THZ_TO_CM


@dataclass(frozen=True)
class GammaModes:
    """The M = 3 N modes at Γ for q → 0 along one direction.

    Attributes
    ----------
    direction : ndarray, shape (3,)
        Unit vector along q, Cartesian.
    uncorrected, corrected : ndarray, shape (M,)
        Frequencies without and with the correction, THz, both ascending; negative: imaginary. Mode
        k without the correction does not correspond to mode k with it.
    labels : tuple of str
        Irreducible representations of the M modes without the correction; "" if phonopy cannot
        determine them.
    is_active : ndarray of bool, shape (M,)
        Whether light of any polarization excites the degenerate set of each of the M modes without
        the correction.
    longitudinal : ndarray, shape (M,)
        Fraction of the total correction in each corrected mode, 0 to 1; they sum to 1, or are all 0
        if no mode is polar along this direction.
    pairs : tuple of LoToPair
        All TO modes that are polar along this direction, by ascending frequency, with their LO
        modes.
    """

    direction: NDArray[np.float64]
    uncorrected: NDArray[np.float64]
    corrected: NDArray[np.float64]
    labels: tuple[str, ...]
    is_active: NDArray[np.bool_]
    longitudinal: NDArray[np.float64]
    pairs: tuple[LoToPair, ...]

    @property
    def uncorrected_cm(self) -> NDArray[np.float64]:
        """Frequencies without the correction, cm⁻¹, shape (M,)."""
        return self.uncorrected * THZ_TO_CM

    @property
    def corrected_cm(self) -> NDArray[np.float64]:
        """Frequencies with the correction, cm⁻¹, shape (M,)."""
        return self.corrected * THZ_TO_CM

    @property
    def largest(self) -> LoToPair | None:
        """The pair with the largest gap; None without a stable mode that is polar here."""
        return _largest(self.pairs)


@dataclass(frozen=True)
class LoToSplitting:
    """The modes at Γ for several directions of q → 0.

    Attributes
    ----------
    modes : tuple of GammaModes
        One entry per direction, in the order given.
    """

    modes: tuple[GammaModes, ...]

    def __iter__(self) -> Iterator[GammaModes]:
        return iter(self.modes)

    def __len__(self) -> int:
        return len(self.modes)

    def __getitem__(self, index: int) -> GammaModes:
        return self.modes[index]

    @property
    def largest(self) -> LoToPair | None:
        """The pair with the largest gap along any direction; None without a stable polar mode."""
        return _largest([pair for modes in self.modes for pair in modes.pairs])


def lo_to_splitting(
    phonon: Phonopy,
    directions: Sequence[ArrayLike] = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
) -> LoToSplitting:
    """Return the modes at Γ with and without the correction, per direction of q → 0.

    The n-th LO mode is paired with the n-th TO mode among those polar along q; modes not affected
    by the field are not counted. If several polar modes mix, the eigenvector of a TO mode may be
    closest to that of an LO mode far above the one it is paired with, as in ferroelectric
    perovskites: Zhong, King-Smith and Vanderbilt, Phys. Rev. Lett. 72, 3618 (1994). A weak mode
    inside the reststrahlen band of a strong one divides the band, and its gap, in two.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params`` (see `apply_nac`).
    directions : sequence of array_like
        Directions of q, Cartesian, each of shape (3,); their lengths do not matter.

    Raises
    ------
    ValueError
        If `phonon` lacks force constants or ``nac_params``, or a direction is zero.
    RuntimeError
        If the correction is not that of Z* and ε∞.

    Warns
    -----
    ImaginaryModesWarning
        If modes are imaginary; they are returned as negative frequencies.
    """
    require_force_constants(phonon)
    rows = [
        unit_vector(direction, "one of directions")
        for direction in finite_real("directions", directions, (None, 3))
    ]
    transverse = transverse_modes(phonon)
    splitting = LoToSplitting(
        tuple(_gamma_modes(phonon, transverse, direction) for direction in rows)
    )
    lowest = min((float(modes.corrected.min()) for modes in splitting), default=0.0)
    warn_if_imaginary(lowest, "at Γ")
    return splitting


def warn_if_imaginary(lowest: float, where: str) -> None:
    """Warn if the lowest frequency (THz, negative: imaginary) indicates an instability."""
    if lowest < IMAGINARY_WARNING:
        warnings.warn(
            f"imaginary modes {where}, down to {-lowest:.2f}i THz "
            f"({-lowest * THZ_TO_CM:.0f}i cm⁻¹), shown as negative frequencies: the structure is "
            "unstable or not relaxed, or the supercell is too small",
            ImaginaryModesWarning,
            stacklevel=3,
        )


def _gamma_modes(phonon: Phonopy, transverse: TransverseModes, direction: ArrayLike) -> GammaModes:
    _, with_field = gamma_matrices(phonon, direction)
    correction = checked_correction(phonon, direction)
    factor = phonon.unit_conversion_factor
    unit = unit_vector(direction)

    # In each degenerate set, the field couples to one vector; the others are not affected.
    before = transverse.adapted(correction)
    dipoles = dipole_matrix(phonon) @ before
    polar = np.flatnonzero((unit @ dipoles) ** 2 > polar_threshold(dipoles))
    is_active = np.zeros(len(before), dtype=bool)
    for members in transverse.sets:
        is_active[members] = (dipoles[:, members] ** 2).sum() > polar_threshold(dipoles)
    inside = before[:, polar]
    to = signed_frequencies(np.einsum("ak,ab,bk->k", inside, transverse.matrix, inside), factor)
    lo = signed_frequencies(np.linalg.eigvalsh(inside.T @ with_field @ inside), factor)
    labels = [transverse.labels[k] for k in polar]

    squares, after = np.linalg.eigh(with_field)
    field_energy = np.einsum("ak,ab,bk->k", after, correction, after)
    share = field_energy / np.trace(correction) if len(polar) else np.zeros_like(field_energy)
    return GammaModes(
        direction=unit,
        uncorrected=transverse.frequencies,
        corrected=signed_frequencies(squares, factor),
        labels=transverse.labels,
        is_active=is_active,
        longitudinal=share,
        pairs=tuple(
            LoToPair(float(to[k]), float(lo[n]), labels[k]) for n, k in enumerate(np.argsort(to))
        ),
    )


def _largest(pairs: Sequence[LoToPair]) -> LoToPair | None:
    gaps = [(pair.splitting, k) for k, pair in enumerate(pairs) if pair.splitting is not None]
    return pairs[max(gaps)[1]] if gaps else None
