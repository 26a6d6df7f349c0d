"""Raman tensors of the modes at Γ, and what does not depend on the axes: activity, depolarization.

A mode with eigenvector e (normalized, of the dynamical matrix) displaces atom i by e_i/√M_i. Its
Raman tensor is the derivative of the polarizability of a primitive cell by the normal coordinate,

    α_ab = Ω/(4π) Σ_ic (∂ε∞_ab/∂u_ic) e_ic/√M_i,    in Å²/√u,

as Porezag and Pederson define it for molecules, Phys. Rev. B 54, 7830 (1996), with the
polarizability (a volume, Å³) Ω (ε∞ − 1)/4π of a cell: so one convention serves molecules and
crystals, and activities in Å⁴/u can be compared with what programs print for either. Umari,
Pasquarello and Dal Corso, Phys. Rev. B 63, 094305 (2001), give √Ω Σ ∂χ/∂u e/√M of the
susceptibility χ = (ε∞ − 1)/4π: that is α/√Ω, whose square is per volume instead of per cell.

Degenerate modes are only defined up to a rotation among themselves: they are one `RamanMode`, and
all numbers but the single tensors do not depend on that choice.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase.calculators.calculator import BaseCalculator
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from ase_equivar.dielectric.infrared import optical_modes
from ase_equivar.dielectric.raman_derivative import (
    STEP,
    DielectricDerivative,
    check_step,
    dielectric_derivative,
    require_dielectric,
)
from ase_equivar.dielectric.raman_vectors import ModeSet, longitudinal_sets, transverse_sets
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.lo_to import warn_if_imaginary
from ase_equivar.phonons.nac import check_units, unit_vector
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.units import THZ_TO_CM
from ase_equivar.warning_types import UncertaintyWarning

ACTIVE = 1e-5  # share of all activity, from which on a mode counts as active
DOUBTFUL = 0.5  # expected error, from which on a warning says so
FAINT = 1e-9  # Å⁴/u, below which nothing is active, as in rock salt
ERROR_OF_PARTS = 7.0
"""Error of Raman tensors over the spread of what parts of the model say, for models that were not
trained on displaced crystals. On the 20 modes of quartz by DFT it is 6.2 for `universal`, 2.8 for
`universal-ensemble` and 7.3 for `universal-polar`: see benchmarks/raman.py."""


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


def raman_modes(
    phonon: Phonopy,
    calculator: BaseCalculator | DielectricDerivative,
    *,
    direction: ArrayLike | None = None,
    step: float = STEP,
    progress: bool = True,
) -> RamanModes:
    """Return the optical modes at Γ and their Raman tensors.

    The tensors of longitudinal modes are those of their displacements at zero field. The part that
    the field of the mode itself adds (the electro-optic one, which needs the second-order
    susceptibility: Veithen, Gonze and Ghosez, Phys. Rev. B 71, 125107 (2005)) is left out.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants, and with ``nac_params`` where `direction` is given.
    calculator : ase calculator or DielectricDerivative
        Gives ``dielectric_tensor``; see `dielectric_derivative`. Or what came of it before:
        ``modes.derivative``.
    direction : array_like, optional
        Of q, Cartesian, shape (3,): modes with a dipole along it are longitudinal. By default, all
        modes are transverse.
    step : float
        Largest displacement of an atom, Å; see `dielectric_derivative`.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError
        When `phonon` lacks what is needed, is not in eV and Å, or has but one atom; as
        `dielectric_derivative`.
    RuntimeError
        When ``nac_params`` do not act as Z* and ε∞ demand.

    Warns
    -----
    ImaginaryModesWarning, AcousticSumRuleWarning
        When optical modes are imaginary, and when the force constants miss the acoustic sum rule.
    UncertaintyWarning
        When the model that gives ε∞ expects an error of more than half of the tensors.
    """
    check_units(phonon)
    matrix = require_force_constants(phonon)
    unit = None if direction is None else unit_vector(direction, "direction")
    if not isinstance(calculator, DielectricDerivative):
        check_step(step)
        require_dielectric(calculator)
    matrix.run(np.zeros(3))
    squares, vectors = optical_modes(phonon, np.array(matrix.dynamical_matrix).real)
    sets = transverse_sets(phonon, squares, vectors)
    if unit is not None:
        sets = longitudinal_sets(phonon, sets, unit)
    warn_if_imaginary(min(one.frequency for one in sets), "at Γ")
    if isinstance(calculator, DielectricDerivative):
        derivative = calculator
        if len(derivative.values) != len(phonon.primitive):
            raise ValueError(
                f"calculator is a derivative of {len(derivative.values)} atoms, the primitive cell "
                f"has {len(phonon.primitive)}"
            )
    else:
        derivative = dielectric_derivative(phonon, calculator, step=step, progress=progress)
    found = RamanModes(
        modes=_modes(phonon, sets, derivative),
        direction=unit,
        derivative=derivative,
        symbols=tuple(to_ase(phonon.primitive).symbols),
        volume=abs(phonon.primitive.volume),
    )
    expected = found.expected_error
    if derivative is not calculator and expected is not None and expected > DOUBTFUL:
        warnings.warn(
            f"the model expects an error of {expected:.0%} of its Raman tensors: it was hardly "
            "trained on ε∞ of displaced atoms, and neither intensities nor ratios of them should "
            "be trusted; see docs/howto/raman.md",
            UncertaintyWarning,
            stacklevel=2,
        )
    return found


def _modes(
    phonon: Phonopy, sets: list[ModeSet], derivative: DielectricDerivative
) -> tuple[RamanMode, ...]:
    scale = abs(phonon.primitive.volume) / (4 * np.pi)
    weights = 1 / np.sqrt(phonon.primitive.masses)

    def tensors(values: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Contract ∂ε∞/∂u, (…, N, 3, 3, 3), with eigenvectors, (3 N, g)."""
        moved = vectors.reshape(len(weights), 3, -1) * weights[:, None, None]
        found: NDArray[np.float64] = scale * np.einsum("...icab,ick->...kab", values, moved)
        return found

    raw = [tensors(derivative.values, one.vectors) for one in sets]
    invariants = [RamanMode(0.0, found, True, "", 0.0, None).activity for found in raw]
    threshold = max(ACTIVE * sum(invariants), FAINT)
    modes = []
    for one, found, activity in zip(sets, raw, invariants, strict=True):
        is_active = activity > threshold
        size = float(np.linalg.norm(found))
        change = float(np.linalg.norm(tensors(derivative.doubled, one.vectors) - found))
        expected = None
        if derivative.parts is not None and is_active:
            spread = tensors(derivative.parts, one.vectors) - found
            of_parts = np.sqrt((spread**2).sum(axis=(1, 2, 3)).mean())
            expected = ERROR_OF_PARTS * float(of_parts) / size
        modes.append(
            RamanMode(
                frequency=one.frequency,
                tensors=_standard(found),
                is_active=is_active,
                label=one.label,
                step_error=change / size if is_active else float("nan"),
                expected_error=expected,
            )
        )
    return tuple(sorted(modes, key=lambda mode: mode.frequency))


def _standard(tensors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate the tensors of a set among themselves into the form that `RamanMode` describes."""
    components = tensors[:, (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
    size = float(np.linalg.norm(components))
    rows: list[NDArray[np.float64]] = []
    for column in [*components.T, *np.eye(len(tensors))]:  # the latter for modes without a tensor
        rest = column - sum((row * (row @ column) for row in rows), np.zeros(len(tensors)))
        is_component = len(column) == len(tensors) and np.linalg.norm(rest) > 1e-2 * max(
            size, FAINT
        )
        if is_component and len(rows) < len(tensors):
            rows.append(rest / np.linalg.norm(rest))
    return np.einsum("nk,kab->nab", np.array(rows), tensors)
