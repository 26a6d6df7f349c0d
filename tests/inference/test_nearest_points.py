"""The nearest of some points: by all distances for few places, by a search tree for many."""

from __future__ import annotations

import numpy as np
import pytest

from ase_equivar.inference.nearest_points import FEW, Points


@pytest.mark.parametrize("n_places", [1, FEW, FEW + 1])
@pytest.mark.parametrize(("n_points", "count"), [(400, 8), (3, 3), (1, 1)])
def test_distances_and_indices(n_places: int, n_points: int, count: int) -> None:
    random = np.random.default_rng(n_places)
    points = 30.0 + random.normal(size=(n_points, 12))
    places = 30.0 + random.normal(size=(n_places, 12))
    places[0] = points[-1]  # where products alone would leave a distance of 1e-6
    distances, index = Points(points).nearest(places, count)
    expected = np.linalg.norm(places[:, None] - points, axis=2)
    np.testing.assert_array_equal(index, np.argsort(expected, axis=1)[:, :count])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :count], rtol=1e-14)
    assert distances[0, 0] == 0
