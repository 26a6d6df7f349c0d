"""Calibrations of models with random weights, without training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from ase_equivar import load_model
from ase_equivar.graph import build_graph
from ase_equivar.inference.features import invariants
from ase_equivar.inference.known_bonds import KnownBonds
from ase_equivar.inference.uncertainty import Calibration, KnownAtoms

POWERS = (0.4, 0.6, 0.7)
LOG_SCALE = -0.3


def features_of(network: torch.nn.Module, atoms: Atoms) -> torch.Tensor:
    dtype = next(network.parameters()).dtype
    graph = build_graph(atoms, network.cutoff, dtype=dtype)
    with torch.no_grad():
        return invariants(network(graph).features)[graph.places]


def save_calibration(folder: Path, atoms: Atoms, compared_with: str | None = None) -> None:
    """Let the model in a folder know rattled copies of a structure, with errors at random."""
    network, rng, moved = load_model(folder, dtype=torch.float64), np.random.default_rng(5), atoms
    seen, graphs = [], []
    for _ in range(10):
        seen.append(features_of(network, moved))
        graphs.append(build_graph(moved, network.cutoff, dtype=torch.float64))
        moved = atoms.copy()
        moved.positions += rng.normal(size=atoms.positions.shape) * 0.05
    joined = torch.cat(seen)
    axes = torch.from_numpy(rng.normal(size=(joined.shape[1], 4))) / joined.std()
    known = KnownAtoms(
        joined.mean(dim=0),
        axes,
        torch.from_numpy(np.tile(atoms.numbers, 10)),
        (joined - joined.mean(dim=0)) @ axes,
        torch.from_numpy(rng.normal(-3, 1, len(joined))),
    )
    Calibration(known, KnownBonds.of(graphs), LOG_SCALE, POWERS, compared_with).save(folder)
