"""Nearest points of a set in a space of some ten dimensions."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FEW = 16
"""Places up to which all distances are calculated. A search tree is not faster then, and SciPy,
which has it, takes longer to import than the first prediction of a small crystal."""


class Points:
    """A set of points.

    Parameters
    ----------
    points : ndarray, shape (M, K)
    """

    def __init__(self, points: NDArray[np.float64]) -> None:
        self._points = points

    def nearest(
        self, places: NDArray[np.float64], count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the nearest points of each place.

        Parameters
        ----------
        places : ndarray, shape (N, K)
        count : int
            At most M.

        Returns
        -------
        distances : ndarray, shape (N, count)
            Ascending.
        index : ndarray of int, shape (N, count)
            Of the points.
        """
        if len(places) > FEW:
            found, index = self._tree.query(places, k=np.arange(1, count + 1))
            return found, index
        transposed, half_squares = self._for_products
        # the largest p·x − p²/2 are those of the nearest points; their distances would round there
        products = torch.addmm(half_squares, torch.from_numpy(places), transposed, beta=-1)
        near = products.topk(count, dim=1).indices.numpy()
        distances = np.sqrt(np.square(self._points[near] - places[:, None]).sum(axis=2))
        order = distances.argsort(axis=1, kind="stable")
        return np.take_along_axis(distances, order, 1), np.take_along_axis(near, order, 1)

    @cached_property
    def _for_products(self) -> tuple[Tensor, Tensor]:
        """Points (K, M), and half of their squares (M,)."""
        points = torch.from_numpy(self._points)
        return points.T.contiguous(), 0.5 * points.square().sum(dim=1)

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self._points)
