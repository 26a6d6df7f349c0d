"""Graphs against ASE's own neighbor list, and what is refused."""

from collections import Counter

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from helpers import structures

from ase_equivar.graph import build_graph, check_atoms, check_elements, collate

ROTATION = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]


def edges(centers, neighbors, vectors) -> Counter:
    """Multiset of (center, neighbor, vector to 1e-6 Å)."""
    rounded = np.rint(np.asarray(vectors) * 1e6).astype(int)
    return Counter(zip(map(int, centers), map(int, neighbors), map(tuple, rounded), strict=True))


def edges_of(atoms: Atoms, cutoff: float) -> Counter:
    graph = build_graph(atoms, cutoff, dtype=torch.float64)
    return edges(graph.receivers, graph.senders, graph.vectors)


def rotated(atoms: Atoms) -> Atoms:
    atoms.set_cell(atoms.cell.array @ ROTATION.T)
    atoms.positions = atoms.positions @ ROTATION.T
    return atoms


def scattered_over_cells(atoms: Atoms) -> Atoms:
    cells = np.random.default_rng(5).integers(-3, 4, size=(len(atoms), 3)) * atoms.pbc
    atoms.positions += cells @ atoms.cell.array
    return atoms


@pytest.mark.parametrize("cutoff", [1.7, 3.0, 5.1, 9.1])  # none of them a lattice distance
@pytest.mark.parametrize("change", [lambda atoms: atoms, rotated, scattered_over_cells])
@pytest.mark.parametrize("name", structures.ALL)
def test_edges_are_those_of_ase(name, change, cutoff):
    atoms = change(structures.ALL[name]())
    found = edges_of(atoms, cutoff)
    atoms.cell[~atoms.pbc] = 0  # ASE cannot do with parallel vectors, even where they mean nothing
    assert found == edges(*neighbor_list("ijD", atoms, cutoff))


def test_edges_of_a_cell_below_the_cutoff_are_counted_by_hand():
    # bcc: 8 neighbors at 2.685 Å, 6 at 3.1 Å, 12 at 4.384 Å, each an image of the one atom
    graph = build_graph(structures.lone_atom_crystal(), 4.4)
    assert graph.n_edges == 8 + 6 + 12
    assert graph.receivers.unique().tolist() == [0]


def test_skewed_cell_has_the_edges_of_the_compact_one():
    assert edges_of(structures.skewed(), 6.0) == edges_of(structures.triclinic(), 6.0)


def test_wrapped_positions_have_the_same_edges():
    atoms = scattered_over_cells(structures.triclinic())
    before = edges_of(atoms, 6.0)
    atoms.wrap()
    assert edges_of(atoms, 6.0) == before


def test_vectors_point_from_receiver_to_sender_and_receivers_ascend():
    atoms = structures.ethanol()
    graph = build_graph(atoms, 3.0, dtype=torch.float64)
    expected = atoms.positions[graph.senders] - atoms.positions[graph.receivers]
    np.testing.assert_allclose(graph.vectors.numpy(), expected, atol=1e-12)
    assert (graph.receivers.diff() >= 0).all()
    assert graph.n_edges > 0


def test_isolated_atom_has_no_edges():
    graph = build_graph(Atoms("Na"), 5.0)
    assert (graph.n_atoms, graph.n_edges) == (1, 0)
    assert graph.vectors.shape == (0, 3)


def test_collated_graphs_keep_their_edges_and_share_none():
    parts = [build_graph(build(), 4.0) for build in structures.ALL.values()]
    graph = collate([collate(parts[:2]), *parts[2:]])
    assert graph.n_structures == len(parts)
    assert (graph.structure[graph.senders] == graph.structure[graph.receivers]).all()
    assert (graph.receivers.diff() >= 0).all()
    first = 0
    for index, part in enumerate(parts):
        atoms = torch.arange(first, first + part.n_atoms)
        assert (graph.structure[atoms] == index).all()
        assert (graph.numbers[atoms] == part.numbers).all()
        mine = torch.isin(graph.receivers, atoms)
        assert edges(
            graph.receivers[mine] - first, graph.senders[mine] - first, graph.vectors[mine]
        ) == edges(part.receivers, part.senders, part.vectors)
        first += part.n_atoms


def test_collate_refuses_an_empty_list():
    with pytest.raises(ValueError, match="at least one graph"):
        collate([])


def test_dtype_is_that_of_the_vectors_alone():
    graph = build_graph(structures.triclinic(), 4.0).to(dtype=torch.float64)
    assert graph.vectors.dtype == torch.float64
    assert graph.senders.dtype == graph.numbers.dtype == graph.structure.dtype == torch.int64


def overlapping_across_the_border() -> Atoms:
    return Atoms("NaCl", [[0.1, 0, 0], [3.9, 0, 0]], cell=[4, 4, 4], pbc=True)


BAD = {
    "has no atoms": Atoms(),
    r"position of atom 1 \(Cl\) is not finite": Atoms("NaCl", [[0, 0, 0], [np.nan, 0, 0]]),
    "cell has entries that are not finite": Atoms("Na", cell=[np.inf, 1, 1]),
    "periodic along a, b, c, but these cell vectors span no volume": Atoms(
        "Na", cell=[[1, 0, 0], [0, 1, 0], [2, 3, 0]], pbc=True
    ),
    "periodic along c, but": Atoms("Na", cell=[3, 3, 0], pbc=[False, False, True]),
    r"atoms 0 \(Na\) and 1 \(Cl\) are 0.200 Å apart": overlapping_across_the_border(),
    r"atom 0 \(Na\) and its own periodic image are 0.400 Å apart": Atoms(
        "Na", cell=[0.4, 5, 5], pbc=True
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_senseless_structures_are_refused(message):
    for refuse in (check_atoms, lambda atoms: build_graph(atoms, 5.0)):
        with pytest.raises(ValueError, match=message):
            refuse(BAD[message])


def test_atoms_just_above_the_limit_are_accepted():
    check_atoms(Atoms("NaCl", [[0, 0, 0], [0.501, 0, 0]]))


def test_unknown_elements_are_named_and_known_ones_listed():
    with pytest.raises(ValueError, match=r"never seen Cl, U .*; it knows Na, Mg$"):
        check_elements(Atoms("NaClU"), (11, 12))
    check_elements(bulk("NaCl", "rocksalt", a=5.6), (11, 17))
