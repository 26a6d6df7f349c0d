"""Matching of the atoms of two structures, element by element, by least squared displacement."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ase_equivar.dielectric.structure_pairs import stretch
from ase_equivar.structures.lattice import nearest_images

SHORTER = 0.5  # ratio of sums of squared displacements that thermal motion alone does not reach
NEGLIGIBLE = 0.01  # Å²: sum of squared displacements below which the given order is kept
MAX_SHIFTS = 48


def shortest_order(start: Atoms, end: Atoms) -> NDArray[np.int64] | None:
    """Return the order of the atoms of `end` that matches those of `start` best.

    It minimizes the sum of squared displacements to nearest images, apart from a rigid shift of the
    whole crystal and its rotation.

    Parameters
    ----------
    start, end : ase.Atoms
        Crystals with the same number of atoms of each element and cells of the same handedness.

    Returns
    -------
    ndarray or None, shape (N,)
        Indices in `end`; None if the given order is kept, because another one would not halve the
        sum of squared displacements of the atoms that it exchanges.
    """
    before, after = (one.get_scaled_positions(wrap=False) for one in (start, end))
    cell = start.cell.array @ (np.eye(3) + stretch(start, end)) / 2
    best, least = np.arange(len(start)), np.inf
    listed = np.full(len(start), np.inf)
    mostly_listed = False
    for attempt, shift in enumerate(_shifts(start, before, after)):
        found = _squares(before, after, cell, shift)
        listed = min(listed, found, key=lambda squares: float(squares.sum()))
        order = _assigned(start, end, before, after - shift, cell)
        total = float(_squares(before, after[order], cell, shift).sum())
        # A shift by a lattice vector of the primitive cell may give a slightly smaller sum by
        # chance: if the first shift keeps the order of most atoms, another must halve the sum.
        if total < (SHORTER if mostly_listed else 1.0) * least:
            best, least = order, total
        if attempt == 0:
            mostly_listed = bool((order == np.arange(len(start))).mean() > 0.5)
    other = best != np.arange(len(start))
    if not other.any():
        return None
    shift = _shifts(start, before, after[best])[0]
    matched = _squares(before, after[best], cell, shift)
    if matched[other].sum() > SHORTER * listed[other].sum() or listed[other].sum() < NEGLIGIBLE:
        return None
    return best


def _shifts(
    start: Atoms, before: NDArray[np.float64], after: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return candidate rigid shifts of the crystal, reduced coordinates, most likely first."""
    numbers, counts = np.unique(start.numbers, return_counts=True)
    rare = np.flatnonzero(start.numbers == numbers[counts.argmin()])
    centers = [after[i] - before[rare[0]] for i in rare[:MAX_SHIFTS]]
    steps = after - before
    steps = steps - steps[0]  # as in the step itself: the nearest images, whatever the shift
    steps = nearest_images(steps, start.cell.array)
    common = after[0] - before[0] + np.median(steps, axis=0)
    return [common, np.zeros(3), *centers]


def _assigned(
    start: Atoms,
    end: Atoms,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    cell: NDArray[np.float64],
) -> NDArray[np.int64]:
    order = np.arange(len(start))
    for number in np.unique(start.numbers):
        old, new = np.flatnonzero(start.numbers == number), np.flatnonzero(end.numbers == number)
        steps = after[new][None] - before[old][:, None]
        squares = ((nearest_images(steps, cell) @ cell) ** 2).sum(axis=2)
        rows, columns = linear_sum_assignment(squares)
        order[old[rows]] = new[columns]
    return order


def _squares(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    cell: NDArray[np.float64],
    shift: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return u² of each atom, Å², shape (N,): u to its nearest image, minus the median shift."""
    steps = after - before - shift
    moved = nearest_images(steps, cell) @ cell
    squares: NDArray[np.float64] = ((moved - np.median(moved, axis=0)) ** 2).sum(axis=1)
    return squares
