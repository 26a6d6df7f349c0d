"""How far Z* reach: along a chain, in which each atom is bonded to the next ones only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.random_networks import GATED, POLAR, PUBLISHED, make

from ase_equivar.graph import build_graph
from ase_equivar.network import build_network
from ase_equivar.network.ensemble import Ensemble


def changes(network: Any, dtype: torch.dtype) -> list[float]:
    """Return by how much Z* of the first atom change as each of the atoms moves."""
    positions = np.zeros((10, 3))
    positions[:, 0] = 0.6 * network.cutoff * np.arange(10)
    chain = Atoms("OHHO" * 2 + "OH", positions=positions)
    chain.rattle(0.05, seed=1)

    def charges(moved: int | None = None) -> torch.Tensor:
        atoms = chain.copy()
        if moved is not None:
            atoms.positions[moved, 1] += 0.3
        with torch.no_grad():
            return network(build_graph(atoms, network.cutoff, dtype=dtype)).born_charges[0]

    start = charges()
    return [float((charges(k) - start).abs().max()) for k in range(len(chain))]


def assert_reaches(network: Any, n_bonds: int, dtype: torch.dtype = torch.float64) -> None:
    assert network.receptive_field == n_bonds * network.cutoff
    found = changes(network, dtype)
    assert min(found[: n_bonds + 1]) > 0
    assert max(found[n_bonds + 1 :]) == 0


@pytest.mark.parametrize(
    ("config", "n_bonds"),
    [
        (GATED, 3),
        ({**GATED, "interactions": 2}, 2),
        pytest.param(PUBLISHED, 2, marks=pytest.mark.slow),
    ],
)
def test_each_interaction_reaches_a_bond_further(config: dict[str, Any], n_bonds: int) -> None:
    assert_reaches(make(config), n_bonds)


def test_polarization_reaches_twice_as_far() -> None:
    """That of atoms within reach changes when an atom moves, and they have their own reach."""
    assert_reaches(make(POLAR), 6)


def test_an_ensemble_reaches_as_far_as_any_of_it() -> None:
    assert_reaches(Ensemble([make({**GATED, "interactions": 2}), make(GATED, 1)]), 3)


@pytest.mark.slow
def test_features_of_a_potential_have_its_reach_too() -> None:
    pytest.importorskip("sevenn", reason="SevenNet is not installed")
    torch.manual_seed(0)
    config = {**GATED, "architecture": "hybrid", "elements": (1, 8), "cutoff": 5.0}
    network = build_network({**config, "layers": (0, 1), "interactions": 2}).float().eval()
    network.start_from_graphs([build_graph(Atoms("OH", positions=[[0, 0, 0], [1, 0, 0]]), 5.0)])
    assert_reaches(network, 4, torch.float32)
