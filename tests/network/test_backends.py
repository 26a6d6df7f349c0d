"""Compiled kernels, tables and chunks against e3nn's own layers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, graphene
from helpers.random_networks import (
    GATED,
    MIRRORABLE,
    PUBLISHED,
    SYSTEMS,
    make,
    results_and_gradients,
    triclinic,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ase_equivar import EquivarCalculator, load_model
from ase_equivar.graph import Graph, build_graph, collate
from ase_equivar.network import RawTensors, build_network, convolution, kernels
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution import chunking as chunks
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.kernels import bonds, interaction, launch_numba
from ase_equivar.network.kernels.interaction import InteractionSteps


def sheet() -> Atoms:
    """Boron nitride, rattled, periodic along two directions."""
    atoms = graphene("BN", a=2.5, size=(2, 1, 1), vacuum=None)
    atoms.pbc = (True, True, False)
    atoms.rattle(0.1, seed=4)
    return atoms


NETWORKS: dict[str, dict[str, Any]] = {
    "gated": GATED,
    "published": PUBLISHED,
    "mirrorable": MIRRORABLE,
    "higher harmonics": {**PUBLISHED, "l_max": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize("atoms", SYSTEMS.values(), ids=SYSTEMS.keys())
@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS.keys())
def test_networks_agree_with_e3nn(config: dict[str, Any], atoms: Atoms) -> None:
    """Results and gradients in double precision, results in single."""
    network = make(config)
    graph = build_graph(atoms, network.cutoff, dtype=torch.float64)
    results = []
    for backend in ("auto", "e3nn"):
        network.backend = backend
        network.zero_grad()
        raw = network(graph)
        target = raw.born_charges.pow(3).sum()
        if network.has_dielectric:
            target = target + raw.dielectric.sum()
        target.backward()
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        results.append([raw.born_charges.detach(), torch.cat(gradients)])
        if network.has_dielectric:
            results[-1].append(raw.dielectric.detach())
    for ours, reference in zip(*results, strict=True):
        assert (ours - reference).abs().max() < 1e-9 * reference.abs().max()
    network.backend = "auto"
    with torch.no_grad():
        single = network.float()(build_graph(atoms, network.cutoff)).born_charges
    reference = results[1][0]
    assert (single - reference).abs().max() < 1e-5 * max(1.0, reference.abs().max())


@pytest.mark.slow
def test_published_network_with_tables() -> None:
    torch.manual_seed(0)
    network = build_network({"architecture": "equivar", "preset": "bm2"}).eval()
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=2)
    exact = build_graph(atoms, network.cutoff, dtype=torch.float64)
    network.backend = "e3nn"
    with torch.no_grad():
        literal = network(exact).born_charges
        network.float().backend = "auto"
        graph = exact.to(dtype=torch.float32)
        assert network._bonds(graph)[1][0] is not None
        fast = network(graph).born_charges
    assert (fast - literal).abs().max() < 1e-5 * max(1.0, literal.abs().max())


class LargestTensor(TorchDispatchMode):
    """Remembers the largest number of elements that any operation of torch gave."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.detach.default:  # nothing new: kept tables go this way
            return result
        for one in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(one, torch.Tensor):
                self.numel = max(self.numel, one.numel())
        return result


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set the number of torch's threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["equivar", "gated"])
def test_what_makes_it_fast(
    monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None], architecture: str
) -> None:
    """With tables, no matrix meets an edge, and no temporary holds a message for each edge.

    Compiled kernels escape the counters: what they are given is looked at.
    """
    threads(1)
    given = 0
    share_out = launch_numba.share_out

    def watched(kernel: Any, arguments: Sequence[Any], *rest: Any) -> None:
        nonlocal given
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        given = max([given, *(a.numel() for a in tensors if len(a) == graph.n_edges)])
        share_out(kernel, arguments, *rest)

    for module in (launch_numba, interaction, bonds):
        monkeypatch.setattr(module, "share_out", watched)
    n = 16 if architecture == "equivar" else 8
    width = {"features": n} if architecture == "equivar" else {"channels": n}
    network = build_network(
        {"architecture": architecture, "elements": (8, 12), "interactions": 2, **width}
    )
    network = network.float().eval()
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (4, 4, 4)
    atoms.rattle(0.05, seed=0)
    graph = build_graph(atoms, network.cutoff)
    with torch.no_grad():
        network(graph)  # makes the tables
        with FlopCounterMode(display=False) as flops, LargestTensor() as largest:
            network(graph)
        network.backend = "e3nn"
        monkeypatch.setattr(chunks, "EDGES_PER_CHUNK", graph.n_edges)
        with LargestTensor() as literal:
            network(graph)
    assert 4 * largest.numel < graph.n_edges * n * 9 < literal.numel
    assert 0 < given <= graph.n_edges * 9  # harmonics
    layers = network.config.interactions
    per_atom = flops.get_total_flops() / graph.n_atoms
    # at most: six maps of n to n channels of all components and paths, in each layer
    assert 0 < per_atom < 2 * layers * 6 * 35 * n**2
    assert graph.n_edges > 10 * graph.n_atoms


