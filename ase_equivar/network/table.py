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

# Å; binary fractions, so that single precision too has every point of a grid as it is: weights may
# change by a tenth within 0.01 Å, and rounded distances would be the larger part of their error.
SHORTEST = 25 / 64  # where grids start; the graph refuses atoms closer than 0.5 Å
SPACING = 3 / 512  # the tests hold the error of the weights below 1e-6 of the largest


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
    def distances(cutoff: float, device: torch.device | str = "cpu") -> Tensor:
        """Distances (G,) in Å of the points of a table, float64."""
        n = RadialTable.n_points(cutoff)
        return SHORTEST + SPACING * (torch.arange(n, dtype=torch.float64, device=device) - 1.0)

    @staticmethod
    def cells(distances: Tensor) -> Tensor:
        """Distances (E,) in Å in units of the spacing, counted from the first point; float64."""
        return (distances.double() - SHORTEST) / SPACING + 1.0


def tabulate(
    function: Callable[[Tensor], Tensor], cutoff: float, device: torch.device
) -> RadialTable:
    """Evaluate weights on the grid; the table is in single precision.

    Parameters
    ----------
    function : callable
        (G,) distances in Å, float64, to (T, G, n_paths, C) weights.
    cutoff : float
        Largest distance in Å.
    device : torch.device
        Where the weights of the function lie.
    """
    with torch.no_grad():
        weights = function(RadialTable.distances(cutoff, device))
        return RadialTable(weights.float().contiguous())
