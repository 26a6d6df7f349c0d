"""Weights interpolated from a table against the weights themselves."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from ase.build import bulk
from e3nn import o3

from ase_equivar import load_model
from ase_equivar.graph import Graph, build_graph
from ase_equivar.network import build_network
from ase_equivar.network.bonds import WeightTables
from ase_equivar.network.convolution import Convolution
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.edges import EdgeIndex
from ase_equivar.network.equivar import Equivar
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.table import SHORTEST, RadialTable

TOLERANCE = 1e-6  # of the largest weight


def oxide(dtype: torch.dtype = torch.float32) -> Graph:
    """Rattled, strained MgO large enough for tables to pay."""
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (4, 4, 4)
    atoms.set_cell(atoms.cell.array @ [[1.02, 0.03, 0], [0, 0.99, 0.02], [0, 0, 1]], True)
    atoms.rattle(0.1, seed=2)
    return build_graph(atoms, 5.0, dtype=dtype)


def bundled() -> GatedNetwork:
    network = load_model("universal")
    assert isinstance(network, GatedNetwork)
    return network.float().eval()


def used_tables(network: GatedNetwork | Equivar, graph: Graph) -> list[RadialTable | None]:
    with torch.no_grad():
        if isinstance(network, Equivar):
            return list(network._bonds(graph)[1])
        return list(network._bonds(graph, network.element_index[graph.numbers])[1])


def test_points_of_a_table_are_exact_in_single_precision() -> None:
    """Weights are worked out where the interpolation believes them to be, SevenNet's too."""
    points = RadialTable.distances(5.0)
    assert torch.equal(points.float().double(), points)
    assert torch.equal(RadialTable.cells(points.float()), torch.arange(len(points)).double())


def test_error_of_the_weights_of_the_bundled_model() -> None:
    """Between the grid points, from the shortest bond to the cutoff, in the precision of use."""
    network = bundled()
    pairs = torch.tensor([[12, 8], [8, 12], [1, 1], [56, 22]])
    senders, receivers = network.element_index[pairs].T
    codes = senders * len(network.elements) + receivers
    distances = torch.linspace(SHORTEST, network.cutoff, 20_011)
    with torch.no_grad():
        layers = [partial(network._weights_at, layer, codes) for layer in network._layers]
        tables = WeightTables().of([network], codes, layers, network.cutoff)
        exact_network = bundled().double()
        for number in range(len(codes)):
            for layer, table in zip(exact_network._layers, tables, strict=True):
                exact = exact_network._weights_at(
                    layer, codes[number : number + 1], distances.double()
                )[0]
                where = RadialTable.cells(distances)
                cell, s = where.long(), (where - where.floor())[:, None, None]
                t = table.values[number]
                cubic = (
                    -s * (s - 1) * (s - 2) / 6 * t[cell - 1]
                    + (s + 1) * (s - 1) * (s - 2) / 2 * t[cell]
                    - (s + 1) * s * (s - 2) / 2 * t[cell + 1]
                    + (s + 1) * s * (s - 1) / 6 * t[cell + 2]
                )
                assert (cubic - exact).abs().max() < TOLERANCE * exact.abs().max()