IRREPS = {
    "scalars": (("0e",), ("0e", "1o", "2e")),
    "natural": (("0e", "1o", "2e"), ("0e", "1o", "2e")),
    "last": (("0e", "1o", "2e"), ("0e", "1e", "2e")),
    "odd": (("0o", "1e", "2o"), ("0e", "1o", "2o")),
    "without a path": (("0e", "4e"), ("0e", "0o", "1o")),
}


# each takes seconds of compilation: single precision differs in the type of the constants only
DOUBLE, SINGLE = (torch.float64, 1e-12), (torch.float32, 1e-5)
CASES = [(name, summed, *DOUBLE) for name in IRREPS for summed in (False, True)]
CASES += [("natural", False, *SINGLE), ("odd", True, *SINGLE)]


@pytest.mark.parametrize(("name", "summed", "dtype", "bound"), CASES)
def test_kernel_equals_e3nn(name: str, summed: bool, dtype: torch.dtype, bound: float) -> None:
    """Result and derivatives up to the second against e3nn's TensorProduct."""
    inputs, outputs = (tuple(map(Irrep.parse, side)) for side in IRREPS[name])
    coupling = Coupling(inputs, outputs, 2, summed=summed)
    for ours, reference in results_and_gradients(coupling, 7, 40, 5, dtype, "auto"):
        assert (ours - reference).abs().max() <= bound * reference.abs().max()


@pytest.mark.parametrize("at_once", [1, 50, 97])
def test_pieces_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Long edge lists are worked off in chunks; with gradients they are taken whole."""
    network, atoms = make(GATED), Atoms("O", positions=[[50.0, 0, 0]])
    graph = collate([build_graph(a, 4.0, dtype=torch.float64) for a in (triclinic(), atoms)] * 2)
    whole = network(graph)
    monkeypatch.setattr(chunks, "EDGES_PER_CHUNK", at_once)
    with torch.no_grad():
        parts = network(graph)
    scale = whole.born_charges.abs().max()
    assert (parts.born_charges - whole.born_charges).abs().max() < 1e-12 * scale
    assert torch.allclose(parts.dielectric, whole.dielectric, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("config", [GATED, PUBLISHED], ids=["gated", "published"])
def test_threads_give_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
    threads: Callable[[int], None],
    config: dict[str, Any],
    inference: bool,
) -> None:
    """More threads than processors, each with chunks of its own; torch's setting survives."""
    monkeypatch.setattr(chunks, "MIN_EDGES_PER_THREAD", 10)
    network = make(config)
    graph = collate([build_graph(triclinic(), network.cutoff, dtype=torch.float64)] * 3)
    used: set[str] = set()

    def watch(where: Any, name: str) -> None:
        original = getattr(where, name)

        def watched(*args: Any) -> Any:
            used.add(threading.current_thread().name)
            assert not torch.is_grad_enabled()
            return original(*args)

        monkeypatch.setattr(where, name, watched)

    watch(kernels, "convolve")
    watch(InteractionSteps, "receive")
    results = []
    for number in (1, 3):
        threads(number)
        used.clear()
        with torch.inference_mode() if inference else torch.no_grad():
            results.append(network(graph).born_charges)
        assert results[-1].is_inference() == inference
        assert used
        assert all(name.startswith("ase_equivar") for name in used) == (number > 1)
        assert torch.get_num_threads() == number
    assert (results[0] - results[1]).abs().max() < 1e-12 * results[0].abs().max()


@pytest.mark.parametrize("model", ["universal", "universal-polar"])
def test_model_loaded_in_inference_mode_is_like_any_other(model: str) -> None:
    """Tables and derivatives want weights that can be differentiated with."""
    atoms = bulk("MgO", "rocksalt", a=4.21) * (4, 4, 2)
    atoms.rattle(0.05, seed=2)
    expected = EquivarCalculator(model=model).get_property("born_charges", atoms)
    with torch.inference_mode():
        calculators = [EquivarCalculator(model=model), EquivarCalculator(model=load_model(model))]
    for calculator in calculators:
        np.testing.assert_array_equal(calculator.get_property("born_charges", atoms), expected)


