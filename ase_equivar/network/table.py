"""Weights of bonds on a grid of distances.

Everything radial in a network depends on the distance alone, and on the two elements. A fine grid
with cubic interpolation replaces it where many edges share few pairs of elements: about ten
multiplications for each weight instead of a product with a matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SHORTEST = 0.4  # Å, where grids start; the graph refuses atoms closer than 0.5 Å
SPACING = 0.006  # Å; the tests hold the error of the weights below 1e-6 of the largest


@dataclass(frozen=True)
class RadialTable:
    """Values of functions of the distance.

    Attributes
    ----------
    values : Tensor, shape (T, G, n_paths, C)
        T functions (pairs of elements) at G distances.
    """

    values: Tensor

    @staticmethod
    def n_points(cutoff: float) -> int:
        """Distances in a table for this cutoff in Å: it ends two points beyond."""
        return int((cutoff - SHORTEST) / SPACING) + 5

    @staticmethod
    def distances(cutoff: float, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
        """Distances (G,) in Å of the points of a table."""
        n = RadialTable.n_points(cutoff)
        points = torch.arange(n, dtype=torch.float64, device=device) - 1.0
        return SHORTEST + SPACING * points.to(dtype)

    @staticmethod
    def cells(distances: Tensor) -> Tensor:
        """Distances (E,) in Å in units of the spacing, counted from the first point."""
        return (distances - SHORTEST) / SPACING + 1.0


def tabulate(
    function: Callable[[Tensor], Tensor], cutoff: float, dtype: torch.dtype, device: torch.device
) -> RadialTable:
    """Evaluate weights on the grid.

    Parameters
    ----------
    function : callable
        (G,) distances in Å to (T, G, n_paths, C) weights.
    cutoff : float
        Largest distance in Å.
    dtype : torch.dtype
    device : torch.device
        Where the weights of the function lie.
    """
    with torch.no_grad():
        return RadialTable(function(RadialTable.distances(cutoff, dtype, device)).contiguous())
