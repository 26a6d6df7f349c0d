"""Steps of an interaction that know no coupling, on flat arrays, compiled by numba.

Generated kernels call them with what belongs to one bond, one atom, or a few atoms. Their compiled
code holds that of these functions: `launch_numba.VERSION` tells it apart.
"""

from __future__ import annotations

from typing import Any

from ase_equivar.machine_code import compiled

fast = compiled(nogil=True, fastmath=True, error_model="numpy")


@fast
def copy(old: Any, new: Any) -> None:
    """Copy as many numbers as there are in `old`."""
    for k in range(len(old)):
        new[k] = old[k]


@fast
def gated(y: Any, g: Any, new: Any) -> None:
    """Multiply each component of some channels by the gates of the channels."""
    n_channels = len(g)
    for k in range(0, len(new), n_channels):
        o, v = new[k : k + n_channels], y[k : k + n_channels]
        for c in range(n_channels):
            o[c] = v[c] * g[c]


@fast
def add_scaled(z: Any, scale: Any, new: Any) -> None:
    """Add what is taken of the old features, times a factor for each channel."""
    n_channels = len(scale)
    for k in range(0, len(new), n_channels):
        o, v = new[k : k + n_channels], z[k : k + n_channels]
        for c in range(n_channels):
            o[c] += v[c] * scale[c]


@fast
def interpolate(points: Any, a: float, b: float, c: float, d: float, weights: Any) -> None:
    """Work out the weights of a bond, all paths and channels, from the four numbers of a cubic.

    `points` has four runs of them, one after the other; the cubic's factors have their precision.
    """
    n = len(weights)
    for k in range(n):
        weights[k] = (
            a * points[k] + b * points[k + n] + c * points[k + 2 * n] + d * points[k + 3 * n]
        )
