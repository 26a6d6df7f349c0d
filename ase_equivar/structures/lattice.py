"""Heights and volumes of cells, and short vectors for lattices that are given by very skewed ones.

Nothing of a crystal depends on which vectors describe its lattice: adding many times one vector to
another leaves the lattice as it is, but makes the cell flat and long.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from ase.geometry.minkowski_reduction import minkowski_reduce
from numpy.typing import NDArray

MIN_HEIGHT = 0.3  # Å, of a cell along a periodic direction
FLATTEST = 0.1
"""Smallest singular value of the unit vectors along a cell's vectors, which are nearly in a plane
below it; of all crystals of the data sets, none has less than 0.17."""
ALMOST = 1e-4  # relative, of squared lengths: cells of files are rounded
SIGNS = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]])
SINGULAR = 1e-14  # volume, relative to the product of the lengths, that rounding errors leave


def heights(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances (Å) between opposite faces of the cell that 1 to 3 vectors span."""
    inverse = np.linalg.inv(vectors) if len(vectors) == 3 else np.linalg.pinv(vectors, rcond=0)
    return np.asarray(1.0 / np.linalg.norm(inverse, axis=0))


def is_ordinary(cell: NDArray[np.float64]) -> bool:
    """Whether three vectors are clearly neither flat nor short, as those of nearly all crystals.

    This is a quick test for structures in molecular dynamics: the volume relative to the product of
    the lengths is a lower bound of the smallest singular value times 3/2, and times a length of the
    height.
    """
    (a, b, c), (d, e, f), (g, h, i) = cell.tolist()
    lengths = sqrt(a * a + b * b + c * c), sqrt(d * d + e * e + f * f), sqrt(g * g + h * h + i * i)
    span = abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
    relative = span / (lengths[0] * lengths[1] * lengths[2] or 1.0)
    return relative > 1.5 * FLATTEST and relative * min(lengths) > MIN_HEIGHT


def volume(vectors: NDArray[np.float64]) -> float:
    """Return the volume, area or length (Å³, Å², Å) that 1 to 3 vectors span."""
    return float(np.linalg.svd(vectors, compute_uv=False).prod())


def is_singular(vectors: NDArray[np.float64]) -> bool:
    """Return whether vectors are parallel or zero, as far as rounding errors can tell."""
    return volume(vectors) <= SINGULAR * float(np.linalg.norm(vectors, axis=1).prod())


def is_skewed(cell: NDArray[np.float64]) -> bool:
    """Whether a vector becomes shorter by adding others to it, or taking them away."""
    products = cell @ cell.T
    squares = np.diag(products)
    others = 2 * np.abs(products - np.diag(squares))
    if (others > np.minimum.outer(squares, squares) * (1 + ALMOST)).any():
        return True
    sums = SIGNS @ cell
    return bool((sums**2).sum(axis=1).min() < squares.max() * (1 - ALMOST))


def compact_vectors(
    cell: NDArray[np.float64], pbc: NDArray[np.bool_], *, always: bool = False
) -> NDArray[np.float64]:
    """Return vectors of the same lattice, short ones in place of very skewed ones.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), Å
        Vectors along directions that are not periodic are replaced by orthogonal unit vectors.
    pbc : ndarray of bool, shape (3,)
        Periodic directions; their vectors must not be parallel, see `is_singular`.
    always : bool
        Replace those of an ordinary cell too, wherever shorter ones exist.

    Returns
    -------
    ndarray, shape (3, 3), Å
        `cell` itself, unless it is less than 0.3 Å high along a periodic direction, or its vectors
        are nearly parallel or in a plane, or `always`; then the Minkowski-reduced vectors.
    """
    if pbc.all() and not always and is_ordinary(cell):
        return cell.copy()
    full = np.asarray(complete_cell(np.where(pbc[:, None], cell, 0.0)))
    if not (always or _is_flat(full[pbc])):
        return full
    try:
        with np.errstate(all="ignore"):
            reduced, _ = minkowski_reduce(full, pbc)
    except (RuntimeError, ValueError, IndexError):  # vectors that are parallel but for rounding
        return full
    return np.asarray(reduced)


def compact_atoms(atoms: Atoms) -> Atoms:
    """Return a structure in a cell with `compact_vectors`; its atoms stay where they are."""
    if not _is_flat(atoms.cell.array[atoms.pbc]):
        return atoms
    compact = atoms.copy()
    compact.set_cell(compact_vectors(atoms.cell.array, atoms.pbc), apply_constraint=False)
    return compact


def nearest_images(
    steps: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_] | bool = True
) -> NDArray[np.float64]:
    """Return displacements to the nearest images, in reduced coordinates, shape (..., 3).

    Parameters
    ----------
    steps : ndarray, shape (..., 3)
        Displacements to any images, in units of the vectors of `cell`.
    cell : ndarray, shape (3, 3), Å
    pbc : ndarray of bool, shape (3,), or bool
        Periodic directions.
    """
    periodic = np.broadcast_to(pbc, (3,))
    full = complete_cell(np.where(periodic[:, None], cell, 0.0))
    if not is_skewed(full):
        return np.asarray(steps - np.rint(steps) * periodic)
    compact = compact_vectors(cell, periodic, always=True)
    # In units of skewed vectors, the nearest image is not the one by rounding.
    whole = np.rint(steps @ full @ np.linalg.inv(compact)) * periodic
    return np.asarray(steps - np.rint(whole @ compact @ np.linalg.inv(full)))


def _is_flat(vectors: NDArray[np.float64]) -> bool:
    if len(vectors) == 0 or (len(vectors) == 3 and is_ordinary(vectors)):
        return False
    along = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    if np.linalg.svd(along, compute_uv=False).min() < FLATTEST:
        return True
    return bool(heights(vectors).min() < MIN_HEIGHT)
