"""Neighbors of some atoms of a structure without images, against all distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers import structures

from ase_equivar.graph import open_search
from ase_equivar.graph.open_search import OpenSearch


def cloud(n: int, size: tuple[float, float, float], seed: int = 0) -> Atoms:
    """Return atoms at random places."""
    return Atoms(f"H{n}", np.random.default_rng(seed).uniform(-1, 1, (n, 3)) * size)


far_away = cloud(40, (3.0, 3.0, 3.0))
far_away.positions[25:] += [4e5, -3e6, 20.0]

SOME = {
    "dense": cloud(400, (7.0, 9.0, 8.0)),
    "row": cloud(60, (200.0, 1e-3, 0.0)),
    "two clusters": far_away,
    "smaller than the cutoff": cloud(20, (0.7, 0.4, 1.0)),
    "one": Atoms("H", [[1.0, 2.0, 3.0]]),
    "crystal": structures.triclinic().repeat((3, 3, 3)),
}


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("has_kernels", [True, False])
def test_it_finds_all_pairs_within_the_cutoff(
    name: str, has_kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_search, "numba_works", lambda: has_kernels)
    atoms, cutoff = SOME[name], 3.3
    n_centers = (len(atoms) + 1) // 2
    pairs = OpenSearch(cutoff).pairs(atoms, n_centers)
    vectors = atoms.positions[None] - atoms.positions[:n_centers, None]
    distances = np.linalg.norm(vectors, axis=2)
    distances[np.arange(n_centers), np.arange(n_centers)] = np.inf
    i, j = np.nonzero(distances <= cutoff)
    assert torch.equal(pairs.centers, pairs.centers.sort().values)
    order = np.lexsort((pairs.neighbors.numpy(), pairs.centers.numpy()))
    assert np.array_equal(pairs.centers.numpy()[order], i)
    assert np.array_equal(pairs.neighbors.numpy()[order], j)
    assert np.abs(pairs.vectors.numpy()[order] - vectors[i, j]).max(initial=0) < 1e-9
    if not has_kernels:
        return  # the closest two may be others
    if len(i) == 0:
        assert pairs.closest is None
    else:
        assert pairs.closest is not None
        first, second, distance = pairs.closest
        assert distance == pytest.approx(distances.min())
        assert distances[first, second] == distances.min()


@pytest.mark.parametrize("atoms", [Atoms(), cloud(5, (1.0, 1.0, 1.0))])
def test_no_atoms_have_no_neighbors(atoms: Atoms) -> None:
    pairs = OpenSearch(3.0).pairs(atoms, 0, torch.float32)
    assert pairs.vectors.shape == (0, 3)
    assert pairs.vectors.dtype == torch.float32
    assert pairs.closest is None
