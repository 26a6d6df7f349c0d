"""How one file's crystal lies in the axes of another file's."""

from __future__ import annotations

from itertools import product

import numpy as np
import spglib
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import polar

SYMPREC = 0.05  # Å
SAME_LENGTH = 0.03
FARTHEST = 0.3  # Å, of an atom

Array = NDArray[np.float64]


def isometry(given: Atoms, wanted: Atoms) -> Array | None:
    """Return the rotation, proper or not, that lays a crystal over another one.

    Of several, any: they differ by an operation of the crystal's group, which changes no tensor.

    Returns
    -------
    ndarray, shape (3, 3), or None
        A vector v of `given` is R v in the axes of `wanted`. None where they are not the same
        crystal, to 3 % of its lattice vectors and 0.3 Å of its atoms.
    """
    given, wanted = _primitive(given), _primitive(wanted)
    if sorted(given.numbers) != sorted(wanted.numbers):
        return None
    cell, target = given.cell.array, wanted.cell.array
    vectors = np.array(list(product(range(-3, 4), repeat=3)), dtype=float) @ cell
    lengths = np.linalg.norm(vectors, axis=1)
    choices = [vectors[np.abs(lengths / np.linalg.norm(one) - 1) < SAME_LENGTH] for one in target]
    best, rotation = FARTHEST, None
    for basis in map(np.array, product(*choices)):
        if abs(abs(np.linalg.det(basis) / np.linalg.det(target)) - 1) > 3 * SAME_LENGTH:
            continue
        turn, stretch = polar(np.linalg.solve(basis, target))
        if np.abs(stretch - np.eye(3)).max() > SAME_LENGTH:
            continue
        misfit = _misfit(given, wanted, np.linalg.inv(basis) @ target)
        if misfit < best:
            best, rotation = misfit, turn.T
    return rotation


def _primitive(atoms: Atoms) -> Atoms:
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=SYMPREC)
    lattice, scaled, numbers = cell if found is None else found
    reduced = Atoms(numbers, cell=lattice, scaled_positions=scaled, pbc=True)
    return reduced


def _misfit(given: Atoms, wanted: Atoms, deformation: Array) -> float:
    """Return how far atoms are from their places, Å, for the best shift of the whole crystal."""
    positions = given.positions @ deformation
    target = wanted.cell.array
    smallest = np.inf
    for place in wanted.positions[wanted.numbers == given.numbers[0]]:
        steps = (positions + place - positions[0])[:, None] - wanted.positions
        reduced = steps @ np.linalg.inv(target)
        distances = np.linalg.norm((reduced - np.rint(reduced)) @ target, axis=2)
        distances[given.numbers[:, None] != wanted.numbers] = np.inf
        smallest = min(smallest, float(distances.min(axis=1).max()))
    return smallest


def rotated(e: Array, rotation: Array) -> Array:
    """Return a piezoelectric tensor, shape (3, 6), in the axes of the other crystal."""
    full = e[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    turned = np.einsum("ai,bj,ck,ijk", rotation, rotation, rotation, full)
    components: Array = turned[:, (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
    return components
