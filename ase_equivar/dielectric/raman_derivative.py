"""The derivative of ε∞ with respect to atomic displacements, by symmetry-reduced differences.

Atoms are displaced one at a time, not along eigenvectors: the derivative ∂ε∞/∂u of each atom then
gives the Raman tensors of all modes, transverse ones and longitudinal ones for every direction of
q, from fewer calculations. α-Quartz takes 9 displaced crystals per step, where its 20 Raman-active
modes would take 40.

If an operation of the space group with the rotation R maps atom i to j, and a displacement d of i
changes ε∞ by m, then the displacement R d of j changes it by R m Rᵀ. All images of the calculated
changes are fitted at once, which gives the result the symmetry of the crystal. ε∞ does not change
when all atoms move together, so that the derivatives sum to zero over the atoms; what remains by
numerical errors is subtracted from each atom in equal parts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.displacement import get_least_displacements

from ase_equivar.arguments import dielectric_array, finite_real, positive_number, refuse_class
from ase_equivar.calculated_property import calculated_property
from ase_equivar.phonons.born_source import METALLIC
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.operations import cartesian_operations
from ase_equivar.progress_bar import progress_bar
from ase_equivar.structures.matching import same_atoms
from ase_equivar.structures.metals import refuse_metal
from ase_equivar.structures.phonopy_objects import require_phonopy
from ase_equivar.structures.symmetry import Operation
from ase_equivar.structures.vacuum import describe_vacuum

logger = logging.getLogger(__name__)

STEP = 0.01
"""Å. The change of ε∞ of a network in single precision then has four significant digits, and
nonlinear terms contribute less than 0.1 % (quartz; see docs/howto/raman.md)."""
LONGEST_STEP = 0.25  # Å; twice this displacement must not break bonds
BROKEN_SYMMETRY = 0.02  # of ε∞
SAME_CRYSTAL = 1e-3  # Å, between two calculations
DRIFT = 0.1  # of the largest derivative
NOISE = 1e-3  # 1/Å, from the rounding of a network in single precision

_Tensors = NDArray[np.float64]


@dataclass(frozen=True)
class DielectricDerivative:
    """∂ε∞/∂u of the N atoms of the primitive cell, 1/Å.

    Attributes
    ----------
    values : ndarray, shape (N, 3, 3, 3)
        [i, c, a, b] = ∂ε∞_ab/∂u_ic: atom, Cartesian direction of its displacement, tensor.
    doubled : ndarray, shape (N, 3, 3, 3)
        The same with twice the step; the difference is an estimate of the error of `values`.
    parts : ndarray, shape (S, N, 3, 3, 3), or None
        The same from each of S subnetworks of the model, in each of which some channels are left
        out; None for a calculator without them. See `EquivarCalculator.dielectric_tensor_parts`.
    electronic : ndarray, shape (3, 3)
        ε∞ of the crystal itself.
    step : float
        Displacement, Å.
    n_calculations : int
        Number of evaluations of ε∞ for `values`, `doubled` and `electronic`.
    atoms : ase.Atoms
        The primitive cell.
    """

    values: _Tensors
    doubled: _Tensors
    parts: _Tensors | None
    electronic: _Tensors
    step: float
    n_calculations: int
    atoms: Atoms

    def check_crystal(self, atoms: Atoms) -> None:
        """Refuse another crystal than this is of, or other axes or another order of its atoms.

        Raises
        ------
        ValueError
            It names what differs.
        """
        wrong = "the derivative given as calculator is not that of this primitive cell: "
        try:
            matched = same_atoms(self.atoms, atoms, SAME_CRYSTAL)
        except ValueError as error:
            raise ValueError(f"{wrong}{error}") from None
        if (matched.order != np.arange(len(atoms))).any():
            raise ValueError(f"{wrong}its atoms are in another order")


def dielectric_derivative(
    phonon: Phonopy, calculator: BaseCalculator, *, step: float = STEP, progress: bool = True
) -> DielectricDerivative:
    """Return ∂ε∞/∂u for the atoms of the primitive cell.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        Gives the primitive cell and its symmetry.
    calculator : ase calculator
        Gives ``dielectric_tensor``, ε∞ at fixed atoms: a network or a DFT code.
    step : float
        Displacement of an atom, Å; twice this displacement is used too, to estimate the error.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError
        When the calculator does not give ``dielectric_tensor``, or one that is not a valid ε∞, is
        that of a metal, or does not have the symmetry of the crystal; when the cell has vacuum or
        consists of metals; when `step` is not positive or exceeds 0.25 Å.
    TypeError
        When `calculator` is not an ASE calculator.
    """
    require_phonopy(phonon)
    step = check_step(step)
    require_dielectric(calculator)
    cell = to_ase(phonon.primitive)
    if (reason := describe_vacuum(cell)) is not None:
        raise ValueError(
            f"the cell {reason}: Raman tensors are derivatives of ε∞ of a bulk crystal, and ε∞ of "
            "a cell with vacuum depends on the amount of vacuum"
        )
    refuse_metal(cell)
    electronic = _dielectric(cell, calculator)
    highest = float(np.linalg.eigvalsh(electronic)[-1])
    if highest > METALLIC:
        raise ValueError(
            f"ε∞ has an eigenvalue of {highest:.0f}: the crystal is a metal or its band gap nearly "
            "vanishes, and its Raman tensors have no meaning"
        )
    operations = cartesian_operations(phonon)
    for one in operations:
        turned = one.rotation @ electronic @ one.rotation.T
        if np.abs(turned - electronic).max() > BROKEN_SYMMETRY * highest:
            raise ValueError(
                "ε∞ of the calculator does not have the symmetry of the crystal (a rotation takes "
                f"{np.round(electronic, 3).tolist()} to {np.round(turned, 3).tolist()}): it may be "
                "given in other axes"
            )
    directions = _directions(phonon)
    n = len(cell)
    n_calculations = 2 * len(directions) + 1
    logger.info("ε∞ of %d crystals of %d atoms", n_calculations, n)
    found: list[_Tensors] = []
    parts: list[_Tensors] = []
    with progress_bar(progress) as bar:
        task = bar.add_task("ε∞ of displaced crystals", total=2 * len(directions))
        for size in (step, 2 * step):
            tensors = []
            for atom, direction in directions:
                displaced = cell.copy()
                displaced.positions[atom] += size * direction
                tensors.append(_dielectric(displaced, calculator))
                if size == step and (some := dielectric_parts(displaced, calculator)) is not None:
                    parts.append(some)
                bar.advance(task)
            found.append(_solve(directions, np.array(tensors) - electronic, size, operations, n))
    of_parts = None
    if parts:
        at_rest = dielectric_parts(cell, calculator)
        assert at_rest is not None  # there were some for displaced atoms
        of_parts = np.array(
            [
                _solve(directions, changes, step, operations, n)
                for changes in (np.array(parts) - at_rest).swapaxes(0, 1)
            ]
        )
    values, doubled = found
    return DielectricDerivative(values, doubled, of_parts, electronic, step, n_calculations, cell)


def check_step(step: float) -> float:
    """Return a displacement, Å; ValueError if it is not positive or too large."""
    return positive_number("step", step, "Å", largest=LONGEST_STEP)


def require_dielectric(calculator: Any) -> None:
    """Raise ValueError or TypeError for a calculator that cannot give ε∞."""
    refuse_class("calculator", calculator)
    if not isinstance(calculator, BaseCalculator):
        raise TypeError(
            f"calculator is a {type(calculator).__name__}; give an ASE calculator with "
            "dielectric_tensor, or a DielectricDerivative"
        )
    if "dielectric_tensor" not in calculator.implemented_properties:
        raise ValueError(
            f"{type(calculator).__name__} does not give dielectric_tensor (ε∞), whose derivatives "
            "the Raman tensors are; EquivarCalculator gives it with a model that predicts ε∞"
        )


def dielectric_parts(atoms: Atoms, calculator: BaseCalculator) -> _Tensors | None:
    """Return ε∞ from each of S subnetworks of a model, shape (S, 3, 3); None without them."""
    method = getattr(calculator, "dielectric_tensor_parts", None)
    found = None if method is None else method(atoms)
    return None if found is None else finite_real("ε∞ of the subnetworks", found, (None, 3, 3))


def _dielectric(atoms: Atoms, calculator: BaseCalculator) -> _Tensors:
    name = type(calculator).__name__
    try:
        value = calculated_property(calculator, "dielectric_tensor", atoms)
    except PropertyNotImplementedError as error:
        raise ValueError(f"{name} does not give dielectric_tensor (ε∞): {error}") from error
    return dielectric_array(f"the dielectric tensor of {name}", value)


def _directions(phonon: Phonopy) -> list[tuple[int, _Tensors]]:
    """Return (atom, Cartesian unit vector) of the displacements that symmetry does not relate."""
    found = []
    for atom, *direction in get_least_displacements(
        phonon.primitive_symmetry, is_plusminus="auto", is_diagonal=True
    ):
        vector = np.asarray(direction) @ phonon.primitive.cell
        found.append((int(atom), vector / np.linalg.norm(vector)))
    return found


def _solve(
    directions: list[tuple[int, _Tensors]],
    changes: _Tensors,
    size: float,
    operations: list[Operation],
    n_atoms: int,
) -> _Tensors:
    """Return ∂ε∞/∂u, shape (N, 3, 3, 3), fitted to all images of the central differences.

    From changes of ε∞, which have the symmetry of the displacements also where ε∞ of the crystal,
    whose coordinates are rounded, has that of the crystal only roughly.
    """
    images: list[list[tuple[_Tensors, _Tensors]]] = [[] for _ in range(n_atoms)]
    for index, (atom, direction) in enumerate(directions):
        opposite = _opposite(index, directions, changes, operations)
        slope = (changes[index] - opposite) / (2 * size)
        for one in operations:
            turned = one.rotation @ slope @ one.rotation.T
            images[one.images[atom]].append((one.rotation @ direction, turned))
    values = np.empty((n_atoms, 3, 3, 3))
    for atom, pairs in enumerate(images):
        moved = np.array([direction for direction, _ in pairs])
        slopes = np.array([slope for _, slope in pairs]).reshape(-1, 9)
        values[atom] = np.linalg.lstsq(moved, slopes, rcond=None)[0].reshape(3, 3, 3)
    drift = values.mean(axis=0)
    if np.abs(drift).max() > DRIFT * np.abs(values).max() + NOISE:
        raise ValueError(
            "ε∞ of the calculator changes under a translation of the whole crystal, by "
            f"{np.abs(drift).max() * n_atoms:.3g} per Å: it is not that of a periodic crystal, or "
            "not converged"
        )
    return values - drift


def _opposite(
    index: int,
    directions: list[tuple[int, _Tensors]],
    changes: _Tensors,
    operations: list[Operation],
) -> _Tensors:
    """Return the change by the opposite displacement, calculated or by symmetry; shape (3, 3)."""
    atom, direction = directions[index]
    for other, (same, there) in enumerate(directions):
        if same == atom and np.allclose(there, -direction, atol=1e-6):
            return np.asarray(changes[other])
    for one in operations:
        turned = one.rotation @ direction
        if one.images[atom] == atom and np.allclose(turned, -direction, atol=1e-4):
            return np.asarray(one.rotation @ changes[index] @ one.rotation.T)
    raise RuntimeError(
        f"phonopy left out a displacement of atom {atom} whose opposite does not follow by symmetry"
    )
