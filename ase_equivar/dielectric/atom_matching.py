"""Which atom of one structure becomes which of another: like atoms, the shortest way."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

SHORTER = 0.5  # of the sum of squares: thermal motion alone makes no order so much shorter
NOTHING = 0.01  # Å², a sum of squares that needs no other order
MAX_SHIFTS = 48


def shortest_order(start: Atoms, end: Atoms) -> NDArray[np.int64] | None:
    """Return the order of the atoms of `end` in which they come from those of `start`.

    The sum of squared displacements, to nearest images and apart from a shift of the whole crystal,
    is the least then.

    Parameters
    ----------
    start, end : ase.Atoms
        The same numbers of atoms of each element, periodic.

    Returns
    -------
    ndarray or None, shape (N,)
        Indices in `end`; None where the order given is not twice as long, in the sum of squares
        of the atoms that change places.
    """
    before, after = (one.get_scaled_positions(wrap=False) for one in (start, end))
    cell = (start.cell.array + end.cell.array) / 2
    best, least = np.arange(len(start)), np.inf
    listed = np.full(len(start), np.inf)
    mostly_listed = False
    for attempt, shift in enumerate(_shifts(start, before, after)):
        found = _squares(before, after, cell, shift)
        listed = min(listed, found, key=lambda squares: float(squares.sum()))
        order = _assigned(start, end, before, after - shift, cell)
        total = float(_squares(before, after[order], cell, shift).sum())
        # A shift by a vector of a smaller cell may be a little shorter by chance: where the first
        # one leaves most atoms in their places, another must be much shorter.
        if total < (SHORTER if mostly_listed else 1.0) * least:
            best, least = order, total
        if attempt == 0:
            mostly_listed = bool((order == np.arange(len(start))).mean() > 0.5)
    other = best != np.arange(len(start))
    if not other.any():
        return None
    shift = _shifts(start, before, after[best])[0]
    matched = _squares(before, after[best], cell, shift)
    if matched[other].sum() > SHORTER * listed[other].sum() or listed[other].sum() < NOTHING:
        return None
    return best


def _shifts(
    start: Atoms, before: NDArray[np.float64], after: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Propose by how much the whole crystal may have been shifted, the likeliest first."""
    numbers, counts = np.unique(start.numbers, return_counts=True)
    rare = np.flatnonzero(start.numbers == numbers[counts.argmin()])
    centers = [after[i] - before[rare[0]] for i in rare[:MAX_SHIFTS]]
    steps = after - before
    steps = steps - steps[0]  # as in the step itself: the nearest images, whatever the shift
    common = after[0] - before[0] + np.median(steps - np.rint(steps), axis=0)
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
        squares = (((steps - np.rint(steps)) @ cell) ** 2).sum(axis=2)
        rows, columns = linear_sum_assignment(squares)
        order[old[rows]] = new[columns]
    return order


def _squares(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    cell: NDArray[np.float64],
    shift: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return u² of each atom, u to the nearest image and less what most have in common."""
    steps = after - before - shift
    moved = (steps - np.rint(steps)) @ cell
    squares: NDArray[np.float64] = ((moved - np.median(moved, axis=0)) ** 2).sum(axis=1)
    return squares
