"""Weights interpolated from a table against the weights themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from ase.build import bulk
from helpers.random_networks import tabulated_and_gradients

from ase_equivar import load_model
from ase_equivar.graph import Graph, build_graph
from ase_equivar.network import build_network
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.parameter_cache import ParameterCache
from ase_equivar.network.execution.radial_table import SHORTEST, SPACING, RadialTable
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.irreps import Irrep

if TYPE_CHECKING:
    from ase_equivar.network.equivar import Equivar

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
        if isinstance(network, GatedNetwork):
            return list(network._bonds(graph, network.element_index[graph.numbers], 1)[1])
        return list(network._bonds(graph)[1])


def cells(distances: torch.Tensor) -> torch.Tensor:
    """Distances in units of the spacing, counted from the first point."""
    return (distances.double() - SHORTEST) / SPACING


def test_points_of_a_table_are_exact_in_single_precision() -> None:
    """Weights are worked out where the interpolation believes them to be, SevenNet's too."""
    points = RadialTable.sampled(5.0)
    assert torch.equal(points.float().double(), points)
    assert torch.equal(cells(points.float()), 0.5 * torch.arange(len(points)).double())
    jump = float(cells(torch.tensor(4.5)))  # of the second derivative of SevenNet's
    assert jump == round(jump)


@pytest.mark.slow
def test_error_of_the_weights_of_the_bundled_model() -> None:
    """Between the grid points, from the shortest bond to the cutoff, in the precision of use."""
    network = bundled()
    pairs = torch.tensor([[12, 8], [8, 12], [1, 1], [56, 22]])
    senders, receivers = network.element_index[pairs].T
    codes = senders * len(network.elements) + receivers
    distances = torch.linspace(SHORTEST, network.cutoff, 20_011)
    with torch.no_grad():
        ours = network.embedding.weight, network._functions, network.cutoff
        tables = [layer.table(*ours, codes) for layer in network._layers]
        exact_network = bundled().double()
        for number in range(len(codes)):
            for layer, table in zip(exact_network._layers, tables, strict=True):
                functions = exact_network._functions(distances.double())
                sides = (side[number].expand(len(distances)) for side in (senders, receivers))
                hidden = layer.radial(*functions, exact_network.embedding.weight, *sides)
                exact = layer.weights(hidden)
                where = cells(distances)
                cell, s = where.long(), (where - where.floor())[:, None, None]
                slope, value, middle = table.values[number].unbind(dim=1)
                # the integral of the parabola through three slopes
                cubic = (
                    value[cell]
                    + slope[cell] * (s - 3 / 2 * s**2 + 2 / 3 * s**3)
                    + middle[cell] * (2 * s**2 - 4 / 3 * s**3)
                    + slope[cell + 1] * (2 / 3 * s**3 - s**2 / 2)
                )
                assert (cubic - exact).abs().max() < TOLERANCE * exact.abs().max()


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("summed", [False, True], ids=["each path", "summed"])
def test_kernels_with_tables_equal_e3nn(summed: bool, dtype: torch.dtype, bound: float) -> None:
    """Result and first derivatives, where the interpolation is exact."""
    natural = tuple(map(Irrep.parse, ("0e", "1o", "2e")))
    coupling = Coupling(natural, (*natural, Irrep.parse("0o")), 2, summed=summed)
    for refinement in (1, 3):
        pairs = tabulated_and_gradients(coupling, 6, 50, 5, dtype, "numba", refinement)
        for ours, reference in pairs:
            assert (ours - reference).abs().max() <= bound * reference.abs().max()


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
            network._tables = ParameterCache()
            assert torch.equal(after, weights())
            changes += not torch.equal(before, after)
    assert changes >= 5


def test_small_tables_serve_small_cells_of_few_elements() -> None:
    """Eight atoms of MgO, forty with a third element; not so where a table would be large."""
    config = {"architecture": "gated", "elements": (8, 12, 20), "channels": 4}
    network = build_network(config).float().eval()
    oxide = bulk("MgO", "rocksalt", a=4.21, cubic=True)
    assert None not in used_tables(network, build_graph(oxide, 5.0))
    oxide.numbers[0] = 20
    assert used_tables(network, build_graph(oxide, 5.0)) == [None] * 3
    assert None not in used_tables(network, build_graph(oxide * (5, 1, 1), 5.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_tables_where_they_do_not_pay(dtype: torch.dtype) -> None:
    """Few edges or double precision: the weights themselves."""
    config = {"architecture": "gated", "elements": (8, 12), "channels": 4}
    network = build_network(config).to(dtype).eval()
    small = build_graph(bulk("MgO", "rocksalt", a=4.21), 5.0, dtype=dtype)
    assert used_tables(network, small) == [None] * 3
    large = oxide(dtype)
    kinds = {type(table) for table in used_tables(network, large)}
    assert kinds == ({RadialTable} if dtype == torch.float32 else {type(None)})


def test_no_tables_with_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the weights there are none from tables."""
    asked: list[int] = []
    network, bonds = bundled(), GatedNetwork._bonds

    def watched(self: GatedNetwork, graph: Graph, species: torch.Tensor, uses: int) -> Any:
        asked.append(uses)
        return bonds(self, graph, species, uses)

    monkeypatch.setattr(GatedNetwork, "_bonds", watched)
    graph = oxide()
    network(graph)
    with torch.no_grad():
        network(graph)
    assert asked == [0, 1]
    assert network._bonds(graph, network.element_index[graph.numbers], 0)[1] == [None] * 3
