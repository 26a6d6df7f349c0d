"""Constant displacement field instead of constant electric field: a crystal in an open circuit.

With ε∞ the response of the electrons at fixed ions and P the polarization due to displacements of
the ions::

    D = ε0 ε∞ E + P,        E(u) = (ε0 ε∞)⁻¹ [D − P(u)],        F = F_KS + Z*ᵀ E(u)

Ω ∂P/∂u = Z*, so these forces derive from the internal energy of Stengel, Spaldin and Vanderbilt,
Nat. Phys. 5, 304 (2009), doi:10.1038/nphys1185, with ε∞ independent of the positions of the ions::

    U(D, u) = E_KS(u) + (Ω/2) E(u)·ε0 ε∞ E(u),        dU = Ω E·dD

where E_KS is the energy without field. At constant D, the sum of E_KS, (Ω/2) E·ε0 ε∞ E and the
kinetic energy is conserved, and the work of the field is minus the change of the second term. The
dependence of ε∞ on the positions gives a force of second order in the field, as does the change of
Z* by the field; both are neglected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import (
    dielectric_array,
    finite_number,
    finite_real,
    known_word,
    positive_number,
    store_checked,
)
from ase_equivar.fields.medium import chosen_dielectric, dielectric_rows, unit_direction
from ase_equivar.units import UC_PER_CM2, VACUUM_PERMITTIVITY

PolarizationSource = Literal["born_charges", "polarization"]
LARGEST_POLARIZATION = 1e4  # µC/cm²; a hundred times that of any ferroelectric


@dataclass(frozen=True)
class ConstantDisplacement:
    """A constant displacement field D; `ase_equivar.dynamics.drive` takes it in place of a field.

    With D = 0 in all directions, any polarization is opposed by the field −(ε0 ε∞)⁻¹ P. With a
    `normal`, D is held along it only, and the field perpendicular to it is zero, as in a film with
    open electrodes or in a longitudinal wave along `normal`. The ions of a crystal then vibrate
    with the LO frequencies of that direction; at E = 0 with the TO frequencies.

    Parameters
    ----------
    displacement : array_like
        D in µC/cm², shape=(3,); with `normal`, one number, the component of D along it.
    polarization : array_like
        Polarization of the initial structure, µC/cm², shape=(3,). It must have the same reference
        and branch as D: 0 for a crystal with inversion symmetry; otherwise the change relative to
        such a crystal, e.g. from `ase_equivar.dielectric.polarization_change`.
    dielectric_tensor : array_like, optional
        ε∞, relative, shape=(3, 3). By default that of the calculator for the initial structure.
    normal : array_like, optional
        Direction along which D is held, of any length, shape=(3,).
    source : str
        Source of the change of P since the start of a run. "born_charges" (default): the integral
        of Z* along the path, which any source of Z* allows. "polarization": P itself, which only a
        polar model provides; the conserved energy then has no error of that integral.

    Raises
    ------
    ValueError
        If a number is not real and finite or unphysically large, a shape is wrong, the direction is
        zero, ε∞ is unphysical, or `source` is unknown.
    """

    displacement: ArrayLike
    polarization: ArrayLike = (0.0, 0.0, 0.0)
    dielectric_tensor: ArrayLike | None = None
    normal: ArrayLike | None = None
    source: PolarizationSource = "born_charges"

    def __post_init__(self) -> None:
        known_word("source", self.source, get_args(PolarizationSource))
        unit, largest = "µC/cm²", LARGEST_POLARIZATION
        if self.normal is None:
            held = finite_real("displacement", self.displacement, (3,), unit=unit, largest=largest)
            store_checked(self, displacement=tuple(held.tolist()))
        else:
            along = finite_number("displacement", self.displacement, unit=unit, largest=largest)
            normal = unit_direction("normal", self.normal)
            store_checked(self, displacement=along, normal=normal)
        start = finite_real("polarization", self.polarization, (3,), unit=unit, largest=largest)
        store_checked(self, polarization=tuple(start.tolist()))
        if self.dielectric_tensor is not None:
            store_checked(self, dielectric_tensor=dielectric_rows(self.dielectric_tensor))

    def electric_field(
        self, polarization: ArrayLike, dielectric_tensor: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the field at a given polarization.

        Parameters
        ----------
        polarization : array_like
            P due to displacements of the ions, µC/cm², shape=(3,).
        dielectric_tensor : array_like, optional
            ε∞, relative, shape=(3, 3); by default that of this object.

        Returns
        -------
        numpy.ndarray
            E in V/Å, shape=(3,).

        Raises
        ------
        ValueError
            If there is no ε∞, it is unphysical, or the polarization is not three finite numbers.
        """
        tensor = chosen_dielectric(self.dielectric_tensor, dielectric_tensor)
        permittivity = VACUUM_PERMITTIVITY * tensor
        now = UC_PER_CM2 * finite_real("polarization", polarization, (3,), unit="µC/cm²")
        held = UC_PER_CM2 * np.asarray(self.displacement)
        if self.normal is None:
            return np.linalg.solve(permittivity, held - now)
        normal = np.asarray(self.normal)
        strength = (held - normal @ now) / (normal @ permittivity @ normal)
        return np.asarray(strength * normal)


def field_energy(electric_field: ArrayLike, dielectric_tensor: ArrayLike, volume: float) -> float:
    """Return the energy of a field in a crystal with fixed ions, (Ω/2) E·ε0 ε∞ E, eV.

    Parameters
    ----------
    electric_field : array_like
        E in V/Å, shape=(3,).
    dielectric_tensor : array_like
        ε∞, relative, shape=(3, 3).
    volume : float
        Ω of the cell, Å³.

    Raises
    ------
    ValueError
        If the field or volume is not finite or out of range, or ε∞ is unphysical.
    """
    field = finite_real("electric_field", electric_field, (3,), unit="V/Å")
    tensor = dielectric_array("dielectric_tensor", dielectric_tensor)
    cell = positive_number("volume", volume, "Å³")
    return float(0.5 * cell * VACUUM_PERMITTIVITY * (field @ tensor @ field))
