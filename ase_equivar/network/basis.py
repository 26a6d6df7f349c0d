"""Radial basis functions and cutoff function of bonds.

Every network in this package describes a bond r = r_j - r_i by a few functions of its length and
real spherical harmonics of its direction, see `irreps`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GaussianBasis(nn.Module):
    """Gaussians on a uniform grid of distances, as in Kutana et al., Sci. Rep. (2025).

    Parameters
    ----------
    n_functions : int
        Number R of Gaussians, centered from 0 to `cutoff`; the width is the spacing.
    cutoff : float
        Largest distance in Å.
    """

    centers: Tensor

    def __init__(self, n_functions: int, cutoff: float) -> None:
        super().__init__()
        self.width = cutoff / max(n_functions - 1, 1)
        self.register_buffer("centers", torch.linspace(0.0, cutoff, n_functions), persistent=False)

    def forward(self, distances: Tensor) -> Tensor:
        """(E,) distances in Å to (E, R) values."""
        return torch.exp(-0.5 * ((distances[:, None] - self.centers) / self.width) ** 2)


class BesselBasis(nn.Module):
    """Spherical Bessel functions sqrt(2/c) sin(n π r / c) / r (Gasteiger et al., ICLR 2020).

    Parameters
    ----------
    n_functions : int
        Number R of functions, n = 1 … R.
    cutoff : float
        Distance c in Å at which all of them vanish.
    """

    wave_numbers: Tensor

    def __init__(self, n_functions: int, cutoff: float) -> None:
        super().__init__()
        self.prefactor = math.sqrt(2.0 / cutoff)
        orders = torch.arange(1, n_functions + 1, dtype=torch.float64)
        self.register_buffer("wave_numbers", orders * math.pi / cutoff, persistent=False)

    def forward(self, distances: Tensor) -> Tensor:
        """(E,) distances in Å to (E, R) values."""
        r = distances[:, None]
        return self.prefactor * torch.sin(r * self.wave_numbers.to(r.dtype)) / r


def smooth_cutoff(distances: Tensor, cutoff: float) -> Tensor:
    """Polynomial that falls from 1 to 0 with two continuous derivatives at both ends.

    1 - 10 x³ + 15 x⁴ - 6 x⁵ with x = r / `cutoff`, and 0 beyond, so that an atom crossing the
    cutoff causes no discontinuity.
    """
    x = (distances / cutoff).clamp(max=1.0)
    return 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


class ShiftedSoftplus(nn.Module):
    """ln(1 + eˣ) - ln 2, which vanishes at 0."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return nn.functional.softplus(x) - math.log(2.0)
