"""The network whose Z* is the derivative of one polarization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.random_networks import GATED, POLAR, make, predict, triclinic
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator, load_model
from ase_equivar.dynamics.closed_loops import loop_work
from ase_equivar.graph import build_graph, collate
from ase_equivar.inference.models import save_model
from ase_equivar.network import PolarNetwork, build_network, gated
from ase_equivar.training.batches import Batch
from ase_equivar.training.finetuning import adapted
from ase_equivar.training.objective import errors

STEP = 1e-4  # Å


def polar_network() -> PolarNetwork:
    network = make(POLAR)
    assert isinstance(network, PolarNetwork)
    return network


def barium_titanate() -> Atoms:
    """Its cubic cell, sheared."""
    cell = [[4.0, 0.1, 0.0], [0.0, 4.05, 0.05], [0.02, 0.0, 4.1]]
    scaled = [[0, 0, 0], [0.5, 0.5, 0.52], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Atoms("BaTiO3", cell=cell, scaled_positions=scaled, pbc=True)


def moved(atoms: Atoms, atom: int, axis: int, by: float) -> Atoms:
    other = atoms.copy()
    other.positions[atom, axis] += by
    return other


def test_charges_are_the_derivative_of_the_polarization() -> None:
    """By finite differences: of the sum of the atoms' vectors, and of charges that sum to zero."""
    network, atoms = polar_network(), triclinic()
    species_index = network.element_index[torch.from_numpy(atoms.numbers)]
    charges = network.shift.weight[species_index, 0]
    charges = (charges - charges.mean()).detach().numpy()

    def polarization(displaced: Atoms) -> NDArray[np.float64]:
        graph = build_graph(displaced, network.cutoff, dtype=torch.float64)
        blocks = network._features(graph, species_index, 0)
        own: NDArray[np.float64] = network.born_head(blocks[:2]).sum(dim=0).detach().numpy()
        return own + charges @ displaced.positions

    born = predict(network, atoms).born_charges.numpy()
    for atom, axis in ((0, 1), (3, 0), (5, 2)):
        ahead, behind = (polarization(moved(atoms, atom, axis, s)) for s in (STEP, -STEP))
        slope = (ahead - behind) / (2 * STEP)
        assert np.abs(slope - born[atom, :, axis]).max() < 1e-6 * np.abs(born).max()


@pytest.mark.slow
def test_network_with_tables_equals_e3nn() -> None:
    """Z* as derivatives of interpolated weights, in single precision."""
    network = load_model("batio3")
    atoms = barium_titanate() * (4, 4, 4)
    atoms.rattle(0.05, seed=1)
    exact = build_graph(atoms, network.cutoff, dtype=torch.float64)
    graph = exact.to(dtype=torch.float32)
    with torch.no_grad():
        assert network._bonds(graph, network.element_index[graph.numbers], 4)[1][0]
        fast = network(graph)
        network.backend = "e3nn"
        literal = network.double()(exact)
    difference = (fast.born_charges - literal.born_charges).abs().max()
    assert difference < 1e-6 * literal.born_charges.abs().max()
    assert (fast.dielectric - literal.dielectric).abs().max() < 1e-5


