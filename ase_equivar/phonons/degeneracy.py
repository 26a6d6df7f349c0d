"""Frequencies of a dynamical matrix, and their degenerate sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEGENERATE = 0.01  # THz: modes closer than this are one degenerate set


def signed_frequencies(squares: NDArray[np.floating[Any]], factor: float) -> NDArray[np.float64]:
    """Return frequencies (THz) of eigenvalues of a dynamical matrix; negative: imaginary."""
    frequencies: NDArray[np.float64] = np.sign(squares) * np.sqrt(np.abs(squares)) * factor
    return frequencies


def degenerate_groups(frequencies: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Split the indices of ascending frequencies (THz) where the gap exceeds the tolerance."""
    edges = np.flatnonzero(np.diff(frequencies) > DEGENERATE) + 1
    return [np.asarray(group) for group in np.split(np.arange(len(frequencies)), edges)]
