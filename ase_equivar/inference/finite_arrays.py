"""Tensors of a network as NumPy arrays, which must be finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_equivar.network.readout import RawTensors


def finite_arrays(
    tensors: RawTensors, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return Z* and ε∞ of all structures, as the network of this name gave them.

    Raises
    ------
    FloatingPointError
        If a value is not finite.
    """
    born = tensors.born_charges.cpu().double()
    if not born.isfinite().all():
        raise not_finite("Z*", name)
    if tensors.dielectric is None:
        return born.numpy(), None
    dielectric = tensors.dielectric.cpu().double()
    if not dielectric.isfinite().all():
        raise not_finite("ε∞", name)
    return born.numpy(), dielectric.numpy()


def not_finite(what: str, name: str) -> FloatingPointError:
    """Return the error that says which values of which network are not finite."""
    return FloatingPointError(
        f"the network {name} gave values of {what} that are not finite: its weights are "
        "damaged, or distances between atoms are far from those in its training data"
    )
