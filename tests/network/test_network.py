"""The networks against symmetry, against e3nn run literally, and against the published sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import e3nn
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, graphene, make_supercell
from e3nn.io import CartesianTensor as E3nnCartesianTensor
from helpers.random_networks import (
    ALL_PARITIES,
    GATED,
    MIRRORABLE,
    POLAR,
    PUBLISHED,
    chiral_molecule,
    make,
    predict,
    triclinic,
)
from scipy.spatial.transform import Rotation

from ase_equivar.graph import build_graph, collate
from ase_equivar.network import build_network
from ase_equivar.network.basis import GaussianBasis, smooth_cutoff
from ase_equivar.network.execution import scatter as scatter_module
from ase_equivar.network.readout import (
    CartesianTensor,
    dielectric_from_log,
    log_susceptibility,
)

# rows of (embedding, radial functions, features, l_max, interactions), trainable parameters
PUBLISHED_SIZES = [
    ((8, 32, 32, 2, 6), 136737),
    ((16, 32, 32, 2, 6), 137793),
    ((32, 32, 32, 2, 6), 139905),
    ((64, 32, 32, 2, 6), 144129),
    ((128, 32, 32, 2, 6), 152577),
    ((32, 8, 32, 2, 6), 126081),
    ((32, 16, 32, 2, 6), 130689),
    ((32, 64, 32, 2, 6), 158337),
    ((32, 128, 32, 2, 6), 195201),
    ((32, 32, 8, 2, 6), 15489),
    ((32, 32, 16, 2, 6), 42369),
    ((32, 32, 64, 2, 6), 510081),
    ((32, 32, 128, 2, 6), 1950849),
    ((32, 32, 32, 4, 6), 139905),
    ((32, 32, 32, 2, 4), 94721),
    ((32, 32, 32, 2, 8), 185089),
    ((32, 32, 32, 2, 10), 230273),
    ((32, 32, 32, 2, 12), 275457),
    ((32, 32, 32, 2, 14), 320641),
    ((32, 32, 32, 2, 16), 365825),
]


def transformed(atoms: Atoms, matrix: np.ndarray) -> Atoms:
    new = atoms.copy()
    new.cell = atoms.cell.array @ matrix.T
    new.positions = atoms.positions @ matrix.T
    return new


@pytest.fixture
def quickly_built() -> Iterator[None]:
    """e3nn takes most of the time in which a network is built for the order of its products."""
    before = e3nn.get_optimization_defaults()
    e3nn.set_optimization_defaults(optimize_einsums=False)
    yield
    e3nn.set_optimization_defaults(**before)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "n_parameters"), PUBLISHED_SIZES)
def test_published_sizes(quickly_built: None, shape: tuple[int, ...], n_parameters: int) -> None:
    names = ("embedding", "radial_functions", "features", "l_max", "interactions")
    network = build_network({"architecture": "equivar", **dict(zip(names, shape, strict=True))})
    assert sum(p.numel() for p in network.parameters()) == n_parameters


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "n_parameters"), [("bm1", 510081), ("bm2", 139905)])
def test_presets(quickly_built: None, preset: str, n_parameters: int) -> None:
    network = build_network({"architecture": "equivar", "preset": preset})
    assert sum(p.numel() for p in network.parameters()) == n_parameters
    assert network.cutoff == 3.0
    assert len(network.interactions) == 6
    again = build_network(network.build_config)
    assert again.build_config == network.build_config


@pytest.mark.parametrize("config", [GATED, POLAR, ALL_PARITIES, MIRRORABLE, PUBLISHED])
@pytest.mark.parametrize("atoms", [triclinic(), chiral_molecule()], ids=["crystal", "molecule"])
def test_rotation(config: dict[str, Any], atoms: Atoms) -> None:
    network = make(config)
    rotation = Rotation.from_quat(np.random.default_rng(5).normal(size=4)).as_matrix()
    before, after = predict(network, atoms), predict(network, transformed(atoms, rotation))
    expected = rotation @ before.born_charges.numpy() @ rotation.T
    scale = np.abs(expected).max()
    assert np.abs(after.born_charges.numpy() - expected).max() < 1e-9 * scale
    if before.dielectric is not None and after.dielectric is not None:
        expected = rotation @ before.dielectric.numpy() @ rotation.T
        assert np.abs(after.dielectric.numpy() - expected).max() < 1e-9 * np.abs(expected).max()
    antisymmetric = before.born_charges - before.born_charges.transpose(1, 2)
    assert antisymmetric.abs().max() > 1e-4 * scale  # a lost 1e part would pass unseen


@pytest.mark.slow
@pytest.mark.parametrize("config", [GATED, POLAR, ALL_PARITIES, MIRRORABLE])
@pytest.mark.parametrize("atoms", [triclinic(), chiral_molecule()], ids=["crystal", "molecule"])
@pytest.mark.parametrize("matrix", [-np.eye(3), np.diag([1.0, -1.0, 1.0])], ids=["-1", "mirror"])
def test_inversion_and_mirror(config: dict[str, Any], atoms: Atoms, matrix: np.ndarray) -> None:
    network = make(config)
    before = predict(network, atoms).born_charges.numpy()
    after = predict(network, transformed(atoms, matrix)).born_charges.numpy()
    expected = matrix @ before @ matrix.T
    assert np.abs(after - expected).max() < 1e-9 * np.abs(expected).max()


def test_published_parity_breaks_inversion() -> None:
    """The labels of the paper are not O(3): the reason for `parity`."""
    network = make(PUBLISHED)
    before = predict(network, triclinic()).born_charges
    after = predict(network, transformed(triclinic(), -np.eye(3))).born_charges
    assert (after - before).abs().max() > 1e-3 * before.abs().max()


@pytest.mark.parametrize("config", [GATED, POLAR, MIRRORABLE])
def test_translation_permutation_supercell(config: dict[str, Any]) -> None:
    network, atoms = make(config), triclinic()
    charges = predict(network, atoms).born_charges.numpy()
    bound = 1e-9 * np.abs(charges).max()
    moved = atoms.copy()
    moved.translate([0.3, -7.1, 12.9])
    moved.wrap()
    assert np.abs(predict(network, moved).born_charges.numpy() - charges).max() < bound
    order = np.random.default_rng(0).permutation(len(atoms))
    permuted = predict(network, atoms[order]).born_charges.numpy()
    assert np.abs(permuted - charges[order]).max() < bound
    big = make_supercell(atoms, [[2, 1, 0], [0, 1, 1], [-1, 0, 2]])
    copies = len(big) // len(atoms)
    result = predict(network, big)
    assert copies > 1
    # make_supercell lays whole copies of the cell end to end
    assert np.array_equal(big.numbers, np.tile(atoms.numbers, copies))
    assert np.abs(result.born_charges.numpy() - np.tile(charges, (copies, 1, 1))).max() < bound
    small = predict(network, atoms)
    if small.dielectric is not None and result.dielectric is not None:
        assert torch.allclose(result.dielectric, small.dielectric, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("config", [GATED, POLAR, MIRRORABLE])
def test_batch_is_single(config: dict[str, Any]) -> None:
    network = make(config)
    several = [triclinic(), chiral_molecule(), bulk("MgO", "rocksalt", a=4.2)]
    graphs = [build_graph(atoms, network.cutoff, dtype=torch.float64) for atoms in several]
    with torch.no_grad():
        together = network(collate(graphs))
        alone = [network(graph) for graph in graphs]
    charges = torch.cat([result.born_charges for result in alone])
    assert torch.allclose(together.born_charges, charges, rtol=0, atol=1e-10)
    if network.has_dielectric:
        tensors = torch.cat([result.dielectric for result in alone])
        assert torch.allclose(together.dielectric, tensors, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("config", [GATED, POLAR, MIRRORABLE])
def test_site_symmetry_with_random_weights(config: dict[str, Any]) -> None:
    """What the site group demands, from the network alone and before any neutrality."""
    network = make(config)
    salt = predict(network, bulk("NaCl", "rocksalt", a=5.64)).born_charges.numpy()
    for tensor in salt:  # m-3m: isotropic
        assert np.abs(tensor - np.trace(tensor) / 3 * np.eye(3)).max() < 1e-9
    for sheet in (graphene(vacuum=8.0), graphene("BN", a=2.5, vacuum=8.0)):
        sheet.pbc = (True, True, False)
        for tensor in predict(network, sheet).born_charges.numpy():  # -6m2: xx = yy, diagonal
            assert abs(tensor[0, 0] - tensor[1, 1]) < 1e-9
            assert np.abs(tensor - np.diag(np.diag(tensor))).max() < 1e-9
            if config is POLAR and sheet.symbols[0] == "C":  # equal atoms, and no sum
                assert np.abs(tensor).max() < 1e-9
            else:
                assert abs(tensor[0, 0] - tensor[2, 2]) > 1e-3
    diamond = predict(network, bulk("C", "diamond", a=3.57)).born_charges.numpy()
    assert np.abs(diamond[0] - diamond[1]).max() < 1e-9  # two equivalent sites
    for tensor in diamond:  # -43m: isotropic
        assert np.abs(tensor - np.trace(tensor) / 3 * np.eye(3)).max() < 1e-9


def jump_at_cutoff(config: dict[str, Any]) -> float:
    """Change of Z* of two atoms when a third crosses the cutoff of each of them."""
    network = make(config)

    def pair_with(distance: float) -> torch.Tensor:
        atoms = Atoms("OHH", positions=[[0, 0, 0], [0.9, 0.3, 0], [0, 0, distance]])
        return predict(network, atoms).born_charges[:2]

    cutoff = network.cutoff
    scale = (pair_with(0.6 * cutoff) - pair_with(cutoff + 0.1)).abs().max()
    assert scale > 1e-4  # the third atom does matter inside
    crossings = [cutoff, (cutoff**2 - 0.9**2 - 0.3**2) ** 0.5]
    jumps = [(pair_with(d - 1e-7) - pair_with(d + 1e-7)).abs().max() for d in crossings]
    return float(max(jumps) / scale)


@pytest.mark.parametrize("config", [GATED, POLAR, MIRRORABLE])
def test_continuous_across_the_cutoff(config: dict[str, Any]) -> None:
    assert jump_at_cutoff(config) < 1e-5


@pytest.mark.slow
def test_published_cutoff_is_sharp() -> None:
    """As in the paper; also the proof that the test above can fail."""
    assert jump_at_cutoff({**MIRRORABLE, "smooth": False}) > 1e-3
    distances = torch.tensor([2.999, 3.0], dtype=torch.float64)
    assert smooth_cutoff(distances, 3.0)[1] == 0.0
    assert GaussianBasis(8, 3.0).double()(distances)[1].max() > 0.5


@pytest.mark.parametrize("config", [GATED, POLAR, MIRRORABLE])
def test_isolated_atom(config: dict[str, Any]) -> None:
    """No edges at all: an isotropic charge, no error."""
    tensor = predict(make(config), Atoms("O")).born_charges[0]
    assert torch.allclose(tensor, tensor[0, 0] * torch.eye(3, dtype=torch.float64), atol=1e-12)


def test_single_precision() -> None:
    network, atoms = make(GATED), triclinic()
    double = predict(network, atoms).born_charges
    with torch.no_grad():
        single = network.float()(build_graph(atoms, network.cutoff)).born_charges
    assert (single.double() - double).abs().max() < 1e-5 * max(1.0, double.abs().max())


def test_cartesian_tensor_is_e3nns() -> None:
    torch.manual_seed(0)
    tensors = torch.randn(4, 3, 3, dtype=torch.float64)
    ours = CartesianTensor()
    parts = ours.inverse(tensors)
    assert torch.allclose(ours(parts), tensors, atol=1e-14)
    theirs = E3nnCartesianTensor("ij")  # its order of the irreps: 0e, 1e, 2e
    reference = theirs.from_cartesian(tensors.float()).double()
    for a, b in zip(parts.split([1, 3, 5], dim=1), reference.split([1, 3, 5], 1), strict=True):
        sign = torch.sign((a * b).sum())
        assert torch.allclose(a, sign * b, atol=1e-5)


def test_dielectric_is_symmetric_and_above_vacuum() -> None:
    torch.manual_seed(0)
    exponents = 5.0 * torch.randn(50, 3, 3, dtype=torch.float64)
    exponents = exponents + exponents.transpose(1, 2)
    tensors = dielectric_from_log(exponents)
    assert (
        torch.linalg.eigvalsh(tensors) > 1.0 - 1e-13 * tensors.abs().amax((1, 2))[:, None]
    ).all()
    moderate = 0.2 * exponents
    assert torch.allclose(log_susceptibility(dielectric_from_log(moderate)), moderate, atol=1e-6)
    assert torch.allclose(tensors, tensors.transpose(1, 2), rtol=1e-9)


def test_scatter_agrees_with_torch_scatter(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    values, index = torch.randn(30, 4, 2, dtype=torch.float64), torch.randint(0, 6, (30,))
    by_hand = torch.stack([values[index == k].sum(0) for k in range(8)])
    if scatter_module.has_torch_scatter():
        assert torch.allclose(scatter_module.sum_by_index(values, index, 8), by_hand)
    monkeypatch.setattr(scatter_module, "_torch_scatter_sum", None)
    assert torch.allclose(scatter_module.sum_by_index(values, index, 8), by_hand)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"architecture": "transformer"},
            "architecture is 'transformer'; give equivar, gated, hybrid, polar or ensemble",
        ),
        ({"architecture": "equivar", "preset": "bm3"}, "preset is 'bm3'; give bm1 or bm2"),
        ({"architecture": "gated", "elements": (1,), "width": 3}, "has no width; it has .*cutoff"),
    ],
)
def test_wrong_configuration(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network(config)
