"""The network with a potential's features, against SevenNet's own modules and against symmetry."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from helpers.random_networks import chiral_molecule, triclinic
from helpers.training_runs import NETWORK, run_config
from scipy.spatial.transform import Rotation

from ase_equivar import EquivarCalculator, load_model, save_model
from ase_equivar.graph import Graph, build_graph, collate
from ase_equivar.network import HybridNetwork, build_network
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.sevennet.features import LatentFeatures
from ase_equivar.training.comparison import compare
from ase_equivar.training.data import elements_of, read_frames
from ase_equivar.training.evaluate import evaluate
from ase_equivar.training.fit import fit
from ase_equivar.training.label_summary import summarize
from ase_equivar.training.module import TrainingModule
from ase_equivar.training.objective import start_from_labels

SevenNetCalculator = pytest.importorskip(
    "sevenn.calculator", reason="SevenNet is not installed"
).SevenNetCalculator

IRREPS = [Irrep.parse(name) for name in ("0e", "1o", "2e")]
HYBRID: dict[str, Any] = {
    "architecture": "hybrid",
    "elements": (1, 6, 8, 12, 22),
    "channels": 6,
    "radial_hidden": 8,
    "embedding": 8,
}
SCREW = np.array([[1, 1, 0], [0, 2, 1], [1, 0, 3]])  # of 5 cells


@pytest.fixture(scope="module")
def network() -> HybridNetwork:
    torch.manual_seed(0)
    made = build_network(HYBRID)
    assert isinstance(made, HybridNetwork)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    made.start_from_graphs([graph_of(triclinic()), graph_of(chiral_molecule())])
    return made.float().eval()


def graph_of(atoms: Atoms, dtype: torch.dtype = torch.float64) -> Graph:
    return build_graph(atoms, 5.0, dtype=dtype)


def tensors(network: HybridNetwork, atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        raw = network(graph_of(atoms, torch.float32))
    assert raw.dielectric is not None
    return raw.born_charges.double().numpy(), raw.dielectric[0].double().numpy()


def sevennets_own(atoms: Atoms, layers: tuple[int, ...]) -> list[torch.Tensor]:
    """Output of the gates of SevenNet-0 while it works out energy and forces."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No tensor product accelerator")
        calculator = SevenNetCalculator("7net-0", device="cpu")
    found = []
    for layer in layers:
        gate = calculator.model.get_submodule(f"{layer}_equivariant_gate")
        gate.register_forward_hook(lambda _, __, data: found.append(data["x"].detach().clone()))
    calculator.calculate(atoms)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("atoms", [triclinic(), make_supercell(triclinic(), SCREW)])
def test_features_are_sevennets(atoms: Atoms) -> None:
    """By our kernels, which have edges enough."""
    layers = (1, 3, 4)
    mirrored = atoms.copy()
    mirrored.positions *= -1.0
    pairs = list(zip(sevennets_own(atoms, layers), sevennets_own(mirrored, layers), strict=True))
    scalars = torch.cat([0.5 * (a[:, :128] + b[:, :128]) for a, b in pairs], dim=1)
    vectors = torch.cat(
        [0.5 * (a[:, 128:320] - b[:, 128:320]).view(-1, 64, 3) for a, b in pairs[:2]], dim=1
    )
    quadrupoles = torch.cat(
        [0.5 * (a[:, 320:] + b[:, 320:]).view(-1, 32, 5) for a, b in pairs[:2]], dim=1
    )
    latent = LatentFeatures("SevenNet-0_11July2024", layers, IRREPS)
    with torch.no_grad():
        found = latent.raw(graph_of(atoms))
    expected = (scalars[:, None], vectors.transpose(1, 2), quadrupoles.transpose(1, 2))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert theirs.abs().max() > 0.1
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


