"""Kernels that lie in files: against torch, and what depends on them in the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.random_networks import random_edges

from ase_equivar.compile_cache import load_source
from ase_equivar.machine_code import source_digest
from ase_equivar.network.irreps import harmonic_scales, spherical_harmonics
from ase_equivar.network.kernels import bonds, feature_loops, launch_numba
from ase_equivar.network.kernels.bond_loops import directions


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 3e-7), (torch.float64, 1e-14)])
@pytest.mark.parametrize("l_max", [0, 2, 5])
def test_lengths_and_harmonics_equal_torchs(l_max: int, dtype: torch.dtype, bound: float) -> None:
    edges = random_edges(7, 50)
    torch.manual_seed(2)
    vectors = torch.randn(50, 3, dtype=dtype)
    vectors[:3] = torch.diag(torch.tensor([1.0, -2.0, 3.0]))  # along the axes
    distances, harmonics = bonds.distances_and_harmonics(edges, vectors, l_max, 0.3)
    torch.testing.assert_close(distances, torch.linalg.vector_norm(vectors, dim=1))
    expected = 0.3 * spherical_harmonics(vectors.double(), l_max)
    assert (harmonics - expected).abs().max() <= bound * expected.abs().max()


def test_loops_run_as_python_too() -> None:
    vectors = np.array([[0.3, -1.2, 2.0], [1.0, 0.5, 0.0]])
    found = []
    for function in (directions, directions.py_func):
        distances, harmonics = np.empty(2), np.empty((2, 16))
        function(vectors, np.array([0, 2]), harmonic_scales(3), distances, harmonics, 0, 1)
        found.append(np.column_stack([distances, harmonics]))
    np.testing.assert_allclose(*found, rtol=0, atol=1e-14)


def test_generated_kernels_are_told_apart_by_the_loops_that_they_contain(tmp_path: Path) -> None:
    """Machine code that numba has made of them holds that of these functions."""
    text = Path(feature_loops.__file__).read_text()
    copies = []
    for name, change in (("same.py", ""), ("edited.py", "# edited")):
        copies.append(tmp_path / name)
        copies[-1].write_text(text + change)
    same, edited = (source_digest(str(copy)) for copy in copies)
    assert same in launch_numba.VERSION
    assert edited not in launch_numba.VERSION
    modules = [load_source("loops", version, "x = 1") for version in (same, edited)]
    assert modules[0].__name__ != modules[1].__name__
