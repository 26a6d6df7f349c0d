"""Directions and the ε∞ of the material that a field is in, as arguments of fields give them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import dielectric_array, finite_real, positive_number

Row = tuple[float, ...]


def unit_direction(name: str, direction: ArrayLike) -> Row:
    """Return a direction of length 1; see `finite_real` for what is refused, and a length of 0."""
    given = finite_real(name, direction, (3,))
    length = positive_number(f"the length of {name}", np.linalg.norm(given), "any unit")
    return tuple((given / length).tolist())


def dielectric_rows(tensor: ArrayLike) -> tuple[Row, ...]:
    """Return ε∞ in a form that does not change; see `dielectric_array` for what is refused."""
    return tuple(map(tuple, dielectric_array("dielectric_tensor", tensor).tolist()))


def chosen_dielectric(own: ArrayLike | None, given: ArrayLike | None) -> NDArray[np.float64]:
    """Return the ε∞ that is given for a call, or else a field's own.

    Raises
    ------
    ValueError
        If there is neither, or it is none of a material.
    """
    tensor = own if given is None else given
    if tensor is None:
        raise ValueError("dielectric_tensor is None; give ε∞, shape (3, 3)")
    return dielectric_array("dielectric_tensor", tensor)
