"""The optical modes at Γ with the Raman tensors defined in `ase_equivar.dielectric.raman`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_equivar.dielectric.raman_derivative import DielectricDerivative
from ase_equivar.units import THZ_TO_CM


@dataclass(frozen=True)
class RamanMode:
    """An optical mode at Γ, or a set of degenerate ones, with its Raman tensors.

    Attributes
    ----------
    frequency : float
        THz; negative: imaginary.
    tensors : ndarray, shape (g, 3, 3)
        Raman tensors of the g modes of the set, Å²/√u, Cartesian. The sign of each is arbitrary.
        Degenerate modes are combined as in textbook tables: with the components in the order xx,
        yy, zz, yz, xz, xy, the first nonzero component of each tensor is zero in all later ones.
    is_active : bool
        Whether the mode is Raman-active.
    label : str
        Irreducible representation (Mulliken symbol), followed by " (LO)" or " (TO)" if the modes
        are for a direction of q; "" if phonopy cannot assign one.
    step_error : float
        Relative change of the tensors when the step is doubled: an upper estimate of the error of
        the finite difference. NaN for an inactive mode.
    expected_error : float or None
        Expected error of the model that gave ε∞, relative to the size of the tensors: see
        `ase_equivar.dielectric.raman.ERROR_OF_PARTS`. None if the calculator has no such estimate.
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
        """Σ γ² over the set, Å⁴/u: 3/2 of the squared Frobenius norm of the traceless part."""
        traceless = self.tensors - np.einsum("kaa,bc->kbc", self.tensors, np.eye(3)) / 3
        return 1.5 * float((traceless**2).sum())

    @property
    def activity(self) -> float:
        """Raman activity 45 (tr α/3)² + 7 γ², summed over the set, Å⁴/u."""
        return 45 * self.mean_squared + 7 * self.anisotropy_squared

    @property
    def depolarization(self) -> float | None:
        """Depolarization ratio of a powder for polarized light, 0 to 3/4; None if inactive.

        Intensity polarized perpendicular to the incident light over that polarized parallel to it,
        3 γ²/(45 (tr α/3)² + 4 γ²).
        """
        if not self.is_active:
            return None
        along = 45 * self.mean_squared + 4 * self.anisotropy_squared
        return 3 * self.anisotropy_squared / along


@dataclass(frozen=True)
class RamanModes:
    """All optical modes at Γ, by ascending frequency.

    Attributes
    ----------
    modes : tuple of RamanMode
        One per degenerate set. The three translations of the crystal are not among them.
    direction : ndarray, shape (3,), or None
        Unit vector of q, Cartesian, for which modes are longitudinal; None if all are transverse.
    derivative : DielectricDerivative
        Derivative that the tensors were calculated from; it can be reused for other directions.
    symbols : tuple of str
        Chemical symbols of the atoms of the primitive cell.
    volume : float
        Volume of the primitive cell, Å³.
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
        """Expected error of all tensors, relative to their size; see `RamanMode.expected_error`."""
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
                "the crystal would distort spontaneously, so its Raman spectrum has no meaning; "
                "relax the structure, or displace it along this mode and relax again"
            )
