"""Ghosts of one process: images of its own atoms, which get the features of their owners."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.random_networks import GATED, make
from helpers.structures import triclinic

from ase_equivar import EquivarCalculator
from ase_equivar.engines.halo import Halo
from ase_equivar.engines.lammps_atoms import LocalAtoms
from ase_equivar.engines.local_charges import SharedCharges
from ase_equivar.inference.predictor import Predictor


def with_images(atoms: Atoms, reach: float, seed: int = 0) -> LocalAtoms:
    """Return atoms and all images within `reach` of one of them, images in any order."""
    around = atoms.repeat((7, 7, 7))
    around.positions -= 3 * atoms.cell.array.sum(axis=0)
    tags = np.tile(np.arange(1, len(atoms) + 1), 7**3)
    middle = len(atoms) * (7**3 // 2)
    own = np.arange(middle, middle + len(atoms))
    assert np.allclose(around.positions[own], atoms.positions)
    distances = np.linalg.norm(around.positions[:, None] - atoms.positions, axis=2).min(axis=1)
    ghosts = np.setdiff1d(np.flatnonzero(distances < reach), own)
    np.random.default_rng(seed).shuffle(ghosts)
    chosen = np.concatenate([own, ghosts])
    return LocalAtoms(
        numbers=around.numbers[chosen],
        positions=around.positions[chosen],
        tags=tags[chosen],
        n_local=len(atoms),
        unwrapped=atoms.positions,
        origin=np.zeros(3),
        cell=atoms.cell.array,
        periodic=np.ones(3, dtype=bool),
        box_changes=False,
        steps_since_lists=0,
    )


@pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")  # weights are random
def test_charges_are_those_of_the_whole_crystal() -> None:
    network, atoms = make(GATED), triclinic()
    predictor = Predictor(network, "cpu", torch.float64)
    expected = EquivarCalculator(model=network, dtype=torch.float64, device="cpu").get_property(
        "born_charges", atoms
    )
    here = with_images(atoms, predictor.cutoff + 0.5)
    assert len(here.numbers) > 5 * len(atoms)
    found = SharedCharges(predictor)(here, same_ghosts=False)
    assert np.abs(found - expected).max() < 1e-11 * np.abs(expected).max()
    # the next step, and other ghosts: too few of them are not enough
    shared = SharedCharges(predictor)
    shared(here, same_ghosts=False)
    assert np.array_equal(shared(here, same_ghosts=True), found)
    few = with_images(atoms, predictor.cutoff - 1.5)
    assert np.abs(shared(few, same_ghosts=False) - expected).max() > 1e-3


def test_ghosts_that_nobody_owns_are_told() -> None:
    with pytest.raises(ValueError, match="no process owns the atom 9"):
        Halo(np.array([1, 2, 3, 2, 9]), 3)


def test_a_graph_with_ghosts_needs_their_features() -> None:
    predictor, atoms = Predictor(make(GATED), "cpu", torch.float64), triclinic()
    shared, here = SharedCharges(predictor), with_images(atoms, 3.0)
    shared(here, same_ghosts=False)
    graph = replace(shared._graph(here), exchange=None)
    with pytest.raises(ValueError, match="ghosts"):
        predictor.local_charges(graph, here.n_local)