def test_gradients_with_tables_equal_those_of_torch_for_a_part_of_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With some channels masked, as for the parts of ε∞, and for fields that are not axes."""
    network, atoms = load_model("universal-polar").double(), barium_titanate()
    assert isinstance(network, PolarNetwork)
    atoms.rattle(0.1, seed=2)
    graph = build_graph(atoms, network.cutoff, dtype=torch.float64)
    fields = torch.tensor([[0.3, -1.0, 0.5], [0.0, 2.0, 0.1]], dtype=torch.float64)
    found = []
    for tabulated in (True, False):
        monkeypatch.setattr(gated, "use_radial_table", lambda *_, yes=tabulated: yes)
        network.backend = "numba" if tabulated else "torch"
        with torch.no_grad(), network.channel_mask(0.3, seed=1):
            used = network._bonds(graph, network.element_index[graph.numbers], 3)[1]
            assert (used[0] is not None) == tabulated
            found.append([*network.rows(graph, fields), network(graph).polarization])
    (rows, log, polarization), (rows_of_torch, log_of_torch, polarization_of_torch) = found
    assert (rows - rows_of_torch).abs().max() < 1e-6 * rows.abs().max()
    assert (log - log_of_torch).abs().max() < 1e-6
    difference = polarization.strain_derivatives - polarization_of_torch.strain_derivatives
    assert difference.abs().max() < 1e-6 * polarization.strain_derivatives.abs().max()


@pytest.mark.parametrize(("config", "one_polarization"), [(POLAR, True), (GATED, False)])
def test_mixed_derivatives_agree(config: dict[str, object], one_polarization: bool) -> None:
    """∂Z*_iab/∂u_jc = ∂Z*_jac/∂u_ib, which other networks have no reason to obey."""
    network, atoms = make(config), triclinic()

    def slope(atom: int, axis: int) -> torch.Tensor:
        ahead, behind = (
            predict(network, moved(atoms, atom, axis, s)).born_charges for s in (STEP, -STEP)
        )
        return (ahead - behind) / (2 * STEP)

    by_first, by_second = slope(1, 0), slope(4, 2)
    difference = (by_first[4, :, 2] - by_second[1, :, 0]).abs().max()
    assert (difference < 1e-6 * by_first.abs().max()) == one_polarization


@pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")  # weights are random
@pytest.mark.parametrize(("config", "one_polarization"), [(POLAR, True), (GATED, False)])
def test_a_field_does_no_work_around_a_loop(
    config: dict[str, object], one_polarization: bool
) -> None:
    """As a calculator in MD has it."""
    atoms = triclinic()
    atoms.calc = EquivarCalculator(model=make(config), dtype=torch.float64)
    first, second = np.random.default_rng(0).normal(scale=0.03, size=(2, len(atoms), 3))
    work = loop_work(atoms, first, second, n_points=24)
    assert (work.relative < 1e-7) == one_polarization


def test_sum_rule_holds_as_it_is() -> None:
    """In each of several structures, of different composition."""
    network = polar_network()
    images = [triclinic(), triclinic()[:4], triclinic()[[0, 2, 5]]]
    graph = collate([build_graph(a, network.cutoff, dtype=torch.float64) for a in images])
    with torch.no_grad():
        born = network(graph).born_charges
    for part in born.split([len(atoms) for atoms in images]):
        assert part.sum(dim=0).abs().max() < 1e-12 * part.abs().max()
        assert part.abs().max() > 0.1


def test_one_row_is_that_of_the_tensor() -> None:
    """What training learns of each batch is the row along a direction, with its gradients."""
    network, field = polar_network(), torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64)
    graph = build_graph(triclinic(), network.cutoff, dtype=torch.float64)
    rows, log_susceptibility = network.rows(graph, field)
    parts, other = network.irreps_components(graph)
    assert (rows[:, 0] - field[0] @ network.cartesian(parts)).abs().max() < 1e-12
    assert log_susceptibility is not None
    assert other is not None
    assert (log_susceptibility - other).abs().max() < 1e-12
    weight = network.interactions[0].radial.out.weight
    [slope] = torch.autograd.grad((rows**2).sum(), weight, retain_graph=True)
    with torch.no_grad():
        weight[3, 5] += STEP
        ahead = (network.rows(graph, field)[0] ** 2).sum()
        weight[3, 5] -= 2 * STEP
        behind = (network.rows(graph, field)[0] ** 2).sum()
    assert (ahead - behind) / (2 * STEP) == pytest.approx(float(slope[3, 5]), rel=1e-5)


@pytest.mark.slow
def test_training_compares_rows_evaluation_all() -> None:
    network = polar_network()
    graph = build_graph(triclinic(), network.cutoff, dtype=torch.float64)
    labels = predict(network, triclinic()).born_charges
    wrong = labels.clone()
    wrong[:, 0] += 0.3 * torch.linspace(-1, 1, len(wrong), dtype=torch.float64)[:, None]
    unknown = torch.full((1, 3, 3), torch.nan, dtype=torch.float64)
    network.train()
    assert float(errors(network, Batch(graph, labels, unknown)).charges.detach()) < 1e-12
    torch.manual_seed(0)
    found = [
        float(errors(network, Batch(graph, wrong, unknown), "norm").charges.detach()) ** 2
        for _ in range(200)
    ]
    network.eval()
    whole = float(errors(network, Batch(graph, wrong, unknown), "norm").charges.detach())
    # the mean square of a component is that of all directions
    assert np.mean(found) == pytest.approx(whole**2, rel=0.15)
    assert np.std(found) > 0.1 * whole**2


@pytest.mark.slow
def test_it_starts_as_a_gated_network_and_is_saved(tmp_path: Path) -> None:
    start = load_model("universal")
    network = adapted(start, (8, 22, 56), "universal", dielectric=True, polar=True)
    assert isinstance(network, PolarNetwork)
    assert network.elements == (8, 22, 56)
    ours, theirs = network.state_dict(), start.state_dict()
    for name in ("interactions.1.radial.out.weight", "start.weight"):
        assert torch.equal(ours[name], theirs[name])
    name = "interactions.2.radial.out.weight"
    assert not torch.equal(ours[name], theirs[name])
    save_model(network, tmp_path)
    again, atoms = load_model(tmp_path), triclinic()[[2, 4, 5]]
    graph = build_graph(atoms, again.cutoff)
    with torch.inference_mode():  # the calculator's
        charges = again(graph).born_charges
    difference = charges - network.eval()(graph).born_charges.detach()
    assert difference.abs().max() < 1e-5 * charges.abs().max()
    # and goes on from there as it is
    further = adapted(again, (8, 22), "it", dielectric=False, polar=True)
    assert torch.equal(further.state_dict()[name], ours[name])
    hybrid = load_model("universal-ensemble").members[1]
    with pytest.raises(ValueError, match="hybrid; a polar network starts as gated"):
        adapted(hybrid, (8, 22), "that one", dielectric=False, polar=True)


def test_no_vector_without_a_direction() -> None:
    with pytest.raises(ValueError, match="l_max is 0; a polarization needs at least 1"):
        build_network({**POLAR, "l_max": 0})
