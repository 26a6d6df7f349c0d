"""Raman-active modes, as `ase_equivar.dielectric.raman` defines their tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_equivar.dielectric.raman_derivative import DielectricDerivative
from ase_equivar.units import THZ_TO_CM


@dataclass(frozen=True)
class RamanMode:
    """An optical mode at Γ, or a set of degenerate ones, and how it scatters light.

    Attributes
    ----------
    frequency : float
        THz; negative: imaginary.
    tensors : ndarray, shape (g, 3, 3)
        Raman tensors of the g modes of the set, Å²/√u, Cartesian. The sign of each is arbitrary.
        Degenerate modes are combined so that, of xx, yy, zz, yz, xz and xy in this order, the
        second one and so on lack the first component that the one before has, as tables do.
    is_active : bool
        Whether it scatters.
    label : str
        Irreducible representation (Mulliken symbol), with " (LO)" or " (TO)" behind it where a
        direction of q tells; "" where phonopy cannot tell.
    step_error : float
        How much the tensors change when the step is doubled, relative to their size: an upper
        estimate of the error of the finite difference. NaN for a mode that does not scatter.
    expected_error : float or None
        What the model that gave ε∞ lets expect of its own error, relative to the size of the
        tensors: see `ERROR_OF_PARTS`. None without such an estimate.
    """

    frequency: float
    tensors: NDArray[np.float64]
    is_active: bool
    label: str
    step_error: float
    expected_error: float | None

    @property
    def frequency_cm(self) -> float:
        """Frequency, cm⁻¹; negative: imaginary."""
        return self.frequency * THZ_TO_CM

    @property
    def degeneracy(self) -> int:
        """Number of modes in the set."""
        return len(self.tensors)

    @property
    def mean_squared(self) -> float:
        """Σ (tr α/3)² over the set, Å⁴/u: the isotropic part."""
        return float((np.einsum("kaa->k", self.tensors) ** 2).sum()) / 9

    @property
    def anisotropy_squared(self) -> float:
        """Σ γ² over the set, Å⁴/u: 3/2 of the squared modulus of the traceless part."""
        traceless = self.tensors - np.einsum("kaa,bc->kbc", self.tensors, np.eye(3)) / 3
        return 1.5 * float((traceless**2).sum())

    @property
    def activity(self) -> float:
        """Raman activity 45 (tr α/3)² + 7 γ², summed over the set, Å⁴/u."""
        return 45 * self.mean_squared + 7 * self.anisotropy_squared

    @property
    def depolarization(self) -> float | None:
        """Scattered intensity across over along the light's polarization, of a powder, 0 to 3/4.

        3 γ²/(45 (tr α/3)² + 4 γ²), for polarized light; None for a mode that does not scatter.
        """
        if not self.is_active:
            return None
        along = 45 * self.mean_squared + 4 * self.anisotropy_squared
        return 3 * self.anisotropy_squared / along


@dataclass(frozen=True)
class RamanModes:
    """All optical modes at Γ by rising frequency.

    Attributes
    ----------
    modes : tuple of RamanMode
        One per degenerate set. The three translations of the crystal are not among them.
    direction : ndarray, shape (3,), or None
        Unit vector of q, whose field shifts the longitudinal modes; None: transverse modes all.
    derivative : DielectricDerivative
        What the tensors were made of. It serves for other directions too, at no cost.
    symbols : tuple of str
        Of the atoms of the primitive cell.
    volume : float
        Of the primitive cell, Å³.
    """

    modes: tuple[RamanMode, ...]
    direction: NDArray[np.float64] | None
    derivative: DielectricDerivative
    symbols: tuple[str, ...]
    volume: float

    def __iter__(self) -> Iterator[RamanMode]:
        return iter(self.modes)

    def __len__(self) -> int:
        return len(self.modes)

    def __getitem__(self, index: int) -> RamanMode:
        return self.modes[index]

    @property
    def active(self) -> tuple[RamanMode, ...]:
        """The Raman-active modes."""
        return tuple(mode for mode in self.modes if mode.is_active)

    @property
    def expected_error(self) -> float | None:
        """That of all tensors together, relative to their size; see `RamanMode.expected_error`."""
        if any(mode.expected_error is None for mode in self.active) or not self.active:
            return None
        sizes = [float((mode.tensors**2).sum()) for mode in self.active]
        squares = [mode.expected_error or 0.0 for mode in self.active]
        return float(np.sqrt(np.average(np.square(squares), weights=sizes)))

    def require_stable(self) -> None:
        """Raise ValueError when a Raman-active mode is imaginary: its intensity has no meaning."""
        unstable = [mode for mode in self.active if not mode.frequency > 0]
        if unstable:
            f = -unstable[0].frequency
            raise ValueError(
                f"the Raman-active mode at {f:.2f}i THz ({f * THZ_TO_CM:.0f}i cm⁻¹) is unstable: "
                "the crystal would distort by itself, so its Raman spectrum has no meaning; relax "
                "the structure, or displace it along this mode and relax again"
            )
