"""Dispersion formulas of the refractive index, and the ε∞ that each extrapolates to.

n² far below the gap is a sum of poles at electronic transitions (wavelengths below 2 µm) and of
the tail of the lattice vibrations (above 4 µm). ε∞ is what remains at λ → ∞ when the lattice has
been left out, which is its contribution at λ → 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LATTICE = 4.0  # µm; a pole at a longer wavelength is one of the vibrations


@dataclass(frozen=True)
class Sellmeier:
    """n² = constant + Σ B λ²/(λ² − λ0²), with (B, λ0) as poles; lengths in µm."""

    constant: float
    poles: tuple[tuple[float, float], ...]

    @property
    def electronic(self) -> float:
        """ε∞."""
        return self.constant + sum(b for b, wavelength in self.poles if wavelength < LATTICE)


@dataclass(frozen=True)
class Fractions:
    """n² = constant + Σ B/(λ² − λ0²), with (B, λ0²) as poles; lengths in µm.

    Terms in λ², λ⁴ and so on, the lattice in other words, need not be given: they add nothing.
    """

    constant: float
    poles: tuple[tuple[float, float], ...] = ()

    @property
    def electronic(self) -> float:
        """ε∞."""
        return self.constant - sum(b / c for b, c in self.poles if c > LATTICE**2)


@dataclass(frozen=True)
class Table:
    """Pairs of λ (µm) and n."""

    points: tuple[tuple[float, float], ...]

    @property
    def electronic(self) -> float:
        """ε∞: the constant of n² = A + B/λ² + C/λ⁴ − D λ² by least squares."""
        wavelength, n = np.array(self.points).T
        terms = np.stack([wavelength**power for power in (0.0, -2.0, -4.0, 2.0)], axis=1)
        return float(np.linalg.lstsq(terms, n**2, rcond=None)[0][0])


Dispersion = Sellmeier | Fractions | Table


def squared(constant: float, *poles: tuple[float, float]) -> Sellmeier:
    """Return a Sellmeier formula whose poles are given as (B, λ0²)."""
    return Sellmeier(constant, tuple((b, c**0.5) for b, c in poles))


def sellmeier(constant: float, *poles: tuple[float, float]) -> Sellmeier:
    """Return a Sellmeier formula whose poles are given as (B, λ0)."""
    return Sellmeier(constant, poles)
