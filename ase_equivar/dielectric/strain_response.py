"""Forces and stress of a crystal under homogeneous strain, with atoms at fixed reduced coordinates.

Central differences in the six Voigt components η of the strain (xx, yy, zz, 2 yz, 2 xz, 2 xy):
∂F_ic/∂η_j, the force-response internal-strain tensor, and ∂σ_i/∂η_j, the clamped-ion elastic
constants. Hamann, Wu, Rabe and Vanderbilt, Phys. Rev. B 71, 035117 (2005).

The strain is free of rotation, r → (1 + ε) r, and forces are Cartesian. Residual forces and stress
make the derivatives depend on these choices, by about their own size; in equilibrium they do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real, positive_number, refuse_class
from ase_equivar.calculated_property import calculated_property
from ase_equivar.phonons.operations import symmetrized, symmetrized_of_atoms
from ase_equivar.progress_bar import progress_bar
from ase_equivar.structures.symmetry import Operation
from ase_equivar.structures.voigt import from_voigt, strain_tensor, to_voigt

STEP = 0.002
"""Strain. The change of the forces of a network in single precision then has three to four
significant digits, and nonlinear terms contribute less than 0.1 %."""
LARGEST_STEP = 0.02  # twice this strain must not break bonds


@dataclass(frozen=True)
class StrainResponse:
    """Derivatives with respect to the six strain components η, at clamped atoms.

    Attributes
    ----------
    forces : ndarray, shape (N, 3, 6)
        ∂F_ic/∂η_j, eV/Å.
    stress : ndarray, shape (6, 6), or None
        ∂σ_i/∂η_j, the clamped-ion elastic constants, GPa. None for a calculator without stress.
    """

    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None

    def symmetrized(self, operations: list[Operation]) -> StrainResponse:
        """Return the part that has the symmetry of the crystal."""
        forces = to_voigt(symmetrized_of_atoms(from_voigt(self.forces), operations))
        stress = self.stress
        if stress is not None:
            pairs = from_voigt(from_voigt(stress).transpose(1, 2, 0)).transpose(2, 3, 0, 1)
            averaged = symmetrized(pairs, operations)
            both = to_voigt(to_voigt(averaged).transpose(2, 0, 1)).T
            stress = (both + both.T) / 2
        return StrainResponse(forces - forces.mean(axis=0), stress)


def strain_responses(
    atoms: Atoms, calculator: BaseCalculator, *, step: float = STEP, progress: bool = True
) -> tuple[StrainResponse, StrainResponse]:
    """Return the derivatives with a step and with twice that step, not symmetrized.

    Parameters
    ----------
    atoms : ase.Atoms
        A crystal; 24 strained copies of it are calculated.
    calculator : ase calculator
        Gives forces, and optionally stress.
    step : float
        Strain of the first difference: ±step in each component η.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError
        When the calculator gives forces or stress that are not finite.
    """
    has_stress = "stress" in calculator.implemented_properties
    found = []
    with progress_bar(progress) as bar:
        task = bar.add_task("forces of strained crystals", total=24)
        for size in (step, 2 * step):
            forces, stresses = [], []
            for component in np.eye(6):
                plus, minus = (
                    _calculate(atoms, sign * size * component, calculator, has_stress)
                    for sign in (1, -1)
                )
                forces.append((plus[0] - minus[0]) / (2 * size))
                stresses.append((plus[1] - minus[1]) / (2 * size))
                bar.advance(task, 2)
            found.append(
                StrainResponse(
                    np.stack(forces, axis=-1), np.stack(stresses, axis=-1) if has_stress else None
                )
            )
    return found[0], found[1]


def check_strain_step(step: float) -> float:
    """Return the strain step; ValueError if it is not positive or too large."""
    try:
        return positive_number("step", step, "strain", largest=LARGEST_STEP)
    except ValueError as error:
        raise ValueError(f"{error}; a strain of 0.001 to {LARGEST_STEP:g} is usual") from None


def require_forces(calculator: Any) -> None:
    """Raise TypeError or ValueError for a calculator that gives no forces."""
    refuse_class("calculator", calculator)
    if not isinstance(calculator, BaseCalculator):
        raise TypeError(
            f"calculator is a {type(calculator).__name__}; give an ASE calculator of forces"
        )
    if "forces" not in calculator.implemented_properties:
        raise ValueError(
            f"{type(calculator).__name__} does not give forces, which the ionic part of the "
            "piezoelectric tensor is calculated from"
        )


def _calculate(
    atoms: Atoms, components: NDArray[np.float64], calculator: BaseCalculator, has_stress: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return forces, eV/Å, shape (N, 3), and stress, GPa, shape (6,), of the strained crystal."""
    strained = atoms.copy()
    cell = atoms.cell.array @ (np.eye(3) + strain_tensor(components))
    strained.set_cell(cell, scale_atoms=True, apply_constraint=False)
    name = type(calculator).__name__
    given = calculated_property(calculator, "forces", strained)
    forces = finite_real(f"the array of forces of {name}", given, (len(atoms), 3))
    if not has_stress:
        return forces, np.zeros(6)
    given = calculated_property(calculator, "stress", strained)
    stress = finite_real(f"the stress of {name}", given, (6,))
    return forces, stress / units.GPa
