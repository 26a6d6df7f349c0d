"""Neighbor lists that are kept from step to step, against fresh ones."""

from __future__ import annotations

import copy
import logging
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, graphene
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from helpers import structures
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.graph import neighbors as neighbors
from ase_equivar.graph.candidates import Candidates
from ase_equivar.graph.neighbors import NeighborSearch, Pairs


def same(one: Pairs, other: Pairs) -> bool:
    """Whether two lists have the same pairs in the same order, to the last bit."""
    arrays = ("centers", "neighbors", "vectors")
    equal = all(torch.equal(getattr(one, name), getattr(other, name)) for name in arrays)
    return equal and one.closest == other.closest


def hot_copper() -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.set_cell(atoms.cell.array @ [[1, 0.03, 0], [0, 1, 0.02], [0, 0, 1]], scale_atoms=True)
    atoms.calc = EMT()
    MaxwellBoltzmannDistribution(atoms, temperature_K=1500, rng=np.random.default_rng(0))
    return atoms


@pytest.mark.slow
def test_a_kept_list_is_a_fresh_one_along_a_picosecond() -> None:
    atoms, kept, fresh = hot_copper(), NeighborSearch(5.0, skin=0.5), NeighborSearch(5.0)
    start, counts = atoms.positions.copy(), []

    def compare() -> None:
        ours = kept.pairs(atoms)
        assert same(ours, fresh.pairs(atoms))
        counts.append(len(ours.centers))

    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.attach(compare)
    dynamics.run(1000)
    assert len(set(counts)) > 20  # neighbors came and went
    assert np.abs(atoms.positions - start).max() > 0.5  # more than one skin was used up


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")
def test_charges_along_a_trajectory_are_those_of_fresh_calculators() -> None:
    atoms = hot_copper()
    following = EquivarCalculator()
    dynamics = VelocityVerlet(atoms, 2.0 * units.fs)
    for _ in range(8):
        dynamics.run(15)
        ours = following.get_property("born_charges", atoms)
        fresh = EquivarCalculator().get_property("born_charges", atoms)
        assert np.array_equal(ours, fresh)  # to the last bit


@pytest.mark.parametrize(
    "atoms", [structures.triclinic(), structures.sheet(), structures.ethanol()]
)
def test_one_pass_finds_what_torch_finds(atoms: Atoms) -> None:
    """With candidates from a wider search."""
    search = NeighborSearch(4.0, skin=1.0)
    expected = search.pairs(atoms)
    assert search._kept is not None
    positions, cell = (torch.tensor(x) for x in (search._kept.positions, search._kept.cell))
    candidates = search._kept.candidates
    assert len(candidates.i) > len(expected.centers)
    found = neighbors._by_torch(candidates, positions, cell, 4.0, torch.float64)
    assert torch.equal(found.centers, expected.centers)
    assert torch.equal(found.neighbors, expected.neighbors)
    assert torch.allclose(found.vectors, expected.vectors, rtol=0, atol=1e-12)
    assert found.closest is not None
    assert found.closest[2] == pytest.approx(expected.closest[2], abs=1e-12)


def test_a_pair_right_at_the_cutoff_is_the_closest_of_its_list() -> None:
    pairs = NeighborSearch(3.0).pairs(Atoms("H2", [[0, 0, 0], [3.0, 0, 0]]))
    assert len(pairs.centers) == 2
    assert pairs.closest == (0, 1, 3.0)


def test_pairs_have_an_order_of_their_own() -> None:
    """By center, neighbor and cell of the image, also where one atom has many images."""
    atoms = bulk("Cu")
    atoms.positions += [[40.0, -30.0, 7.0]]
    pairs = NeighborSearch(6.0).pairs(atoms)
    cells = np.rint(np.linalg.solve(atoms.cell.array.T, pairs.vectors.numpy().T).T).astype(int)
    assert [tuple(cell) for cell in cells] == sorted(tuple(cell) for cell in cells)


def sheet(repeats: int) -> Atoms:
    atoms = graphene("BN", a=2.5, vacuum=None)
    atoms.cell[2] = 0
    atoms.pbc = (True, True, False)
    return atoms * (repeats, repeats, 1)


TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
FAR_APART = Atoms("O3", positions=[[0, 0, 0], [6e5, 0, 0], [6e5, 0.3, 0.4]])
FAR_AND_NEAR = Atoms("O2", positions=[[0, 0, 0], [1e7, 2e7, 3e7]])