@pytest.mark.slow
def test_kernels_are_used_where_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    from ase_equivar.network.sevennet import features as module

    made: list[int] = []
    real = module.TabulatedConvolution

    class Counted(real):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any) -> None:
            made.append(1)
            super().__init__(*arguments)

    monkeypatch.setattr(module, "TabulatedConvolution", Counted)
    latent = LatentFeatures("SevenNet-0_11July2024", (1, 2), IRREPS)
    graph = graph_of(make_supercell(triclinic(), SCREW))
    with torch.no_grad():
        exact = latent.raw(graph, "e3nn")
        assert not made
        fast = latent.raw(graph)
        latent.raw(graph)
    assert len(made) == 3  # layers 0 to 2, once
    for ours, theirs in zip(fast, exact, strict=True):
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    latent.raw(graph)  # with gradients: SevenNet's modules, no error


@pytest.mark.slow
@pytest.mark.parametrize("atoms", [triclinic(), chiral_molecule(), bulk("Mg", "fcc", a=4.4)])
@pytest.mark.parametrize("improper", [1.0, -1.0])
def test_tensors_turn_with_the_crystal(
    network: HybridNetwork, atoms: Atoms, improper: float
) -> None:
    turn = improper * Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    (charges, epsilon), (images, epsilon_turned) = tensors(network, atoms), tensors(network, turned)
    assert np.abs(charges).max() > 0.01
    assert np.abs(turn @ charges @ turn.T - images).max() < 1e-5 * np.abs(charges).max()
    assert np.abs(turn @ epsilon @ turn.T - epsilon_turned).max() < 1e-5 * np.abs(epsilon).max()


@pytest.mark.slow
def test_supercell_and_order(network: HybridNetwork) -> None:
    atoms = triclinic()
    charges, epsilon = tensors(network, atoms)
    large = make_supercell(atoms, SCREW)
    repeated, epsilon_large = tensors(network, large)  # by our kernels
    copies = len(large) // len(atoms)
    scale = np.abs(charges).max()
    assert np.abs(repeated - np.tile(charges, (copies, 1, 1))).max() < 2e-5 * scale
    assert np.abs(epsilon_large - epsilon).max() < 2e-5 * np.abs(epsilon).max()
    order = np.random.default_rng(0).permutation(len(atoms))
    assert np.abs(tensors(network, atoms[order])[0] - charges[order]).max() < 1e-5 * scale


@pytest.mark.slow
def test_precision_is_single_at_least(network: HybridNetwork) -> None:
    exact = copy.deepcopy(network).double()
    with torch.no_grad():
        charges = exact(graph_of(triclinic())).born_charges
    assert charges.dtype == torch.float64
    assert np.abs(charges.numpy() - tensors(network, triclinic())[0]).max() < 1e-5


def test_batch_equals_single_structures(network: HybridNetwork) -> None:
    graphs = [graph_of(atoms, torch.float32) for atoms in (triclinic(), chiral_molecule())]
    with torch.no_grad():
        alone = torch.cat([network(graph).born_charges for graph in graphs])
        together = network(collate(graphs)).born_charges
        prepared = [network.prepared(graph) for graph in graphs]
        from_prepared = network(collate(prepared)).born_charges
        half = collate([prepared[0], graphs[1]])
    for found in (together, from_prepared):
        assert (alone - found).abs().max() < 1e-5 * alone.abs().max()
    assert half.latent is None  # and is worked out again
    again = network.prepared(prepared[0])
    assert again is prepared[0]
    assert all(block.dtype == torch.float64 for block in again.to(dtype=torch.float64).latent or ())


def test_features_start_with_unit_size(network: HybridNetwork) -> None:
    """Both structures of the fixture together: by hand, from raw features and stored sizes."""
    graph = collate([graph_of(atoms) for atoms in (triclinic(), chiral_molecule())])
    with torch.no_grad():
        blocks = network.latent.raw(graph)
    assert (blocks[0].mean(dim=(0, 1)) - network.latent.center).abs().max() < 1e-4
    for number, block in enumerate(blocks):
        centered = block - network.latent.center if number == 0 else block
        sizes = centered.square().mean(dim=(0, 1)).sqrt()
        stored = network.latent.get_buffer(f"size{number}")
        assert (sizes + 1e-3 - stored).abs().max() < 1e-4 * stored.max()


