"""Raman tensors of the modes at Γ and their invariants: activity and depolarization ratio.

A mode with the normalized eigenvector e of the dynamical matrix displaces atom i by e_i/√M_i. Its
Raman tensor is the derivative of the polarizability of a primitive cell with respect to the normal
coordinate,

    α_ab = Ω/(4π) Σ_ic (∂ε∞_ab/∂u_ic) e_ic/√M_i,    in Å²/√u,

as Porezag and Pederson define it for molecules, Phys. Rev. B 54, 7830 (1996), where the
polarizability of a cell is the volume Ω (ε∞ − 1)/4π in Å³. The convention is thus the same for
molecules and crystals, and activities in Å⁴/u can be compared with the output of other programs for
either. Umari, Pasquarello and Dal Corso, Phys. Rev. B 63, 094305 (2001), use √Ω Σ ∂χ/∂u e/√M with
the susceptibility χ = (ε∞ − 1)/4π: that is α/√Ω, whose square is per volume instead of per cell.

Degenerate modes are only defined up to a rotation among themselves: they are one `RamanMode`, and
none of its values except the individual tensors depends on that choice.
"""

from __future__ import annotations

import warnings

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
from ase_equivar.dielectric.raman_mode import RamanMode, RamanModes
from ase_equivar.dielectric.raman_vectors import ModeSet, longitudinal_sets, transverse_sets
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.gamma import check_units, unit_vector
from ase_equivar.phonons.lo_to import warn_if_imaginary
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.warning_types import UncertaintyWarning

ACTIVE = 1e-5  # fraction of the total activity above which a mode counts as active
DOUBTFUL = 0.5  # relative expected error above which a warning is issued
FAINT = 1e-9  # Å⁴/u; activities below it are rounding errors, as in rock salt
ERROR_OF_PARTS = 7.0
"""Ratio of the error of Raman tensors to the spread between the predictions of subnetworks, that of
the worst model so far, the first edition of `universal-polar` (7.3), compared with DFT for the 20
modes of quartz. docs/howto/raman.md has that of today's models, by benchmarks/raman.py."""


def raman_modes(
    phonon: Phonopy,
    calculator: BaseCalculator | DielectricDerivative,
    *,
    direction: ArrayLike | None = None,
    step: float = STEP,
    progress: bool = True,
) -> RamanModes:
    """Return the optical modes at Γ and their Raman tensors.

    The tensors of longitudinal modes are those of their displacements at zero field. The
    electro-optic contribution of the field of the mode, which needs the second-order susceptibility
    (Veithen, Gonze and Ghosez, Phys. Rev. B 71, 125107 (2005)), is neglected.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants, and with ``nac_params`` if `direction` is given.
    calculator : ase calculator or DielectricDerivative
        Gives ``dielectric_tensor``; see `dielectric_derivative`. Or the derivative from an earlier
        call, ``modes.derivative``.
    direction : array_like, optional
        Direction of q, Cartesian, shape (3,): modes with a dipole along it are longitudinal. By
        default, all modes are transverse.
    step : float
        Largest displacement of an atom, Å; see `dielectric_derivative`.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError
        When `phonon` lacks force constants or ``nac_params``, is not in eV and Å, or has only one
        atom; when the derivative given is that of another crystal; as `dielectric_derivative`.
    RuntimeError
        When phonopy's correction is not the one that Z* and ε∞ give.

    Warns
    -----
    ImaginaryModesWarning, AcousticSumRuleWarning
        When optical modes are imaginary, and when the force constants violate the acoustic sum
        rule.
    UncertaintyWarning
        When the expected error of the tensors exceeds half of their size.
    """
    check_units(phonon)
    require_force_constants(phonon)
    unit = None if direction is None else unit_vector(direction, "direction")
    if not isinstance(calculator, DielectricDerivative):
        check_step(step)
        require_dielectric(calculator)
    squares, vectors = optical_modes(phonon)
    sets = transverse_sets(phonon, squares, vectors)
    if unit is not None:
        sets = longitudinal_sets(phonon, sets, unit)
    warn_if_imaginary(min(one.frequency for one in sets), "at Γ")
    if isinstance(calculator, DielectricDerivative):
        derivative = calculator
        derivative.check_crystal(to_ase(phonon.primitive))
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
            f"the expected error of the Raman tensors is {expected:.0%}: the model was trained on "
            "hardly any ε∞ of displaced atoms, and neither intensities nor their ratios are "
            "reliable; see docs/howto/raman.md",
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
    """Rotate the tensors of a degenerate set into the standard form described in `RamanMode`."""
    components = tensors[:, (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
    size = float(np.linalg.norm(components))
    rows: list[NDArray[np.float64]] = []
    least = 1e-2 * max(size, FAINT)
    # unit vectors complete sets of which some tensors vanish
    columns = [
        *((one, least) for one in components.T),
        *((one, 1e-2) for one in np.eye(len(tensors))),
    ]
    for column, shortest in columns:
        rest = column - sum((row * (row @ column) for row in rows), np.zeros(len(tensors)))
        if np.linalg.norm(rest) > shortest and len(rows) < len(tensors):
            rows.append(rest / np.linalg.norm(rest))
    return np.einsum("nk,kab->nab", np.array(rows), tensors)
