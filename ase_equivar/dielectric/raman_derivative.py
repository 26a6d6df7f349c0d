"""How ε∞ changes when atoms move: central differences, as few as the crystal's symmetry allows.

Atoms are displaced one at a time, along Cartesian directions, and not along eigenvectors: the
derivative ∂ε∞/∂u of each atom then gives the Raman tensors of all modes, transverse and
longitudinal ones for every direction of q, and costs fewer calculations. α-Quartz takes 9 displaced
crystals for a step, where its 20 Raman-active modes would take 40.

An operation of the space group with the rotation R takes atom i to j, and with it the change of ε∞
under a displacement d of i, m, to R m Rᵀ under the displacement R d of j. All images of what was
calculated are fitted at once, which makes the result as symmetric as the crystal. A crystal stays
what it is when all of its atoms move together, so that the derivatives add up to zero; what is left
of numerical errors is taken off each atom alike.
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
from rich.console import Console
from rich.progress import Progress

from ase_equivar.arguments import dielectric_array, finite_real, positive_number
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.operations import Operation, cartesian_operations
from ase_equivar.structures.metals import refuse_metal
from ase_equivar.structures.phonopy_objects import require_phonopy
from ase_equivar.structures.vacuum import describe_vacuum

logger = logging.getLogger(__name__)

STEP = 0.01
"""Å. ε∞ of a network in single precision then has four digits of its change, and what is not linear
adds less than 0.1 % (quartz; see docs/howto/raman.md)."""
LONGEST_STEP = 0.25  # Å; twice of it must not break bonds
METALLIC = 100.0  # ε∞ that no insulator has
BROKEN_SYMMETRY = 0.02  # of ε∞
DRIFT = 0.1  # of the largest derivative
NOISE = 1e-3  # 1/Å, what the rounding of a network in single precision may give

_Tensors = NDArray[np.float64]


@dataclass(frozen=True)
class DielectricDerivative:
    """∂ε∞/∂u of the N atoms of the primitive cell, 1/Å.

    Attributes
    ----------
    values : ndarray, shape (N, 3, 3, 3)
        [i, c, a, b] = ∂ε∞_ab/∂u_ic: atom, Cartesian direction of its displacement, tensor.
    doubled : ndarray, shape (N, 3, 3, 3)
        The same with twice the step; how far it differs is an estimate of the error of `values`.
    parts : ndarray, shape (S, N, 3, 3, 3), or None
        The same as S parts of a model see it, each with some channels left out; None for a
        calculator that has no such parts. See `EquivarCalculator.dielectric_tensor_parts`.
    electronic : ndarray, shape (3, 3)
        ε∞ of the crystal itself.
    step : float
        Å.
    n_calculations : int
        How many crystals `values` and `doubled` took.
    """

    values: _Tensors
    doubled: _Tensors
    parts: _Tensors | None
    electronic: _Tensors
    step: float
    n_calculations: int


def dielectric_derivative(
    phonon: Phonopy, calculator: BaseCalculator, *, step: float = STEP, progress: bool = True
) -> DielectricDerivative:
    """Return how ε∞ changes with the positions of the atoms of the primitive cell.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        Gives the primitive cell and its symmetry.
    calculator : ase calculator
        Gives ``dielectric_tensor``, ε∞ at fixed atoms; whatever it is: a network or a DFT code.
    step : float
        Largest displacement of the first difference, Å; the second has twice of it.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError
        When the calculator does not give ``dielectric_tensor``, or gives what is none or is that of
        a metal, or what does not have the crystal's symmetry; when the cell has vacuum or consists
        of metals; when `step` makes no sense.
    TypeError
        When `calculator` is no ASE calculator.
    """
    require_phonopy(phonon)
    step = check_step(step)
    require_dielectric(calculator)
    cell = to_ase(phonon.primitive)
    if (reason := describe_vacuum(cell)) is not None:
        raise ValueError(
            f"the cell {reason}: Raman tensors come from ε∞ of a crystal in three dimensions, and "
            "that of a cell with vacuum depends on how much there is"
        )
    refuse_metal(cell)
    electronic = _dielectric(cell, calculator)
    highest = float(np.linalg.eigvalsh(electronic)[-1])
    if highest > METALLIC:
        raise ValueError(
            f"ε∞ up to {highest:.0f} is that of a metal or of a vanishing gap, whose Raman tensors "
            "have no meaning at fixed atoms"
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
    n_calculations = 2 * len(directions) + 1
    logger.info("ε∞ of %d crystals of %d atoms", n_calculations, len(cell))
    console = Console(stderr=True)
    found: list[_Tensors] = []
    parts: list[_Tensors] = []
    with Progress(
        console=console, transient=True, disable=not (progress and console.is_terminal)
    ) as bar:
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
            found.append(_solve(directions, np.array(tensors), size, operations, len(cell)))
    of_parts = None
    if parts:
        of_parts = np.array(
            [
                _solve(directions, tensors, step, operations, len(cell))
                for tensors in np.array(parts).swapaxes(0, 1)
            ]
        )
    values, doubled = found
    return DielectricDerivative(values, doubled, of_parts, electronic, step, n_calculations)


def check_step(step: float) -> float:
    """Return a displacement in Å, or refuse what is none."""
    return positive_number("step", step, "Å", largest=LONGEST_STEP)


def require_dielectric(calculator: Any) -> None:
    """Refuse a calculator that cannot give ε∞, before any work is done."""
    if not isinstance(calculator, BaseCalculator):
        raise TypeError(
            f"calculator is a {type(calculator).__name__}; give an ASE calculator with "
            "dielectric_tensor, or a DielectricDerivative"
        )
    if "dielectric_tensor" not in calculator.implemented_properties:
        raise ValueError(
            f"{type(calculator).__name__} does not give dielectric_tensor (ε∞), of which Raman "
            "tensors are derivatives; EquivarCalculator does with a model that predicts it"
        )


def dielectric_parts(atoms: Atoms, calculator: BaseCalculator) -> _Tensors | None:
    """Return ε∞ as parts of a model see it, shape (S, 3, 3); None if there are none."""
    method = getattr(calculator, "dielectric_tensor_parts", None)
    found = None if method is None else method(atoms)
    return None if found is None else finite_real("ε∞ of parts of the model", found, (None, 3, 3))


def _dielectric(atoms: Atoms, calculator: BaseCalculator) -> _Tensors:
    name = type(calculator).__name__
    try:
        value = calculator.get_property("dielectric_tensor", atoms)
    except PropertyNotImplementedError as error:
        raise ValueError(f"{name} does not give dielectric_tensor (ε∞): {error}") from error
    return dielectric_array(f"the dielectric tensor of {name}", value)


def _directions(phonon: Phonopy) -> list[tuple[int, _Tensors]]:
    """Return which atoms to displace along which Cartesian unit vectors; signs are included."""
    found = []
    for atom, *direction in get_least_displacements(
        phonon.primitive_symmetry, is_plusminus="auto", is_diagonal=True
    ):
        vector = np.asarray(direction) @ phonon.primitive.cell
        found.append((int(atom), vector / np.linalg.norm(vector)))
    return found


def _solve(
    directions: list[tuple[int, _Tensors]],
    tensors: _Tensors,
    size: float,
    operations: list[Operation],
    n_atoms: int,
) -> _Tensors:
    """Return the derivatives that all images of the central differences together ask for."""
    images: list[list[tuple[_Tensors, _Tensors]]] = [[] for _ in range(n_atoms)]
    for index, (atom, direction) in enumerate(directions):
        opposite = _opposite(index, directions, tensors, operations)
        slope = (tensors[index] - opposite) / (2 * size)
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
            "ε∞ of the calculator changes when the whole crystal moves, by "
            f"{np.abs(drift).max() * n_atoms:.3g} per Å: it is not that of a periodic crystal, or "
            "not converged"
        )
    return values - drift


def _opposite(
    index: int,
    directions: list[tuple[int, _Tensors]],
    tensors: _Tensors,
    operations: list[Operation],
) -> _Tensors:
    """Return ε∞ for the opposite of one displacement: calculated, or its image by symmetry."""
    atom, direction = directions[index]
    for other, (same, there) in enumerate(directions):
        if same == atom and np.allclose(there, -direction, atol=1e-6):
            return np.asarray(tensors[other])
    for one in operations:
        turned = one.rotation @ direction
        if one.images[atom] == atom and np.allclose(turned, -direction, atol=1e-4):
            return np.asarray(one.rotation @ tensors[index] @ one.rotation.T)
    raise RuntimeError(
        f"phonopy left out a displacement of atom {atom} whose opposite does not follow by symmetry"
    )