def test_kernel_interpolates_its_table() -> None:
    """A cubic in the distance is interpolated exactly: e3nn with the cubic itself agrees."""
    torch.manual_seed(0)
    natural = tuple(map(o3.Irrep, ("0e", "1o", "2e")))
    coupling, n_atoms, n_edges, channels = Coupling(natural, natural, 2), 6, 50, 5
    convolution = Convolution(coupling, channels)
    receivers = torch.randint(0, n_atoms, (n_edges,)).sort().values
    edges = EdgeIndex(torch.randint(0, n_atoms, (n_edges,)), receivers, n_atoms, n_atoms)
    features = torch.randn(n_atoms, coupling.input_dim, channels)
    harmonics = torch.randn(n_edges, 9)
    which, distances = torch.randint(0, 3, (n_edges,)), 0.4 + 4.6 * torch.rand(n_edges)
    powers = torch.randn(4, 3, len(coupling.paths), channels)

    def weights(pair: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        x = (r / 5)[:, None, None]
        return sum(powers[n][pair] * x**n for n in range(4))

    grid = RadialTable.distances(5.0).float()
    table = RadialTable(torch.stack([weights(torch.full((len(grid),), p), grid) for p in range(3)]))
    ours = convolution.tabulated(features, harmonics, table, which, distances, edges)
    convolution.backend = "e3nn"
    reference = convolution(features, harmonics, weights(which, distances), edges)
    for own, literal in zip(ours, reference, strict=True):
        assert (own - literal).abs().max() < 1e-5 * literal.abs().max()


def test_network_with_tables_equals_e3nn_without() -> None:
    network, graph = bundled(), oxide()
    assert all(table is not None for table in used_tables(network, graph))
    with torch.no_grad():
        fast = network(graph)
        network.backend = "e3nn"
        assert used_tables(network, graph) == [None] * 3
        literal = network.double()(oxide(torch.float64))
    assert (fast.born_charges - literal.born_charges).abs().max() < 1e-5
    assert (fast.dielectric - literal.dielectric).abs().max() < 1e-5


def test_tables_follow_the_weights() -> None:
    """A table made before a change of the weights, or for other elements, is not used again."""
    network, graph = bundled(), oxide()
    before = used_tables(network, graph)
    assert used_tables(network, graph)[0] is before[0]  # the next step of an MD
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.01)
        changed = network(graph).born_charges
        network.backend = "e3nn"
        assert (changed - network(graph).born_charges).abs().max() < 1e-4
    network.backend = "auto"
    graph.numbers[graph.numbers == 12] = 20
    assert used_tables(network, graph)[0] is not before[0]


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "gated", "elements": (8, 12), "channels": 4, "radial_hidden": 5},
        {"architecture": "equivar", "preset": "bm2"},
    ],
)
def test_every_parameter_behind_the_weights_is_watched(config: dict[str, Any]) -> None:
    """One parameter at a time, also when another takes its place: new weights, new tables."""
    torch.manual_seed(0)
    network = build_network(config).float().eval()
    graph = build_graph(bulk("MgO", "rocksalt", a=4.21, cubic=True) * 2, network.cutoff)

    def weights() -> torch.Tensor:
        tables = used_tables(network, graph)
        return torch.cat([table.values.flatten() for table in tables])

    changes = 0
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            before = weights()
            setattr(module, name, torch.nn.Parameter(parameter.detach() + 0.1))
            after = weights()
            network._tables = WeightTables()
            assert torch.equal(after, weights())
            changes += not torch.equal(before, after)
    assert changes >= 5


def test_small_tables_serve_small_cells_of_few_elements() -> None:
    """Eight atoms of MgO, the steps of an MD; not so where a table would be large."""
    config = {"architecture": "gated", "elements": (8, 12, 20), "channels": 4}
    network = build_network(config).float().eval()
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True)
    assert None not in used_tables(network, build_graph(atoms, 5.0))
    atoms.numbers[0] = 20
    assert used_tables(network, build_graph(atoms, 5.0)) == [None] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_tables_where_they_do_not_pay(dtype: torch.dtype) -> None:
    """Few edges, double precision or gradients: the weights themselves."""
    config = {"architecture": "gated", "elements": (8, 12), "channels": 4}
    network = build_network(config).to(dtype).eval()
    small = build_graph(bulk("MgO", "rocksalt", a=4.21), 5.0, dtype=dtype)
    assert used_tables(network, small) == [None] * 3
    large = oxide(dtype)
    kinds = {type(table) for table in used_tables(network, large)}
    assert kinds == ({RadialTable} if dtype == torch.float32 else {type(None)})
    assert network._bonds(large, network.element_index[large.numbers])[1] == [None] * 3
