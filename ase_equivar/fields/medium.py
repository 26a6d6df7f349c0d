"""Directions and the ε∞ of the medium, as arguments of fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import dielectric_array, finite_real, positive_number

Row = tuple[float, ...]


def unit_direction(name: str, direction: ArrayLike) -> Row:
    """Return a unit vector; refuse a zero vector and what `finite_real` refuses."""
    given = finite_real(name, direction, (3,))
    length = positive_number(f"the length of {name}", np.linalg.norm(given), "any unit")
    return tuple((given / length).tolist())


def dielectric_rows(tensor: ArrayLike) -> tuple[Row, ...]:
    """Return ε∞ as an immutable tuple; see `dielectric_array` for what is refused."""
    return tuple(map(tuple, dielectric_array("dielectric_tensor", tensor).tolist()))


def chosen_dielectric(own: ArrayLike | None, given: ArrayLike | None) -> NDArray[np.float64]:
    """Return the ε∞ given in a call, or else that of the field.

    Raises
    ------
    ValueError
        If there is neither, or it is unphysical.
    """
    tensor = own if given is None else given
    if tensor is None:
        raise ValueError("dielectric_tensor is None; give ε∞, shape (3, 3)")
    return dielectric_array("dielectric_tensor", tensor)