class Watched(torch.nn.Module):
    """A user's own network, which knows of no chunks."""

    cutoff, elements, has_dielectric = 4.0, (8, 12, 22), False
    threads = 0

    def forward(self, graph: Graph) -> RawTensors:
        Watched.threads = torch.get_num_threads()
        return RawTensors(torch.zeros(graph.n_atoms, 3, 3), None)


@pytest.mark.slow
def test_torch_keeps_its_threads_where_nothing_is_done_in_pieces(
    threads: Callable[[int], None],
) -> None:
    """With gradients, few edges, in a user's own network, and in e3nn's layers run literally."""
    threads(2)
    EquivarCalculator(model=Watched()).get_property("born_charges", triclinic())
    assert Watched.threads == 2
    few, many = (build_graph(triclinic() * n, 4.0, dtype=torch.float64) for n in (1, 4))
    assert few.n_edges < 2 * chunks.MIN_EDGES_PER_THREAD < many.n_edges
    seen: list[int] = []
    fast, literal = make(GATED), make(PUBLISHED)
    literal.backend = "e3nn"
    for module in (fast.interactions[0], literal.readout):
        module.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            for graph in (few, many):
                fast(graph)
                literal(graph)
    assert seen == [2, 2, 2, 2, 2, 2, 1, 2]  # one where atoms are shared out among threads
    assert torch.get_num_threads() == 2


def test_threads_leave_the_default_precision_alone() -> None:
    """It is set for a moment when e3nn's products are made, and belongs to all threads."""
    coupling = Coupling((Irrep.parse("0e"),), (Irrep.parse("1o"),), 1)
    before, interval = torch.get_default_dtype(), sys.getswitchinterval()
    convolution._e3nn_product.cache_clear()

    def make_product(channels: int) -> None:
        convolution._e3nn_product(coupling, channels, torch.float64, torch.device("cpu"))

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make_product, range(1, 25)))
    finally:
        sys.setswitchinterval(interval)
    after = torch.get_default_dtype()
    torch.set_default_dtype(before)
    assert after == before


def test_an_error_in_a_thread_is_raised(
    monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    threads(2)
    edges = EdgeIndex(torch.zeros(2000, dtype=torch.int64), torch.arange(2000), 2000, 2000)

    def broken(chunk: Any) -> None:
        raise MemoryError(f"atoms from {chunk.atoms.start}")

    with pytest.raises(MemoryError, match="atoms from 0"):
        chunks.map_chunks(edges, broken)
    assert torch.get_num_threads() == 2


def test_pieces_cover_every_edge_once() -> None:
    receivers = torch.tensor([0, 0, 0, 2, 2, 3, 5])  # atoms 1, 4 and 6 hear nobody
    edges = EdgeIndex(torch.arange(7), receivers, 7, 7)
    for at_once in (1, 2, 3, 4, 100):
        parts = list(edges.chunks(at_once))
        assert [a for p in parts for a in range(p.atoms.start, p.atoms.stop)] == list(range(7))
        assert torch.cat([p.index.senders for p in parts]).tolist() == list(range(7))
        back = torch.cat([p.index.receivers + p.atoms.start for p in parts])
        assert torch.equal(back, receivers)
        for chunk in parts:
            n_atoms = chunk.atoms.stop - chunk.atoms.start
            assert len(chunk.index.senders) <= at_once or n_atoms == 1


def test_gradients_of_positions() -> None:
    """By the kernels as by e3nn, where a user wants to know how Z* changes in a vibration."""
    network = make(GATED)
    found = []
    for backend in ("numba", "e3nn"):
        network.backend = backend
        graph = build_graph(triclinic(), 4.0, dtype=torch.float64)
        vectors = graph.vectors.requires_grad_()
        born = network(graph).born_charges
        found.append(torch.autograd.grad(born[:, 0, 1].sum(), vectors)[0])
    assert (found[0] - found[1]).abs().max() < 1e-9 * found[1].abs().max()


@pytest.mark.parametrize(
    ("n_atoms", "n_busy"), [(0, 1), (19, 1), (20, 2), (29, 2), (40, 4), (900, 4)]
)
def test_a_thread_is_worth_its_while(
    monkeypatch: pytest.MonkeyPatch,
    threads: Callable[[int], None],
    n_atoms: int,
    n_busy: int,
) -> None:
    """Small graphs stay whole; larger ones are shared out evenly, among as many threads as pay."""
    monkeypatch.setattr(chunks, "MIN_EDGES_PER_THREAD", 10)
    threads(4)
    index = torch.arange(n_atoms)
    shares = chunks.map_chunks(
        EdgeIndex(index, index, n_atoms, n_atoms), lambda chunk: len(chunk.index.senders)
    )
    assert len(shares) == n_busy
    assert sum(shares) == n_atoms
    assert max(shares) - min(shares) <= n_busy
