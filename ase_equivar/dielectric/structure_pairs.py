"""Pairs of structures at the ends of a path: displacements, order of the atoms, polar end."""

from __future__ import annotations

import functools
import warnings
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import polar

from ase_equivar.structures.lattice import (
    compact_atoms,
    compact_vectors,
    is_skewed,
    nearest_images,
)
from ase_equivar.structures.symmetry import space_group, spglib_cell
from ase_equivar.structures.validation import check_structure
from ase_equivar.warning_types import PolarizationWarning

AMBIGUOUS = 0.45  # of a lattice vector; beyond it, another periodic image could be the nearest
LARGE_STRAIN = 0.1  # above it, cells may be of the same lattice with other vectors
STEPS_OF_CHOICE = 3  # with so many of these in a row, vectors that are farther away are reached too
SAME_STRUCTURE = 1e-6  # Å; finer than the displacements that anybody would differentiate by
STRAINED = 1e-4  # strain above which two cells count as different


def check_pair(start: Atoms, end: Atoms) -> None:
    """Raise ValueError for structures that no path of crystals connects.

    They differ in their elements, are not crystals, or their cells differ in handedness: on any
    path between a right-handed and a left-handed cell the volume vanishes somewhere. Or the vectors
    of one cell are others of the same lattice: the crystal would be sheared along the path.
    """
    for atoms in (start, end):
        check_structure(atoms)
    if not np.array_equal(start.numbers, end.numbers):
        raise ValueError(
            f"the structures {start.get_chemical_formula()} and {end.get_chemical_formula()} do "
            "not list the same atoms in the same order"
        )
    if not (start.pbc.all() and end.pbc.all()):
        raise ValueError("a polarization needs structures that are periodic in three directions")
    hands = [
        "right-handed" if np.linalg.det(atoms.cell.array) > 0 else "left-handed"
        for atoms in (start, end)
    ]
    if hands[0] != hands[1]:
        raise ValueError(
            f"the cell vectors of one structure are {hands[0]} and those of the other are "
            f"{hands[1]}: no path connects them. Choose the vectors of one along those of the "
            "other, by reversing or exchanging some with set_cell(vectors, scale_atoms=False), "
            "which leaves the atoms in place"
        )
    _check_vectors(start, end)


