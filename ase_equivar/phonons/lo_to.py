"""LO–TO splitting: the modes at Γ, with and without the non-analytical correction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from ase_equivar.frequency_units import THZ_TO_CM
from ase_equivar.phonons.nac import checked_correction, gamma_matrices, unit_vector

IMAGINARY_WARNING = -0.1  # THz: below what numerical noise makes of an acoustic mode
DEGENERATE = 0.01  # THz: modes closer than this are one degenerate set
LONGITUDINAL = 1e-3  # share of the correction that a mode carries, from which on it counts as LO


@dataclass(frozen=True)
class LoToPair:
    """A longitudinal optical mode and the transverse mode that it would be without its field.

    Attributes
    ----------
    to, lo : float
        Frequencies, THz; negative: imaginary.
    """

    to: float
    lo: float

    @property
    def gap(self) -> float:
        """LO − TO, THz."""
        return self.lo - self.to

    @property
    def to_cm(self) -> float:
        """TO, cm⁻¹."""
        return self.to * THZ_TO_CM

    @property
    def lo_cm(self) -> float:
        """LO, cm⁻¹."""
        return self.lo * THZ_TO_CM

    @property
    def gap_cm(self) -> float:
        """LO − TO, cm⁻¹."""
        return self.gap * THZ_TO_CM


@dataclass(frozen=True)
class GammaModes:
    """The M = 3 N modes at Γ for q → 0 along one direction.

    Mode k without the correction and mode k with it belong together: they overlap most. Modes are
    sorted by their frequency without the correction, degenerate ones by that with it.

    Attributes
    ----------
    direction : ndarray, shape (3,)
        Unit vector of q, Cartesian.
    uncorrected, corrected : ndarray, shape (M,)
        Frequencies without and with the correction, THz; negative: imaginary.
    overlap : ndarray, shape (M,)
        |⟨without|with⟩|² of each pair; degenerate partners count as one. 1: the same displacements;
        well below 1: the field mixes several modes, and which belongs to which is a convention.
    longitudinal : ndarray, shape (M,)
        Share of the whole correction that the corrected mode carries, 0 to 1; they sum to 1, or are
        all 0 where no mode is polar along this direction.
    """

    direction: NDArray[np.float64]
    uncorrected: NDArray[np.float64]
    corrected: NDArray[np.float64]
    overlap: NDArray[np.float64]
    longitudinal: NDArray[np.float64]

    @property
    def uncorrected_cm(self) -> NDArray[np.float64]:
        """Frequencies without the correction, cm⁻¹, shape (M,)."""
        return self.uncorrected * THZ_TO_CM

    @property
    def corrected_cm(self) -> NDArray[np.float64]:
        """Frequencies with the correction, cm⁻¹, shape (M,)."""
        return self.corrected * THZ_TO_CM

    @property
    def is_longitudinal(self) -> NDArray[np.bool_]:
        """Which modes carry a field along this direction, shape (M,)."""
        return self.longitudinal > LONGITUDINAL

    @property
    def pairs(self) -> tuple[LoToPair, ...]:
        """The LO modes along this direction with their TO partners, by rising TO frequency."""
        return tuple(
            LoToPair(to=float(self.uncorrected[k]), lo=float(self.corrected[k]))
            for k in np.flatnonzero(self.is_longitudinal)
        )

    @property
    def widest(self) -> LoToPair | None:
        """The pair with the largest gap; None where no mode is polar along this direction."""
        return max(self.pairs, key=lambda pair: pair.gap, default=None)


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
    def widest(self) -> LoToPair | None:
        """The pair with the largest gap along any direction; None for a nonpolar crystal."""
        pairs = [modes.widest for modes in self.modes if modes.widest is not None]
        return max(pairs, key=lambda pair: pair.gap, default=None)


def lo_to_splitting(
    phonon: Phonopy,
    directions: Sequence[ArrayLike] = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
) -> LoToSplitting:
    """Return the modes at Γ with and without the correction, per direction of q → 0.

    Modes are paired by the overlap of their eigenvectors, not by their rank in frequency: an LO
    mode may well rise above modes that the field does not touch. Inside a degenerate set without
    the correction, the vectors that the field singles out are taken. Where several polar modes mix,
    the partner of the lowest TO may be the highest LO, as in ferroelectric perovskites, and the gap
    of another pair may be negative: Zhong, King-Smith and Vanderbilt, Phys. Rev. Lett. 72, 3618
    (1994).

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params`` (see `apply_nac`).
    directions : sequence of array_like
        Of q, Cartesian, each of shape (3,); their lengths do not matter.

    Raises
    ------
    ValueError
        When `phonon` lacks force constants or ``nac_params``, or a direction is zero.
    RuntimeError
        When the correction does not act as Z* and ε∞ demand.

    Warns
    -----
    UserWarning
        When modes are imaginary; they are returned as negative frequencies.
    """
    splitting = LoToSplitting(tuple(_gamma_modes(phonon, direction) for direction in directions))
    lowest = min((float(modes.corrected.min()) for modes in splitting), default=0.0)
    warn_if_imaginary(lowest, "at Γ")
    return splitting


def warn_if_imaginary(lowest: float, where: str) -> None:
    """Warn when the lowest frequency (THz, negative: imaginary) shows an instability."""
    if lowest < IMAGINARY_WARNING:
        warnings.warn(
            f"imaginary modes {where}, down to {-lowest:.2f}i THz "
            f"({-lowest * THZ_TO_CM:.0f}i cm⁻¹), shown as negative frequencies: the structure is "
            "unstable or not relaxed, or the supercell is too small",
            stacklevel=3,
        )


def _gamma_modes(phonon: Phonopy, direction: ArrayLike) -> GammaModes:
    without, with_field = gamma_matrices(phonon, direction)
    correction = checked_correction(phonon, direction)
    factor = phonon.unit_conversion_factor

    squares, before = np.linalg.eigh(without)
    degenerate_set = np.zeros(len(squares), dtype=int)
    for number, group in enumerate(degenerate_groups(signed_frequencies(squares, factor))):
        # The field picks out one vector of the set; the others it leaves alone.
        subspace = before[:, group]
        before[:, group] = subspace @ np.linalg.eigh(subspace.T @ correction @ subspace)[1]
        degenerate_set[group] = number
    squares = np.einsum("ak,ab,bk->k", before, without, before)

    corrected_squares, after = np.linalg.eigh(with_field)
    corrected = signed_frequencies(corrected_squares, factor)
    overlaps = (before.T @ after) ** 2
    for group in degenerate_groups(corrected):
        overlaps[:, group] = overlaps[:, group].sum(axis=1, keepdims=True)
    rows, partner = linear_sum_assignment(overlaps, maximize=True)

    field_energy = np.einsum("ak,ab,bk->k", after, correction, after)
    total = float(np.trace(correction))
    is_polar = total > 1e-6
    share = field_energy / total if is_polar else np.zeros_like(field_energy)

    uncorrected = signed_frequencies(squares, factor)
    order = np.lexsort((corrected[partner], degenerate_set))
    return GammaModes(
        direction=unit_vector(direction),
        uncorrected=uncorrected[order],
        corrected=corrected[partner][order],
        overlap=overlaps[rows, partner][order],
        longitudinal=share[partner][order],
    )


def signed_frequencies(squares: NDArray[np.floating[Any]], factor: float) -> NDArray[np.float64]:
    """Return frequencies (THz) of eigenvalues of a dynamical matrix; negative: imaginary."""
    frequencies: NDArray[np.float64] = np.sign(squares) * np.sqrt(np.abs(squares)) * factor
    return frequencies


def degenerate_groups(frequencies: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Split the indices of ascending frequencies (THz) where the gap exceeds the tolerance."""
    edges = np.flatnonzero(np.diff(frequencies) > DEGENERATE) + 1
    return [np.asarray(group) for group in np.split(np.arange(len(frequencies)), edges)]
