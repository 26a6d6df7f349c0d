"""k-point meshes chosen by their period: the shortest vector of the equivalent supercell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry.minkowski_reduction import minkowski_reduce
from numpy.typing import NDArray

from ase_equivar.structures.lattice import compact_vectors, is_skewed

SAME_LENGTH = 1e-3  # Å
SAME_ANGLE = 0.1  # degrees
LARGEST_EXCESS = 3  # numbers of points beyond the smallest to be tried along an axis


@dataclass(frozen=True)
class Mesh:
    """A regular mesh of k-points.

    Attributes
    ----------
    numbers : tuple of int
        Numbers of k-points along the three reciprocal vectors.
    shifts : tuple of int
        1 where the mesh is shifted from Γ by half a step, else 0.
    """

    numbers: tuple[int, int, int]
    shifts: tuple[int, int, int]

    def __str__(self) -> str:
        text = "x".join(map(str, self.numbers))
        return f"{text} shifted {''.join(map(str, self.shifts))}"


def compact_cell(atoms: Atoms) -> Atoms:
    """Return the same crystal with the shortest lattice vectors and unchanged positions.

    Long, skew cells need more k-points for the same period. Nothing Cartesian changes: forces,
    Z* and ε∞ are those of the cell given.
    """
    new = atoms.copy()
    if is_skewed(atoms.cell.array):
        compact = compact_vectors(atoms.cell.array, atoms.pbc, always=True)
        new.set_cell(compact, apply_constraint=False)
    if new.cell.handedness < 0:
        new.set_cell(-new.cell.array, apply_constraint=False)
    return new


def choose_mesh(atoms: Atoms, period: float) -> Mesh:
    """Return the smallest mesh whose period is at least `period`.

    A mesh of n₁×n₂×n₃ k-points is equivalent to a supercell of as many cells. Its shortest lattice
    vector is the period, over which the density matrix must have decayed. Meshes shifted by half a
    step converge faster in insulators; perpendicular to three- and six-fold axes the mesh remains
    centered, because a shifted one breaks the symmetry. Axes of equal length get equal numbers.

    Parameters
    ----------
    atoms : ase.Atoms
        With a cell from `compact_cell`.
    period : float
        Å.

    Returns
    -------
    Mesh
    """
    lengths = atoms.cell.lengths()
    equal = [
        (a, b) for a, b in ((0, 1), (0, 2), (1, 2)) if abs(lengths[a] - lengths[b]) < SAME_LENGTH
    ]
    least = np.maximum(1, np.ceil(period / lengths - 1e-6)).astype(int)
    first, second, third = (range(int(n), int(n) + LARGEST_EXCESS + 1) for n in least)
    choices = itertools.product(first, second, third)
    for numbers in sorted(choices, key=lambda n: (n[0] * n[1] * n[2], sum(n))):
        if any(numbers[a] != numbers[b] for a, b in equal):
            continue
        supercell = atoms.cell[:] * np.array(numbers)[:, None]
        if shortest_vector(supercell) >= period * (1 - 1e-6):
            return Mesh(numbers, _shifts(atoms))
    raise AssertionError("a compact cell needs no more")


def shortest_vector(cell: NDArray[np.float64]) -> float:
    """Return the length of the shortest lattice vector."""
    reduced, _ = minkowski_reduce(cell)
    return float(np.linalg.norm(reduced, axis=1).min())


def _shifts(atoms: Atoms) -> tuple[int, int, int]:
    """Return which axes are shifted: all but those perpendicular to a hexagonal axis."""
    lengths, angles = atoms.cell.lengths(), atoms.cell.angles()
    shifts = [1, 1, 1]
    for axis in range(3):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        hexagonal = min(abs(angles[axis] - 120), abs(angles[axis] - 60)) < SAME_ANGLE
        normal = max(abs(angles[a] - 90), abs(angles[b] - 90)) < SAME_ANGLE
        if abs(lengths[a] - lengths[b]) < SAME_LENGTH and hexagonal and normal:
            shifts[a] = shifts[b] = 0
    return shifts[0], shifts[1], shifts[2]