def test_features_have_a_limit(network: HybridNetwork) -> None:
    """Squeezed crystals have features of any size; what is small stays as it is."""
    crystal = triclinic()
    wide = build_graph(crystal, 5.0 / 0.3, dtype=torch.float32)
    squeezed = replace(wide, vectors=0.3 * wide.vectors)  # no structure that is so dense is taken
    with torch.no_grad():
        usual = network.latent.raw(graph_of(crystal, torch.float32))
        wild = network.latent.raw(squeezed)
        assert max(float(block.abs().max()) for block in wild) > 1e20
        for block in network.latent(wild):
            assert 2.99 < block.norm(dim=1).max() < 3.001
        for number, block in enumerate(network.latent(usual)):
            plain = usual[number] - network.latent.center if number == 0 else usual[number]
            plain = plain / network.latent.get_buffer(f"size{number}")
            expected = plain / (1.0 + (plain.norm(dim=1, keepdim=True) / 3.0) ** 2).sqrt()
            assert (block - expected).abs().max() < 1e-5
        assert network(squeezed).born_charges.abs().max() < 1e4


@pytest.mark.slow
def test_noise_is_for_training_only(network: HybridNetwork) -> None:
    graph = graph_of(triclinic(), torch.float32)
    with torch.no_grad():
        once, again = (network(graph).born_charges for _ in range(2))
        noisy = [copy.deepcopy(network).train()(graph).born_charges for _ in range(2)]
    assert (once - again).abs().max() < 1e-6 * once.abs().max()
    assert (noisy[0] - noisy[1]).abs().max() > 1e-2


@pytest.mark.slow
def test_features_matter_in_every_layer(network: HybridNetwork) -> None:
    graph = graph_of(triclinic(), torch.float32)
    with torch.no_grad():
        before = network(graph).born_charges
        for entry in network.entries:
            changed = copy.deepcopy(network)
            target = changed.entries[list(network.entries).index(entry)]
            for weight in target.weights:
                weight.zero_()
            assert (changed(graph).born_charges - before).abs().max() > 1e-3


@pytest.mark.slow
def test_potential_is_not_saved(network: HybridNetwork, tmp_path: Path) -> None:
    save_model(network, tmp_path / "own")
    names = set(network.state_dict())
    assert {"latent.center", "latent.size0", "latent.size1", "latent.size2"} <= names
    assert not any("convolution.weight_nn" in name or "equivariant_gate" in name for name in names)
    assert not any("latent" in name for name, _ in network.named_parameters())
    assert (tmp_path / "own" / "weights.safetensors").stat().st_size < 400_000
    again = load_model(tmp_path / "own")
    charges, _ = tensors(network, triclinic())
    assert np.abs(tensors(again, triclinic())[0] - charges).max() < 1e-6 * np.abs(charges).max()


@pytest.mark.slow
def test_calculator(network: HybridNetwork) -> None:
    atoms = triclinic()
    atoms.calc = EquivarCalculator(model=network)
    charges = atoms.calc.get_property("born_charges", atoms)
    assert np.abs(charges.sum(axis=0)).max() < 1e-12
    raw, _ = tensors(network, atoms)
    assert np.abs(charges - (raw - raw.mean(axis=0))).max() < 1e-6 * np.abs(raw).max()
    for copied in (copy.deepcopy(atoms.calc), pickle.loads(pickle.dumps(atoms.calc))):
        atoms.rattle(0.01, seed=1)
        expected = EquivarCalculator(model=network).get_property("born_charges", atoms)
        found = copied.get_property("born_charges", atoms)
        assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.slow
