"""The field inside a slab, from the field applied outside.

With n the normal of the slab, the component of E in the plane and that of D along n are the same
inside and outside (Landau and Lifshitz, Electrodynamics of Continuous Media, §6). Outside, D is ε0
E; inside, with the ions at rest, it is ε0 ε∞ E_in::

    E_in = E − n [n·(ε∞ − 1)·E] / (n·ε∞·n)

This is the depolarization by the electrons: for a field along n, with n a principal axis of ε∞,
E_in = E/ε∞. The depolarization by displacements of the ions is part of the forces without field if
these include the surface charges of the slab, as in a DFT code. A short-range potential does not
include it; `ConstantDisplacement` adds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import store_checked
from ase_equivar.fields.algebra import Field, check_function_of_time, longest_step
from ase_equivar.fields.forces import check_field
from ase_equivar.fields.medium import chosen_dielectric, dielectric_rows, unit_direction
from ase_equivar.fields.waveforms import ConstantField


@dataclass(frozen=True)
class AppliedField:
    """A field applied outside a slab; `ase_equivar.dynamics.drive` applies the field inside it.

    Parameters
    ----------
    field : callable or array_like
        E(t) outside, time in fs → three numbers in V/Å, or three numbers for a constant field.
    normal : array_like
        Normal of the slab, of any length, shape=(3,).
    dielectric_tensor : array_like, optional
        ε∞ of the material, relative, shape=(3, 3). By default that of the calculator for the
        initial structure.

    Raises
    ------
    TypeError
        If the field is a function of positions and time.
    ValueError
        If a number is not real and finite, a shape is wrong, the normal is zero, or ε∞ is
        unphysical.
    """

    field: Field | ArrayLike
    normal: ArrayLike
    dielectric_tensor: ArrayLike | None = None

    def __post_init__(self) -> None:
        if not callable(self.field):
            store_checked(self, field=ConstantField(check_field(self.field)))
        else:
            check_function_of_time("the field", self.field)
        store_checked(self, normal=unit_direction("normal", self.normal))
        if self.dielectric_tensor is not None:
            store_checked(self, dielectric_tensor=dielectric_rows(self.dielectric_tensor))

    @property
    def longest_step(self) -> float:
        """The longest time step that resolves the field, fs."""
        return longest_step(self.field)

    def inside(
        self, electric_field: ArrayLike, dielectric_tensor: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the field inside the slab.

        Parameters
        ----------
        electric_field : array_like
            The field outside, V/Å, shape=(3,).
        dielectric_tensor : array_like, optional
            ε∞, relative, shape=(3, 3); by default that of this object.

        Returns
        -------
        numpy.ndarray
            V/Å, shape=(3,).

        Raises
        ------
        ValueError
            If there is no ε∞, it is unphysical, or the field is not three finite numbers.
        """
        tensor = chosen_dielectric(self.dielectric_tensor, dielectric_tensor)
        outside, normal = check_field(electric_field), np.asarray(self.normal)
        excess = normal @ (tensor - np.eye(3)) @ outside
        return np.asarray(outside - normal * excess / (normal @ tensor @ normal))
