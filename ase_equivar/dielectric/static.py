"""The static dielectric tensor ε0 = ε∞ + Σ_m S_m, and the Lyddane–Sachs–Teller relation.

S_m are the oscillator strengths of the modes of `infrared_modes`: Gonze and Lee, Phys. Rev. B 55,
10355 (1997).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from ase_equivar.arguments import finite_real, positive_number, store_checked
from ase_equivar.dielectric.infrared import InfraredModes
from ase_equivar.phonons.gamma import gamma_matrices, unit_vector
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.phonons.translations import internal_basis
from ase_equivar.warning_types import SoftModeWarning, StaticDielectricWarning

ANIONS = ("F", "O", "Cl", "N", "Br", "I", "S", "Se", "C", "Te", "P", "As", "H")
"""In order of decreasing electronegativity."""

LARGE_ELECTRONIC = {"H": 4.8, "F": 3.8, "Cl": 4.6, "Br": 5.1, "I": 6.3, "O": 7.2, "N": 10.9}
"""90th percentile of ε∞ (mean of the diagonal) of the compounds of each anion.

From the crystals of Petousis et al., Sci. Data 4, 160134 (2017), grouped by their most
electronegative element. See `_warn_if_static`.
"""

TOO_SOFT, TOO_STIFF = 0.2, 0.1  # of short-range force constants; see `ionic_dielectric_range`
SOFTENING = 5.0  # THz²

SOFT_MODE = 30.0  # cm⁻¹; see `SoftModeWarning`


@dataclass(frozen=True)
class StaticDielectric:
    """Static dielectric tensor at constant strain and its two parts, relative, Cartesian.

    Attributes
    ----------
    electronic : ndarray, shape (3, 3)
        ε∞, the electronic part.
    ionic : ndarray, shape (3, 3)
        Contribution of the displacements of the atoms.
    """

    electronic: NDArray[np.float64]
    ionic: NDArray[np.float64]

    def __post_init__(self) -> None:
        store_checked(
            self,
            electronic=finite_real("electronic", self.electronic, (3, 3)),
            ionic=finite_real("ionic", self.ionic, (3, 3)),
        )

    @property
    def static(self) -> NDArray[np.float64]:
        """ε0 = ε∞ + ionic part, shape (3, 3)."""
        return self.electronic + self.ionic


def static_dielectric(modes: InfraredModes) -> StaticDielectric:
    """Return ε0 = ε∞ + Σ_m S_m; imaginary modes that are not polar are left out.

    Parameters
    ----------
    modes : InfraredModes
        From `infrared_modes`.

    Raises
    ------
    ValueError
        When a polar mode is imaginary: ε0 has no meaning then; or when `modes` have no ε∞.

    Warns
    -----
    StaticDielectricWarning
        When the given ε∞ looks like a static dielectric tensor, whose ionic part would be counted
        twice. The check misses many cases: see `ase_equivar.phonons.warn_if_static`.
    SoftModeWarning
        When a polar mode lies below 30 cm⁻¹: its contribution to ε0 scales as 1/ω².
    """
    electronic = modes.require_dielectric()
    modes.require_stable()
    ionic = sum((mode.strength for mode in modes if mode.frequency > 0), np.zeros((3, 3)))
    _warn_if_soft(modes, ionic)
    _warn_if_static(modes, electronic, float(ionic.trace() / 3))
    return StaticDielectric(electronic=electronic, ionic=ionic)


def ionic_dielectric_range(
    modes: InfraredModes,
    too_soft: float = TOO_SOFT,
    too_stiff: float = TOO_STIFF,
    softening: float = SOFTENING,
) -> tuple[float, float]:
    """Return between which values the ionic part of ε0 lies, a third of its trace.

    ω² of a polar mode is what short-range forces leave when the Lorentz field has pulled:
    ω² = ω_s² − A/(ε∞ + 2) with the oscillator A of the mode in a cubic crystal of one mode,
    Cochran, Adv. Phys. 9, 387 (1960). The error of a potential is a fraction of ω_s², which in
    soft modes is many times ω². With χ for the ionic part, force constants whose short-range part
    is a fraction r larger make it

    (1/χ′ + r/(ε∞ + 2))⁻¹, with χ′ = Σ_m A_m/(ω_m² (1 + r)),

    as tensors and for any number of modes. That is the lowest value for r = `too_soft`, where the
    ω_m² in χ′ are larger by √((r ω_m²)² + softening²): modes of low frequency that are hardly
    polar are too soft by more. The highest value is that for r = −`too_stiff`. All modes move
    together, since a potential is too soft, or too stiff, in most modes of a crystal at once. The
    errors of Z* are not included. But for `softening` the limits do not depend on the masses.

    Parameters
    ----------
    modes : InfraredModes
        From `infrared_modes`.
    too_soft, too_stiff : float
        By which fraction short-range force constants may be too small and too large.
    softening : float
        By how much ω² may be too small besides, THz².

    Returns
    -------
    lowest, highest : float
        `highest` is infinite where a polar mode is imaginary or may be so. With the defaults, about
        five sixths of the values of DFPT lie between them with forces of SevenNet-l3i5: see
        ``docs/howto/dielectric.md``.

    Raises
    ------
    ValueError
        When a polar mode is imaginary by more than its error or there is no ε∞: ε0 has no meaning
        then; or an error is not positive, or `too_stiff` not below 1.
    """
    soft = positive_number("too_soft", too_soft, "any size")
    stiff = positive_number("too_stiff", too_stiff, "any size")
    if stiff >= 1:
        raise ValueError(f"too_stiff is {too_stiff}; give a fraction below 1")
    upward = positive_number("softening", softening, "THz²")
    electronic = modes.require_dielectric()
    lorentz = np.linalg.inv(electronic + 2 * np.eye(3)).astype(np.float64)
    stiffer = np.zeros((3, 3))
    for mode in modes.active:
        square = mode.frequency * abs(mode.frequency)
        raised = square + math.hypot(soft * square, upward)
        if raised <= 0:
            modes.require_stable()
        stiffer = stiffer + mode.oscillator / raised
    lowest = _in_field(stiffer, soft * lorentz)
    if any(mode.frequency <= 0 for mode in modes.active):
        return lowest, math.inf
    softer = np.zeros((3, 3))
    for mode in modes.active:
        softer = softer + mode.oscillator / (mode.frequency**2 * (1 - stiff))
    return lowest, _in_field(softer, -stiff * lorentz)


def _in_field(ionic: NDArray[np.float64], change: NDArray[np.float64]) -> float:
    """Return a third of the trace of (ionic⁻¹ + change)⁻¹; infinite where that is not stable."""
    inverse = np.eye(3) + change @ ionic  # times ionic⁻¹, which need not exist
    if np.linalg.eigvals(inverse).real.min() <= 0:
        return math.inf
    return float((ionic @ np.linalg.inv(inverse)).trace()) / 3


@dataclass(frozen=True)
class LyddaneSachsTeller:
    """Both sides of the Lyddane–Sachs–Teller relation for one direction q̂.

    Π ω_LO² / Π ω_TO² = q̂·ε0·q̂ / q̂·ε∞·q̂, the products over all optical modes with and without the
    field along q̂: W. Cochran and R. A. Cowley, J. Phys. Chem. Solids 23, 447 (1962). The left side
    comes from phonopy's corrected dynamical matrix, the right one from the oscillator strengths.

    Attributes
    ----------
    direction : ndarray, shape (3,)
        Unit vector q̂, Cartesian.
    frequency_ratio, dielectric_ratio : float
        Left and right side, dimensionless.
    """

    direction: NDArray[np.float64]
    frequency_ratio: float
    dielectric_ratio: float

    @property
    def error(self) -> float:
        """Relative difference of the two sides."""
        return self.frequency_ratio / self.dielectric_ratio - 1


def lyddane_sachs_teller(
    phonon: Phonopy,
    dielectric: StaticDielectric,
    directions: Sequence[ArrayLike] = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
) -> tuple[LyddaneSachsTeller, ...]:
    """Return both sides of the Lyddane–Sachs–Teller relation along each direction.

    They must agree whatever force constants, Z* and ε∞ are: a check of the calculation, not of the
    physics that went in.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params``.
    dielectric : StaticDielectric
        From `static_dielectric` for the same `phonon`.
    directions : sequence of array_like
        Directions of q → 0, Cartesian, each of shape (3,) and any length.
    """
    require_force_constants(phonon)
    rows = finite_real("directions", directions, (None, 3))
    internal = internal_basis(phonon.primitive.masses)
    checks = []
    for direction in rows:
        unit = unit_vector(direction)
        without, corrected = (internal.T @ m @ internal for m in gamma_matrices(phonon, unit))
        logarithms = np.linalg.slogdet(np.array([corrected, without])).logabsdet
        checks.append(
            LyddaneSachsTeller(
                direction=unit,
                frequency_ratio=float(np.exp(logarithms[0] - logarithms[1])),
                dielectric_ratio=float(
                    (unit @ dielectric.static @ unit) / (unit @ dielectric.electronic @ unit)
                ),
            )
        )
    return tuple(checks)


def _warn_if_soft(modes: InfraredModes, ionic: NDArray[np.float64]) -> None:
    soft = min(modes.active, key=lambda mode: mode.frequency, default=None)
    if soft is not None and 0 < soft.frequency_cm < SOFT_MODE:
        share = float(soft.strength.trace() / ionic.trace())
        warnings.warn(
            f"{share:.0%} of the ionic part of ε0, {ionic.trace() / 3:.3g}, comes from a polar "
            f"mode at {soft.frequency_cm:.1f} cm⁻¹ and scales as 1/ω²: small errors of the forces "
            "or of the lattice constant can change it by a factor of several",
            SoftModeWarning,
            stacklevel=3,
        )


def _warn_if_static(modes: InfraredModes, electronic: NDArray[np.float64], ionic: float) -> None:
    """Warn when the given ε∞ may already include the ionic part.

    It would then exceed 1 by more than the ionic part, and be large for a compound of its anion.
    With ionic parts from DFPT, both conditions are met by 5 % of the true ε∞ of halides, oxides,
    nitrides and hydrides, and by 80 % of their static ε. A soft force field overestimates the ionic
    part, and then most static ε go undetected. Covalent crystals do have such an ε∞ and are not
    checked. `ase_equivar.phonons.warn_if_static`, which compares with a predicted ε∞, detects more.
    """
    anion = next((symbol for symbol in ANIONS if symbol in modes.symbols), "")
    mean = float(electronic.trace() / 3)
    if anion in LARGE_ELECTRONIC and ionic < mean - 1 and mean > LARGE_ELECTRONIC[anion]:
        warnings.warn(
            f"ε∞ = {mean:.1f} is larger than in 90 % of the compounds of {anion}, and ε∞ − 1 "
            f"exceeds the ionic part, {ionic:.1f}: if it is a static dielectric constant, the "
            "ionic part is counted twice",
            StaticDielectricWarning,
            stacklevel=3,
        )