@pytest.mark.parametrize(
    ("atoms", "cutoff", "number"),
    [
        (sheet(120), 0.5, 0),
        (sheet(120), 2.0, 3 * 2 * 120**2),
        (bulk("MgO", "rocksalt", a=4.2, cubic=True) * (1, 1, 2000), 0.3, 0),
        (FAR_APART, 0.5, 2),
        (FAR_APART, 5.0, 2),
        (FAR_AND_NEAR, 5.0, 0),
    ],
)
def test_flat_and_long_boxes(atoms: Atoms, cutoff: float, number: int) -> None:
    """vesin's own division of such boxes into cells ends Python with a division by zero."""
    assert len(NeighborSearch(cutoff).pairs(atoms).centers) == number


@pytest.mark.parametrize("cells", [10, 100_000, 3_000_000])
def test_atoms_far_from_their_cell_keep_their_neighbors(cells: int) -> None:
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    expected = NeighborSearch(4.0).pairs(atoms)
    moved = atoms.copy()
    moved.positions += np.array([[cells], [0], [-cells], [0], [1], [2], [3], [0]]) * (
        atoms.cell.array.sum(axis=0)
    )
    pairs = NeighborSearch(4.0).pairs(moved)
    assert torch.equal(pairs.centers, expected.centers)
    assert torch.equal(pairs.neighbors, expected.neighbors)
    shells = [torch.linalg.vector_norm(p.vectors, dim=1).sort().values for p in (pairs, expected)]
    assert torch.allclose(shells[0], shells[1], atol=1e-7)


@pytest.mark.parametrize("pbc", [(True, False, False), (False, True, False), (True, False, True)])
def test_atoms_far_along_a_wire_or_sheet_keep_their_neighbors(pbc: tuple[bool, ...]) -> None:
    """With a vacuum along no Cartesian axis. vesin would divide the extents along x, y and z, and
    ended Python."""
    atoms = structures.triclinic() * (2, 2, 2)
    atoms.pbc = pbc
    atoms.set_cell(atoms.cell.array @ TURN, scale_atoms=True)
    expected = NeighborSearch(4.0).pairs(atoms)
    moved = atoms.copy()
    steps = np.random.default_rng(2).integers(-20_000, 20_000, size=(len(atoms), 3))
    moved.positions += (steps * pbc) @ atoms.cell.array
    pairs = NeighborSearch(4.0).pairs(moved)
    assert torch.equal(pairs.centers, expected.centers)
    assert torch.equal(pairs.neighbors, expected.neighbors)
    shells = [torch.linalg.vector_norm(p.vectors, dim=1).sort().values for p in (pairs, expected)]
    assert torch.allclose(shells[0], shells[1], atol=1e-7)


def test_copies_of_a_search_remember_nothing() -> None:
    atoms, search = bulk("Cu"), NeighborSearch(5.0, skin=0.5)
    reference = search.pairs(atoms)
    for other in (copy.deepcopy(search), pickle.loads(pickle.dumps(search))):
        assert other._kept is None
        assert same(other.pairs(atoms), reference)


def test_large_structures_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "MOST_KEPT", 10)
    search = NeighborSearch(5.0, skin=0.5)
    for n in (2, 16, 2, 16):
        atoms = bulk("Cu") * (n // 2, 2, 1)
        assert same(search.pairs(atoms), NeighborSearch(5.0).pairs(atoms))
        assert (search._kept is None) == (len(atoms) > 10)


@pytest.mark.parametrize("change", ["cell", "pbc", "wrap", "shift", "fewer", "order"])
def test_any_other_change_is_noticed(change: str) -> None:
    atoms = bulk("MgO", "rocksalt", a=4.21) * (2, 2, 1)
    atoms.rattle(0.1, seed=0)
    search = NeighborSearch(5.0, skin=1.0)
    search.pairs(atoms)
    match change:
        case "cell":
            atoms.cell[0] *= 1.01
        case "pbc":
            atoms.pbc = (True, False, True)
        case "wrap":
            atoms.positions += 30.0
            search.pairs(atoms)
            atoms.wrap()
        case "shift":
            atoms.positions += 0.4
        case "fewer":
            del atoms[3]
        case "order":
            atoms = atoms[::-1]
    assert same(search.pairs(atoms), NeighborSearch(5.0).pairs(atoms))


def test_the_cpu_steps_in_where_a_gpu_cannot_search(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    search, find = NeighborSearch(3.0), neighbors.find_candidates

    def fails_on_gpu(
        atoms: Atoms, cell: NDArray[np.float64], cutoff: float, device: torch.device
    ) -> Candidates:
        if device.type == "cuda":
            raise RuntimeError("no CUDA runtime")
        return find(atoms, cell, cutoff, device)

    search._searches_on = torch.device("cuda")
    monkeypatch.setattr(neighbors, "find_candidates", fails_on_gpu)
    atoms = bulk("Cu")
    with caplog.at_level(logging.WARNING):
        found = [search.pairs(atoms) for _ in range(2)]
    assert caplog.text.count("no CUDA runtime") == 1
    assert same(found[1], NeighborSearch(3.0).pairs(atoms))
