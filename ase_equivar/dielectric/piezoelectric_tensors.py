"""Results of `ase_equivar.dielectric.piezoelectric`: piezoelectric, elastic, dielectric tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real
from ase_equivar.dielectric.static import StaticDielectric
from ase_equivar.units import C_PER_M2, VACUUM_PERMITTIVITY

PC_PER_N = 1e3
"""1 C/m² per GPa, in pC/N."""
LARGEST_TENSOR = 1e3  # C/m²

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class PiezoelectricTensors:
    """Piezoelectric, elastic and dielectric tensors of a crystal, in the Cartesian axes of `atoms`.

    Columns of piezoelectric tensors, and rows and columns of elastic ones, are in the order xx, yy,
    zz, yz, xz, xy. The strain components are η = ε_xx, ε_yy, ε_zz, 2 ε_yz, 2 ε_xz, 2 ε_xy.

    Attributes
    ----------
    ionic : ndarray, shape (3, 6)
        Contribution of the internal displacements of the atoms to e, C/m²; row = polarization.
    clamped : ndarray, shape (3, 6), or None
        Proper clamped-ion (electronic) part of e, C/m²; None if it is not known, and then only the
        ionic parts of e and d are.
    elastic_clamped, elastic_relaxed : ndarray, shape (6, 6), or None
        Elastic constants at clamped and at relaxed atoms, GPa, both without macroscopic field
        (short-circuited). None for a calculator without stress.
    dielectric : StaticDielectric
        ε∞ and ε0 at constant strain.
    internal_displacements : ndarray, shape (N, 3, 6)
        ∂u_ic/∂η_j, Å: displacements of the atoms relative to the homogeneous strain; zero on
        average.
    force_response : ndarray, shape (N, 3, 6)
        ∂F_ic/∂η_j at clamped atoms, eV/Å.
    atoms : ase.Atoms
        The primitive cell that the tensors belong to; atom i of `internal_displacements` and
        `force_response` is its atom i.
    step : float
        Strain of the finite differences.
    ionic_step_error, elastic_step_error : float
        Largest change of a component of `ionic` (C/m²) and of `elastic_relaxed` (GPa) when the step
        is doubled: an upper estimate of the error of the finite difference. The latter is NaN
        without elastic constants.
    ionic_asymmetry, clamped_asymmetry, elastic_asymmetry : float
        Largest change of a component by symmetrization with the point group: C/m², C/m², GPa. NaN
        for a tensor that is None.
    """

    ionic: _Array
    clamped: _Array | None
    elastic_clamped: _Array | None
    elastic_relaxed: _Array | None
    dielectric: StaticDielectric
    internal_displacements: _Array
    force_response: _Array
    atoms: Atoms
    step: float
    ionic_step_error: float
    elastic_step_error: float
    ionic_asymmetry: float
    clamped_asymmetry: float
    elastic_asymmetry: float

    @property
    def total(self) -> _Array:
        """Stress coefficients e = clamped + ionic, C/m², shape (3, 6): P_a = e_aj η_j.

        Raises
        ------
        ValueError
            Without the clamped part.
        """
        if self.clamped is None:
            raise ValueError(
                "the clamped-ion part of e is not known, only the ionic one: give clamped "
                "(--clamped), or use a model with piezoelectric_tensor_clamped"
            )
        return self.clamped + self.ionic

    @property
    def compliance(self) -> _Array:
        """Elastic compliance at relaxed atoms without field, 1/GPa, shape (6, 6).

        Raises
        ------
        ValueError
            Without elastic constants, or when the crystal is elastically unstable.
        """
        if self.elastic_relaxed is None:
            raise ValueError("elastic constants are not known: the calculator gave no stress")
        lowest = float(np.linalg.eigvalsh(self.elastic_relaxed)[0])
        if not lowest > 0:
            raise ValueError(
                f"the lowest eigenvalue of the elastic constants is {lowest:.1f} GPa: the crystal "
                "is elastically unstable, so strain coefficients and ε0 at constant stress have no "
                "meaning"
            )
        return np.asarray(np.linalg.inv(self.elastic_relaxed), dtype=float)

    @property
    def strain_coefficients(self) -> _Array:
        """Strain coefficients d = e S, pC/N or pm/V, shape (3, 6): η_j = d_aj E_a, stress constant.

        Raises
        ------
        ValueError
            As `total` and `compliance`.
        """
        return PC_PER_N * self.total @ self.compliance

    @property
    def ionic_strain_coefficients(self) -> _Array:
        """Contribution of the ionic part of e to d, pC/N, shape (3, 6).

        Raises
        ------
        ValueError
            As `compliance`.
        """
        return PC_PER_N * self.ionic @ self.compliance

    @property
    def free_dielectric(self) -> _Array:
        """ε0 at constant stress, shape (3, 3): that at constant strain plus e S eᵀ/ε_vacuum.

        Raises
        ------
        ValueError
            As `total` and `compliance`.
        """
        total = self.total * C_PER_M2
        by_strain = total @ (self.compliance / units.GPa) @ total.T / VACUUM_PERMITTIVITY
        return self.dielectric.static + by_strain


def clamped_array(name: str, value: object) -> _Array:
    """Return a clamped-ion tensor, C/m², shape (3, 6); ValueError if `value` is not one."""
    return finite_real(name, value, (3, 6), unit="C/m²", largest=LARGEST_TENSOR)