def _check_vectors(start: Atoms, end: Atoms) -> None:
    """Raise ValueError if other vectors of the second lattice are much closer to the first ones."""
    given = float(np.abs(stretch(start, end) - np.eye(3)).max())
    if given <= LARGE_STRAIN:
        return
    best = np.eye(3, dtype=int)
    for _ in range(STEPS_OF_CHOICE):
        choices = _choices() @ best
        deformations = np.linalg.solve(start.cell.array, choices @ end.cell.array)
        # F Fᵀ does not change with a rotation of the crystal
        strains = np.abs(deformations @ deformations.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
        best = choices[strains.argmin()]
    other = end.copy()
    other.set_cell(best @ end.cell.array, apply_constraint=False)
    least = float(np.abs(stretch(start, other) - np.eye(3)).max())
    if least < given / 2:
        raise ValueError(
            f"the cell vectors of the second structure are strained by {given:.2f} with respect to "
            f"those of the first, other vectors of its lattice by {least:.2f} only. Take these, "
            f"set_cell(np.array({best.tolist()}) @ cell, scale_atoms=False), which leaves "
            "atoms in place. If the crystal does change its shape so much, insert an intermediate "
            "structure"
        )


@functools.cache
def _choices() -> NDArray[np.int64]:
    """Return other vectors of a lattice, of the same handedness, in units of its own vectors."""
    matrices = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return matrices[np.linalg.det(matrices).round() == 1]


def stretch(start: Atoms, end: Atoms) -> NDArray[np.float64]:
    """Return how the cell is stretched from one structure to another, without rotations.

    Parameters
    ----------
    start, end : ase.Atoms
        Crystals whose cells have the same handedness.

    Returns
    -------
    ndarray, shape (3, 3)
        Symmetric and positive definite, 1 if nothing is stretched: rows of the first cell times
        this matrix are the cell vectors of `end`, turned into the orientation of `start`. By the
        polar decomposition, which attributes as little as possible to the strain.
    """
    deformation = np.linalg.solve(start.cell.array, end.cell.array)
    return np.asarray(polar(deformation, side="left")[1])


def reduced_step(start: Atoms, end: Atoms) -> NDArray[np.float64]:
    """Return the displacement of each atom in reduced coordinates, shape (N, 3).

    Each atom moves to its nearest image; the common (median) displacement is subtracted. ValueError
    if the nearest image of an atom is ambiguous.
    """
    step = end.get_scaled_positions(wrap=False) - start.get_scaled_positions(wrap=False)
    step = step - step[0]  # a common shift must not decide which image is the nearest
    cell = start.cell.array
    step = nearest_images(step, cell)
    step = nearest_images(step - np.median(step, axis=0), cell)
    shortest = compact_vectors(cell, start.pbc, always=is_skewed(cell))
    _check_images(start, step @ cell @ np.linalg.inv(shortest))
    return step


def _check_images(atoms: Atoms, steps: NDArray[np.float64]) -> None:
    """Raise ValueError if other periodic images are nearly as near, or nearer.

    If the k atoms that move farthest along a lattice vector went to their images one vector before,
    the sum of squared displacements from the mean would grow by k (1 − k/N) − 2 Σ d, with their
    displacements d from the mean: by nothing if they move by half a vector relative to the others.

    Parameters
    ----------
    atoms : ase.Atoms
    steps : ndarray, shape (N, 3)
        Displacements in units of the shortest lattice vectors.
    """
    n = len(steps)
    if n == 1:
        return
    order = np.argsort(-steps, axis=0)
    sums = np.cumsum(np.take_along_axis(steps - steps.mean(axis=0), order, axis=0), axis=0)[:-1]
    k = np.arange(1, n)[:, None]
    relative = sums / (k * (1 - k / n))
    moved, axis = np.unravel_index(int(relative.argmax()), relative.shape)
    if relative[moved, axis] <= AMBIGUOUS:
        return
    ahead, behind = order[: moved + 1, axis], order[moved + 1 :, axis]
    some = min(ahead, behind, key=len)
    names = ", ".join(f"{one} ({atoms.symbols[one]})" for one in sorted(some)[:4])
    more = f" and {len(some) - 4} more" if len(some) > 4 else ""
    moving, images = f"atoms {names}{more} move", "their nearest images are"
    if len(some) == 1:
        moving, images = f"atom {names} moves", "its nearest image is"
    raise ValueError(
        f"{moving} by {relative[moved, axis]:.2f} of a lattice vector relative to the others: "
        f"{images} ambiguous; insert an intermediate structure"
    )


def warn_if_same(start: Atoms, end: Atoms, step: NDArray[np.float64]) -> None:
    """Warn that two structures are the same, but for shift and rotation: nothing changes."""
    moved = (step - step.mean(axis=0)) @ end.cell.array
    strained = start.cell.array @ (stretch(start, end) - np.eye(3))
    if max(np.abs(moved).max(), np.abs(strained).max()) > SAME_STRUCTURE:
        return
    warnings.warn(
        f"the two structures are the same within {SAME_STRUCTURE:g} Å, apart from a shift or "
        "rotation of the whole crystal: in the axes of the crystal, the polarization does not "
        "change between them. Was one file given twice?",
        PolarizationWarning,
        stacklevel=3,
    )


def warn_of_order(start: Atoms, order: NDArray[np.int64], consequence: str) -> None:
    """Warn that another order of the atoms of the second structure is shorter."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    pairs = ", ".join(f"{start.symbols[i]} {i} to {order[i]}" for i in moved[:4])
    more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
    warnings.warn(
        f"atoms of the same element move less if they are matched in a different order "
        f"({pairs}{more}){consequence}",
        PolarizationWarning,
        stacklevel=3,
    )


def cell_of_polar(start: Atoms, end: Atoms) -> NDArray[np.float64]:
    """Return the cell that converts the change of π to a polarization, Å; shape=(3, 3).

    Its orientation determines in whose Cartesian axes the polarization is given.
    """
    differs = np.abs(np.linalg.solve(start.cell.array, end.cell.array) - np.eye(3)).max()
    if differs > STRAINED and is_polar(start):  # strained or turned
        if not is_polar(end):
            return np.asarray(start.cell.array)
        strain = np.abs(stretch(start, end) - np.eye(3)).max()
        if strain > STRAINED:
            warnings.warn(
                f"both structures are polar and their cells differ (strain {strain:.2g}): the "
                "polarization of the first one, which Z* do not determine, changes with the cell, "
                "and this change is neglected. Start at a nonpolar structure for each of them and "
                "subtract",
                PolarizationWarning,
                stacklevel=3,
            )
    return np.asarray(end.cell.array)


def is_polar(atoms: Atoms) -> bool:
    """Say whether a crystal's point group allows a spontaneous polarization (within 0.01 Å)."""
    atoms = compact_atoms(atoms)
    found = space_group(spglib_cell(atoms), 0.01)
    if found is None:
        return True
    # The mean of all rotations projects onto the vectors that all of them leave unchanged.
    return bool(np.abs(found.rotations.mean(axis=0)).max() > 1e-6)
