"""Weights of bonds on a grid of distances.

Radial functions in a network depend only on the distance and on the two elements. Cubics on a fine
grid replace them where many edges share few pairs of elements: about ten multiplications per weight
instead of a product with a matrix.

Between grid points, the slope is the parabola through its values at both ends and in the middle,
and the weight is its integral. Slopes are continuous and not differences of rounded weights, so
that derivatives with respect to positions are as accurate as the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Å; binary fractions, so that single precision too has every point of a grid as it is: weights may
# change by a tenth within 0.01 Å, and rounded distances would be the larger part of their error.
# 4.5 Å, where SevenNet's second derivatives jump, is a point.
SHORTEST = 99 / 256  # where grids start; the graph refuses atoms closer than 0.5 Å
SPACING = 3 / 256  # the tests hold the error of the weights below 1e-6 of the largest


@dataclass(frozen=True)
class RadialTable:
    """Functions of the distance, represented by cubics.

    Attributes
    ----------
    values : Tensor, shape (T, G, 3, n_paths, C)
        Of T functions (pairs of elements) at G distances: derivative by the distance times their
        spacing, value, and such a derivative halfway to the next distance.
    refinement : int
        `SPACING` over the spacing of these distances.
    """

    values: Tensor
    refinement: int = 1

    @staticmethod
    def n_points(cutoff: float, refinement: int = 1) -> int:
        """Points G in a table for this cutoff in Å: it ends a point or two beyond."""
        return int((cutoff - SHORTEST) / SPACING * refinement) + 3

    @staticmethod
    def sampled(cutoff: float, device: torch.device | str = "cpu", refinement: int = 1) -> Tensor:
        """Distances (2G,) in Å of the points of a table and of the middles between, float64."""
        n_halves = 2 * RadialTable.n_points(cutoff, refinement)
        halves = torch.arange(n_halves, dtype=torch.float64, device=device)
        return SHORTEST + 0.5 * SPACING / refinement * halves


def tabulate(
    function: Callable[[Tensor], Tensor],
    cutoff: float,
    device: torch.device,
    then: Callable[[Tensor], Tensor] | None = None,
    refinement: int = 1,
) -> RadialTable:
    """Tabulate weights and their slopes on the grid, in single precision.

    Parameters
    ----------
    function : callable
        (2G,) distances in Å, float64, to (T, 2G, n_paths, C) weights, or to what `then` wants.
    cutoff : float
        Largest distance in Å.
    device : torch.device
        Device of the function's weights.
    then : callable, optional
        Linear map to weights, which slopes pass as values do: for the product with a large matrix.
    refinement : int
        More than 1 for functions that change faster than those that `SPACING` was chosen for.
    """
    values, slopes = _with_slopes(function, RadialTable.sampled(cutoff, device, refinement))
    spacing = SPACING / refinement
    numbers = [slopes[:, ::2] * spacing, values[:, ::2], slopes[:, 1::2] * spacing]
    with torch.no_grad():
        stacked = torch.stack(numbers, dim=2)
        return RadialTable((stacked if then is None else then(stacked)).float(), refinement)


def _with_slopes(function: Callable[[Tensor], Tensor], distances: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate a function (T, G, ...) of G distances, and its derivative.

    A gradient is linear in its weights, and its gradient with respect to them is the derivative:
    for small functions this takes half the time of torch's forward differentiation.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        distances = distances.clone().requires_grad_()
        values = function(distances)
        factors = torch.zeros_like(values, requires_grad=True)
        # gradients of sums: for those of whole arrays torch imports sympy, half a second
        [summed] = torch.autograd.grad((values * factors).sum(), distances, create_graph=True)
        [slopes] = torch.autograd.grad(summed.sum(), factors)
    return values.detach(), slopes
