"""Validation of the line widths of modes that users give."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import finite_real


def line_widths(damping: ArrayLike, n_modes: int) -> NDArray[np.float64]:
    """Return the full width at half maximum of each set of modes, THz, shape (n_modes,).

    Raises
    ------
    ValueError
        When `damping` is neither one positive number nor one for each set of modes.
    """
    widths = finite_real("damping", damping, None, unit="THz")
    if widths.shape not in ((), (n_modes,)) or not np.all(widths > 0):
        raise ValueError(
            f"damping must be a positive width in THz, or one for each of the {n_modes} sets of "
            f"degenerate modes, got {damping!r}"
        )
    return np.broadcast_to(widths, (n_modes,))
