"""A structure shared by processes: those of one are all its own, those of several are threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.random_networks import GATED, make
from helpers.structures import triclinic
from helpers.threaded_processes import Communicator, on_all
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.engines.halo import Halo
from ase_equivar.engines.lammps_atoms import LocalAtoms
from ase_equivar.engines.local_charges import SharedCharges
from ase_equivar.graph import build_graph
from ase_equivar.inference.predictor import Predictor


def with_images(
    atoms: Atoms, reach: float, mine: NDArray[np.bool_] | None = None, seed: int = 0
) -> LocalAtoms:
    """Return some atoms, and all others and images within `reach` of one of them, in any order."""
    mine = np.ones(len(atoms), dtype=bool) if mine is None else mine
    around = atoms.repeat((7, 7, 7))
    around.positions -= 3 * atoms.cell.array.sum(axis=0)
    tags = np.tile(np.arange(1, len(atoms) + 1), 7**3)
    middle = len(atoms) * (7**3 // 2)
    random = np.random.default_rng(seed)
    own = random.permutation(middle + np.flatnonzero(mine))
    distances = np.linalg.norm(around.positions[:, None] - atoms.positions[mine], axis=2)
    ghosts = np.setdiff1d(np.flatnonzero(distances.min(axis=1, initial=np.inf) < reach), own)
    chosen = np.concatenate([own, random.permutation(ghosts)])
    return LocalAtoms(
        numbers=around.numbers[chosen],
        positions=around.positions[chosen],
        tags=tags[chosen],
        n_local=len(own),
        unwrapped=around.positions[own],
        origin=np.zeros(3),
        cell=atoms.cell.array,
        periodic=np.ones(3, dtype=bool),
        box_changes=False,
        steps_since_lists=0,
    )


@pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")  # weights are random
def test_one_process_has_the_charges_of_the_whole_crystal() -> None:
    network, atoms = make(GATED), triclinic()
    predictor = Predictor(network, "cpu", torch.float64)
    expected = EquivarCalculator(model=network, dtype=torch.float64, device="cpu").get_property(
        "born_charges", atoms
    )
    here = with_images(atoms, predictor.cutoff + 0.5)
    assert len(here.numbers) > 5 * len(atoms)
    found = SharedCharges(predictor)(here, same_ghosts=False)
    own = here.tags[: here.n_local] - 1
    assert np.abs(found - expected[own]).max() < 1e-11 * np.abs(expected).max()
    # the next step, and other ghosts: too few of them are not enough
    shared = SharedCharges(predictor)
    shared(here, same_ghosts=False)
    assert np.array_equal(shared(here, same_ghosts=True), found)
    few = with_images(atoms, predictor.cutoff - 1.5)
    assert np.abs(shared(few, same_ghosts=False) - expected[own]).max() > 1e-3


@pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")
@pytest.mark.parametrize("n_processes", [2, 3, 4])
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_several_processes_have_them_too(n_processes: int, backend: str) -> None:
    """Atoms are anybody's, wherever they are; the last process has none but of four."""
    network, atoms = make(GATED), triclinic().repeat((2, 1, 1))
    atoms.rattle(0.05, seed=1)
    random = np.random.default_rng(n_processes)
    owners = random.integers(min(n_processes, 3), size=len(atoms))
    later = atoms.copy()
    later.rattle(0.05, seed=2)
    calculator = EquivarCalculator(model=network, dtype=torch.float64, device="cpu")
    expected = [calculator.get_property("born_charges", one) for one in (atoms, later)]
    parts = [
        [with_images(one, 4.5, owners == rank, rank) for one in (atoms, later)]
        for rank in range(n_processes)
    ]
    # the ghosts are kept while atoms move
    parts = [[one, replace(one, positions=_moved(one, later))] for one, _ in parts]

    def work(communicator: Communicator) -> list[NDArray[np.float64]]:
        predictor = Predictor(network, "cpu", torch.float64, backend)
        shared = SharedCharges(predictor, communicator=communicator)
        first, second = parts[communicator.rank]
        found = [shared(first, same_ghosts=False)]
        communicator.count_again()
        return [*found, shared(second, same_ghosts=True)]

    found, world = on_all(n_processes, work)
    for step in range(2):
        born = np.empty((len(atoms), 3, 3))
        for rank, (one, _) in enumerate(parts):
            born[one.tags[: one.n_local] - 1] = found[rank][step]
        assert np.abs(born - expected[step]).max() < 1e-11 * np.abs(born).max()
        assert np.abs(born.sum(axis=0)).max() < 1e-10
    # each foreign neighbor is asked for and fetched once, for two layers: 1 + 3 + 5 components
    foreign = sum(len(_foreign_neighbors(second, network.cutoff)) for _, second in parts)
    assert foreign > 0
    assert sum(world.received) == 8 * foreign * (1 + 2 * 9 * GATED["channels"])


def _moved(here: LocalAtoms, later: Atoms) -> NDArray[np.float64]:
    """Return positions where `later` has its atoms, of the images that `here` has."""
    away = here.positions - later.positions[here.tags - 1]
    images = np.round(away @ np.linalg.inv(here.cell))
    return later.positions[here.tags - 1] + images @ here.cell


def _foreign_neighbors(here: LocalAtoms, cutoff: float) -> set[int]:
    """Tags of atoms of other processes, an image of which is a neighbor of an own atom."""
    own = here.positions[: here.n_local]
    distances = np.linalg.norm(here.positions[:, None] - own, axis=2).min(axis=1, initial=np.inf)
    return set(here.tags[distances <= cutoff]) - set(here.tags[: here.n_local])


def test_a_shared_structure_has_no_gradients() -> None:
    network, atoms = make(GATED), triclinic()
    graph = replace(build_graph(atoms, network.cutoff), n_foreign=1, exchange=lambda rows: None)
    with pytest.raises(ValueError, match="no gradients"):
        network(graph)


def test_ghosts_that_nobody_owns_are_told() -> None:
    with pytest.raises(ValueError, match="no process owns the atom 9"):
        Halo(np.array([1, 2, 3, 2, 9]), 3)


def test_features_of_foreign_atoms_are_needed() -> None:
    predictor, atoms = Predictor(make(GATED), "cpu", torch.float64), triclinic()
    graph = replace(predictor.graph(atoms), n_foreign=1)
    with pytest.raises(ValueError, match="foreign atoms needs"):
        predictor.local_charges(graph)