def test_no_other_file_is_opened(
    network: HybridNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle that a model's config names would be run: no path is taken, nor a file's name."""
    opened = tmp_path / "opened"

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[Path]]:
            return Path.touch, (opened,)

    name = str(HYBRID.get("potential", "SevenNet-0_11July2024"))
    torch.save({"model_state_dict": Evil()}, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    build_network(HYBRID)
    with pytest.raises(ValueError, match=r"potential is .*; give SevenNet-0_11July"):
        build_network({**HYBRID, "potential": str(tmp_path / name)})
    assert not opened.exists()


@pytest.mark.parametrize("atoms", [Atoms("Mg"), Atoms("MgO", [[0, 0, 0], [0, 0, 9.0]])])
def test_atoms_without_neighbors(network: HybridNetwork, atoms: Atoms) -> None:
    charges, _ = tensors(network, atoms)
    off = charges - np.trace(charges, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3.0
    assert np.abs(off).max() < 1e-6
    assert np.isfinite(charges).all()


@pytest.mark.slow
def test_other_potential() -> None:
    """Degrees up to 3."""
    larger = build_network(
        {**HYBRID, "potential": "SevenNet-l3i5", "irreps": ("0e", "1o", "2e", "3o"), "l_max": 3}
    )
    assert isinstance(larger, HybridNetwork)
    larger.backend = "e3nn"  # kernels for these couplings take long to compile
    atoms = triclinic()
    turned = atoms.copy()
    turn = -Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    larger.float().eval()
    charges, images = tensors(larger, atoms)[0], tensors(larger, turned)[0]
    assert np.abs(turn @ charges @ turn.T - images).max() < 1e-5 * np.abs(charges).max()


def test_without_sevennet(network: HybridNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sevenn", None)
    monkeypatch.setitem(sys.modules, "sevenn.util", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[sevennet\]'"):
        build_network(HYBRID)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutoff": 4.5}, r"cutoff is 4.5 Å; SevenNet-0_11July2024 needs 5.0 Å"),
        ({"elements": (8, 118)}, "does not know Og"),
        ({"layers": (1, 7)}, r"layers are \(1, 7\); SevenNet-0_11July2024 has not all of them"),
        ({"layers": (3, 1)}, r"layers are \(3, 1\); give them ascending"),
        ({"layers": ()}, "layers are"),
        ({"irreps": ("0e", "1e")}, "irreps are 0e, 1e; SevenNet-0_11July2024 gives"),
        ({"irreps": ("0e", "1o", "3o")}, "irreps are 0e, 1o, 3o"),
        ({"potential": "7net-omni"}, "potential is '7net-omni'; give SevenNet-0_11July"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network({**HYBRID, **changes})


@pytest.mark.slow
def test_training(tmp_path: Path) -> None:
    """A run learns, keeps the size of features, and goes on from where it was stopped."""
    config = run_config(tmp_path, epochs=20)
    shape = {**NETWORK, "architecture": "hybrid", "cutoff": 5.0, "layers": (1, 3)}
    fitted = replace(config.fit, learning_rate=0.02, averaging=0.5, dropout=0.1)
    config = replace(config, network=shape, fit=fitted)
    fit(config, progress=False)
    trained = load_model(config.output)
    assert isinstance(trained, HybridNetwork)
    assert trained.latent.channels == [256, 128, 64]
    frames, _ = read_frames(config.data.train, config.data)
    untrained = build_network({**shape, "elements": elements_of(frames)}).float()
    start_from_labels(untrained, summarize(frames), frames)
    for name, buffer in untrained.latent.named_buffers():
        assert torch.allclose(buffer, trained.latent.get_buffer(name), rtol=1e-5), name
    before, after = (evaluate(compare(net.eval(), frames)).born.mae for net in (untrained, trained))
    assert after < 0.7 * before

    start = TrainingModule.on_train_epoch_start

    def stop(module: TrainingModule) -> None:
        if module.current_epoch == 3:
            raise RuntimeError("stopped here")
        start(module)

    stopped = replace(config, output=str(tmp_path / "stopped"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_epoch_start", stop)
        with pytest.raises(RuntimeError, match="stopped here"):
            fit(stopped, progress=False)
    fit(stopped, progress=False)
    again = evaluate(compare(load_model(stopped.output), frames)).born.mae
    assert again == pytest.approx(after, rel=1e-3)
