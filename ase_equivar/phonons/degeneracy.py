"""Frequencies of a dynamical matrix, and their degenerate sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEGENERATE = 0.01  # THz: modes that are all closer than this to each other are one degenerate set


def signed_frequencies(squares: NDArray[np.floating[Any]], factor: float) -> NDArray[np.float64]:
    """Return frequencies (THz) of eigenvalues of a dynamical matrix; negative: imaginary."""
    frequencies: NDArray[np.float64] = np.sign(squares) * np.sqrt(np.abs(squares)) * factor
    return frequencies


def degenerate_groups(frequencies: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Split the indices of ascending frequencies (THz) into sets no wider than the tolerance.

    In a cell of many atoms, each mode is close to the next, but not to all others: what is too wide
    is split at its largest gap.
    """
    groups: list[NDArray[np.int64]] = []
    edges = np.flatnonzero(np.diff(frequencies) > DEGENERATE) + 1
    left = np.split(np.arange(len(frequencies)), edges)[::-1]
    while left:
        group = left.pop()
        inside = frequencies[group]
        if len(group) and inside[-1] - inside[0] > DEGENERATE:
            edge = int(np.diff(inside).argmax()) + 1
            left += [group[edge:], group[:edge]]
        else:
            groups.append(group)
    return groups
