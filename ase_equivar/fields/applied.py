"""The field inside a slab, from the one that is applied outside.

With n the normal of the slab, the component of E in the plane and that of D along n are the same
inside and outside (Landau and Lifshitz, Electrodynamics of Continuous Media, §6). Outside D is
ε0 E, inside and with ions at rest it is ε0 ε∞ E_in::

    E_in = E − n [n·(ε∞ − 1)·E] / (n·ε∞·n)

This is the depolarization by the electrons: for a field along n, and n a principal axis of ε∞,
E_in = E/ε∞. That by the ions' displacements is part of the forces without field, if these are of a
slab with its surface charges, as a DFT code has them; a potential of short range lacks it, and
`ConstantDisplacement` has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.fields.algebra import Field
from ase_equivar.fields.forces import check_field
from ase_equivar.fields.medium import chosen_dielectric, dielectric_rows, unit_direction
from ase_equivar.fields.waveforms import ConstantField


@dataclass(frozen=True)
class AppliedField:
    """A field applied outside of a slab; `ase_equivar.dynamics.drive` takes it for the one inside.

    Parameters
    ----------
    field : callable or array_like
        E(t) outside, time in fs → three numbers in V/Å, or three numbers that do not change.
    normal : array_like
        Of the slab, of any length, shape=(3,).
    dielectric_tensor : array_like, optional
        ε∞ of the material, relative, shape=(3, 3). Default: that of the calculator for the first
        structure.

    Raises
    ------
    ValueError
        If a number is not real and finite, a shape is wrong, the normal is zero, or ε∞ is none of
        a material.
    """

    field: Field | ArrayLike
    normal: ArrayLike
    dielectric_tensor: ArrayLike | None = None

    def __post_init__(self) -> None:
        if not callable(self.field):
            object.__setattr__(self, "field", ConstantField(check_field(self.field)))
        object.__setattr__(self, "normal", unit_direction("normal", self.normal))
        if self.dielectric_tensor is not None:
            rows = dielectric_rows(self.dielectric_tensor)
            object.__setattr__(self, "dielectric_tensor", rows)

    def inside(
        self, electric_field: ArrayLike, dielectric_tensor: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the field inside the slab.

        Parameters
        ----------
        electric_field : array_like
            Outside, V/Å, shape=(3,).
        dielectric_tensor : array_like, optional
            ε∞, relative, shape=(3, 3); default: the one of this object.

        Returns
        -------
        numpy.ndarray
            V/Å, shape=(3,).

        Raises
        ------
        ValueError
            If there is no ε∞, or an argument makes no sense.
        """
        tensor = chosen_dielectric(self.dielectric_tensor, dielectric_tensor)
        outside, normal = check_field(electric_field), np.asarray(self.normal)
        excess = normal @ (tensor - np.eye(3)) @ outside
        return np.asarray(outside - normal * excess / (normal @ tensor @ normal))
