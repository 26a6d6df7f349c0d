"""Translations within a cell that leave a crystal unchanged, and the smaller cell without them.

A symmetry search finds them too, and takes a hundred times longer where there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.structures.lattice import compact_vectors, is_skewed


@dataclass(frozen=True)
class Translations:
    """Translations of a cell onto itself, among them that by nothing.

    Attributes
    ----------
    shifts : ndarray, shape (n, 3)
        In units of the cell vectors.
    images : ndarray of int64, shape (n, N)
        Index of the atom onto which each shift brings each atom.
    deviation : float
        Largest distance of an atom, shifted, from that atom, Å.
    """

    shifts: NDArray[np.float64]
    images: NDArray[np.int64]
    deviation: float


def find_translations(atoms: Atoms, tolerance: float) -> Translations:
    """Find the translations by which each atom falls onto one of its element.

    Parameters
    ----------
    atoms : ase.Atoms
        A crystal.
    tolerance : float
        Å; smaller than half the distance of any two atoms.
    """
    n_atoms = len(atoms)
    numbers = atoms.numbers
    kinds, counts = np.unique(numbers, return_counts=True)
    shifts, images, deviation = [np.zeros(3)], [np.arange(n_atoms)], 0.0
    if reduce(gcd, counts.tolist()) > 1:  # the number of translations divides it
        places, cell = atoms.get_scaled_positions(wrap=False), atoms.cell.array
        members = [np.flatnonzero(numbers == kinds[k]) for k in np.argsort(counts, kind="stable")]
        rarest = members[0]
        proposed = places[rarest[1:]] - places[rarest[0]]
        for mine in members:  # one atom of each element rules most of them out
            distances = _distances(places[mine[-1]] + proposed, places[mine], cell)
            proposed = proposed[distances.min(axis=1) < tolerance]
        for shift in proposed:
            image = np.empty(n_atoms, dtype=np.int64)
            farthest = 0.0
            for mine in members:
                distances = _distances(places[mine] + shift, places[mine], cell)
                image[mine] = mine[distances.argmin(axis=1)]
                farthest = max(farthest, float(distances.min(axis=1).max()))
                if farthest >= tolerance:
                    break
            else:
                shifts.append(shift)
                images.append(image)
                deviation = max(deviation, farthest)
    return Translations(np.array(shifts), np.array(images), deviation)


def _distances(
    places: NDArray[np.float64], others: NDArray[np.float64], cell: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distances (Å) of fractional coordinates, nearest images, shape (n, m)."""
    between = places[:, None] - others
    return np.asarray(np.linalg.norm((between - np.rint(between)) @ cell, axis=2))


def reduced_cell(atoms: Atoms, found: Translations) -> Atoms | None:
    """Return the crystal in the smallest cell, with vectors as short as possible.

    Directions and positions of the atoms that are kept do not change; nothing else of the
    structure is kept but its elements.

    Parameters
    ----------
    atoms : ase.Atoms
        A crystal.
    found : Translations
        Of it.

    Returns
    -------
    ase.Atoms or None
        None if the translations do not form a group, as may be where they hold within a large
        tolerance only.
    """
    n = len(found.shifts)
    kept = np.unique(found.images.min(axis=0))
    cell = atoms.cell.array
    if n > 1:
        whole = np.rint(found.shifts * n).astype(np.int64)  # the order of each divides n
        vectors = _basis(np.concatenate([n * np.eye(3, dtype=np.int64), whole]))
        if len(kept) * n != len(atoms) or abs(np.diag(vectors).prod()) != n**2:
            return None
        cell = vectors / n @ cell
    if n > 1 or is_skewed(cell):
        cell = compact_vectors(cell, np.ones(3, dtype=bool), always=True)
    return Atoms(numbers=atoms.numbers[kept], positions=atoms.positions[kept], cell=cell, pbc=True)


def _basis(vectors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return three vectors, an upper triangle, of which all others are sums with whole factors."""
    rows = vectors.copy()
    for column in range(3):
        below = rows[column:]
        while np.count_nonzero(below[:, column]) > 1:  # Euclid's algorithm
            sizes = np.abs(below[:, column])
            least = int(np.where(sizes > 0, sizes, sizes.max() + 1).argmin())
            factors = below[:, column] // below[least, column]
            factors[least] = 0
            below -= factors[:, None] * below[least]
        first = int(np.flatnonzero(below[:, column])[0])
        below[[0, first]] = below[[first, 0]]
    return rows[:3]
