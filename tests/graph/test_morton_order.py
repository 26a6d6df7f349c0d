"""Large structures are worked on in an order of their own; nobody may notice."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from helpers.structures import triclinic

from ase_equivar import EquivarCalculator, load_model
from ase_equivar.graph import graph as graph_module
from ase_equivar.graph.morton_order import morton_sort
from ase_equivar.graph.neighbors import MOST_KEPT
from ase_equivar.training.batches import make_loader
from ase_equivar.training.comparison import compare
from ase_equivar.training.data import LabelledFrame
from ase_equivar.training.objective import errors


def shuffled(repeats: tuple[int, int, int]) -> Atoms:
    """A low-symmetry crystal, rattled, its atoms in any order and in any image of the cell."""
    atoms = triclinic() * repeats
    random = np.random.default_rng(1)
    atoms.rattle(0.1, rng=random)
    atoms = atoms[random.permutation(len(atoms))]
    atoms.positions += random.integers(-2, 3, size=(len(atoms), 3)) @ atoms.cell.array
    return atoms


def test_neighbors_lie_close_together() -> None:
    """Half of all neighbors in a run of a few hundred atoms, instead of anywhere."""
    atoms = shuffled((12, 12, 12))
    order = morton_sort(atoms)
    assert sorted(order) == list(range(len(atoms)))

    def typical_way(one: Atoms) -> float:
        i, j = neighbor_pairs(one)
        return float(np.median(np.abs(i - j)))

    assert typical_way(atoms[order]) < 0.1 * typical_way(atoms)


def neighbor_pairs(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """By ASE's own search."""
    i, j = primitive_neighbor_list("ij", atoms.pbc, atoms.cell.array, atoms.positions, 4.0)
    return i, j


@pytest.mark.parametrize("pbc", [True, (True, True, False), False])
@pytest.mark.parametrize("first", [0, 1000.0])
def test_order_of_open_structures(pbc: object, first: float) -> None:
    """Any boundary, any place in space, one atom far away from all others."""
    atoms = shuffled((3, 3, 3))
    atoms.pbc = pbc
    atoms.positions += first
    if not np.all(pbc):
        atoms.positions[5, 2] += 1e9
    assert sorted(morton_sort(atoms)) == list(range(len(atoms)))


def test_charges_and_uncertainties_come_in_the_order_of_the_atoms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    atoms = shuffled((2, 3, 4))
    names = ("born_charges", "born_charges_uncertainty", "dielectric_tensor")
    expected = {name: EquivarCalculator().get_property(name, atoms) for name in names}
    monkeypatch.setattr(graph_module, "MOST_KEPT", 10)
    assert not (morton_sort(atoms) == np.arange(len(atoms))).all()
    for name, values in expected.items():
        found = EquivarCalculator().get_property(name, atoms)
        assert np.allclose(found, values, atol=2e-5), name
    several = EquivarCalculator().predict([atoms, triclinic(), atoms])
    for one in several[::2]:
        assert np.allclose(one.born_charges, expected["born_charges"], atol=2e-5)


def test_messages_name_the_users_atoms() -> None:
    atoms = shuffled((8, 8, 8))
    assert len(atoms) > MOST_KEPT
    atoms.positions[17] = atoms.positions[1200] + 0.1
    with pytest.raises(ValueError, match=r"atoms 17 \(.*\) and 1200 \(|atoms 1200 .* and 17 \("):
        EquivarCalculator().get_property("born_charges", atoms)
    atoms.positions[40, 1] = np.nan
    with pytest.raises(ValueError, match=r"position of atom 40 \("):
        EquivarCalculator().get_property("born_charges", atoms)


def test_labels_of_a_batch_follow_the_order_of_its_atoms(monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_model("universal")
    large = shuffled((2, 2, 2))
    labels = np.random.default_rng(0).normal(size=(len(large), 3, 3))
    frames = [
        LabelledFrame(atoms, charges, None)
        for atoms, charges in ((triclinic(), np.zeros((5, 3, 3))), (large, labels))
    ]
    expected = errors(network, next(iter(make_loader(frames, network, 2))))
    raw = compare(network, frames).raw_born_charges[1]
    monkeypatch.setattr(graph_module, "MOST_KEPT", 10)
    batch = next(iter(make_loader(frames, network, 2)))
    assert not isinstance(batch.graph.places, slice)
    found = errors(network, batch)
    assert found.neutral.item() == pytest.approx(expected.neutral.item(), rel=1e-5)
    assert np.allclose(compare(network, frames).raw_born_charges[1], raw, atol=2e-5)
