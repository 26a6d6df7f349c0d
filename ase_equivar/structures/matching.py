"""Test whether two files hold the same structure, and map the order of its atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.structures.lattice import nearest_images

SAME_PLACE = 0.01  # Å; files with few decimals are rounded by a few thousandths


@dataclass(frozen=True)
class SameAtoms:
    """The atoms of one structure in two files.

    Attributes
    ----------
    order : ndarray, shape=(N,)
        For each atom in the first file, the index of the same atom in the second.
    farthest : float
        Largest distance of an atom from the same one in the other file, Å.
    """

    order: NDArray[np.int64]
    farthest: float


def same_atoms(atoms: Atoms, other: Atoms, tolerance: float = SAME_PLACE) -> SameAtoms:
    """Match the atoms of a structure in two files.

    Parameters
    ----------
    atoms, other : ase.Atoms
        The same structure with the same axes; atoms may be in another order, or differ by vectors
        of the cell.
    tolerance : float
        Largest difference of cell vectors and of places, Å.

    Returns
    -------
    SameAtoms

    Raises
    ------
    ValueError
        If it is not the same structure; the message says what differs.
    """
    if sorted(atoms.numbers) != sorted(other.numbers):
        found, wanted = (one.get_chemical_formula() for one in (other, atoms))
        raise ValueError(f"it has other atoms: {found}, not {wanted}")
    strain = np.linalg.norm(other.cell.array - atoms.cell.array, axis=1).max()
    if strain > tolerance:
        raise ValueError(f"its cell vectors differ by up to {strain:.3f} Å")
    steps = other.positions[None] - atoms.positions[:, None]
    if atoms.cell.rank == 3:
        cell = atoms.cell.array
        steps = nearest_images(steps @ np.linalg.inv(cell), cell, atoms.pbc) @ cell
    distances = np.linalg.norm(steps, axis=2)
    distances[atoms.numbers[:, None] != other.numbers] = np.inf
    order: NDArray[np.int64] = distances.argmin(axis=1)
    farthest = float(distances.min(axis=1).max())
    if farthest > tolerance or len(set(order.tolist())) < len(order):
        raise ValueError(f"its atoms are displaced by up to {farthest:.3f} Å")
    return SameAtoms(order, farthest)
