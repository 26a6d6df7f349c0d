"""Training: labels read right, doubtful ones kept out, runs that resume, errors that are true."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import ase.io
import lightning as pl
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.spacegroup import crystal
from helpers.training_runs import NETWORK, labelled, run_config, write
from lightning.pytorch.callbacks import ModelCheckpoint
from scipy.spatial.transform import Rotation

from ase_equivar import EquivarCalculator
from ase_equivar.graph import build_graph
from ase_equivar.inference.model_files import read_metadata
from ase_equivar.inference.models import load_model
from ase_equivar.io.structure_files import read_images
from ase_equivar.network import build_network
from ase_equivar.training.batches import make_loader
from ase_equivar.training.card import model_card
from ase_equivar.training.comparison import compare
from ase_equivar.training.curve import learning_curve, record_epoch
from ase_equivar.training.data import elements_of, read_frames
from ase_equivar.training.evaluate import crystal_system, evaluate
from ase_equivar.training.fit import averaging_decay, fit
from ase_equivar.training.label_summary import summarize
from ase_equivar.training.module import one_cycle
from ase_equivar.training.objective import charge_loss, errors, start_from_labels
from ase_equivar.training.sections import DataConfig, FitConfig


def test_index_order_is_read_as_named(tmp_path: Path) -> None:
    frames = labelled(2)
    file = write(tmp_path / "x.extxyz", frames)
    own, _ = read_frames([file], DataConfig((), ()))
    other, _ = read_frames([file], DataConfig((), (), order="displacement-first"))
    expected = frames[1].arrays["born_charges"].reshape(-1, 3, 3)
    assert np.allclose(own[1].born_charges, expected, atol=1e-7)
    assert np.allclose(other[1].born_charges, expected.transpose(0, 2, 1), atol=1e-7)
    assert not np.allclose(expected, expected.transpose(0, 2, 1), atol=0.1)


def test_doubtful_frames_are_named_and_kept_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = labelled(5)
    frames[1].arrays["born_charges"][0, 0] += 0.9  # sum rule
    frames[2].arrays["born_charges"][3, 4] = np.nan
    frames[3].info["electronic_dielectric_tensor"] = np.diag([0.5, 2.0, 2.0])
    del frames[4].arrays["born_charges"]
    file = write(tmp_path / "x.extxyz", frames)
    kept, rejected = read_frames([file], DataConfig((), ()))
    assert len(kept) == 1
    assert [entry.frame for entry in rejected] == [1, 2, 3, 4]
    for entry, reason in zip(
        rejected,
        ["off by 0.9", "not finite", "is 0.5; that of a dielectric tensor is 1", "no per-atom"],
        strict=True,
    ):
        assert reason in entry.reason
        assert f"frame {entry.frame}" in caplog.text
    with pytest.raises(ValueError, match="no usable frame; the first: no per-atom array 'zstar'"):
        read_frames([file], DataConfig((), (), born_charges="zstar"))


def test_eps_out_of_a_polarizability(tmp_path: Path) -> None:
    frames = labelled(3)
    expected = [atoms.info.pop("electronic_dielectric_tensor") for atoms in frames]
    for atoms, epsilon in zip(frames, expected, strict=True):
        volume = np.abs(np.linalg.det(atoms.cell.array))
        # Gaussian units: ε = 1 + 4π α/Ω, α in Å³; 1 e/(4π ε0) is 14.39964 V·Å
        atoms.info["alpha"] = (epsilon - np.eye(3)) * volume / (4 * np.pi * 14.39964)
    frames[0].info["epsilon"] = 3.0 * np.eye(3)
    frames[2].pbc = (True, True, False)
    file = write(tmp_path / "x.extxyz", frames)
    config = DataConfig((), (), dielectric="epsilon", polarizability="alpha")
    kept, rejected = read_frames([file], config)
    assert [one.dielectric is None for one in kept] == [False, False]
    assert np.array_equal(kept[0].dielectric, 3.0 * np.eye(3))  # a tensor that is there is taken
    assert np.allclose(kept[1].dielectric, expected[1], atol=1e-5)
    assert [(one.frame, "has no ε∞" in one.reason) for one in rejected] == [(2, True)]


def test_labels_that_break_the_space_group(tmp_path: Path) -> None:
    """Quartz: tensors of its own symmetry pass; transposed or in another order, they do not."""
    quartz = crystal(
        ["Si", "O"], [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)], spacegroup=154,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )  # fmt: skip
    charges = EquivarCalculator().get_property("born_charges", quartz)
    swapped = charges.copy()
    swapped[[3, 4]] = charges[[4, 3]]
    turned = charges.copy()
    turned[0] = charges[0].T
    frames = []
    for labels in (charges, swapped, turned):
        frames.append(quartz.copy())
        frames[-1].set_array("born_charges", labels.reshape(-1, 9))
    kept, rejected = read_frames(
        [write(tmp_path / "x.extxyz", frames)],
        DataConfig((), (), max_asymmetry=0.02, max_sum_rule_violation=1.0),
    )
    assert len(kept) == 1
    assert [one.frame for one in rejected] == [1, 2]
    for one in rejected:
        assert "violate the crystal's own space group by" in one.reason, one.reason


def test_dielectric_tensors_that_break_the_space_group(tmp_path: Path) -> None:
    frames = []
    for tensor in (np.diag([2.4, 2.4, 2.4]), np.diag([2.3, 2.4, 2.6]), np.eye(3, k=1) + 2.4):
        salt = bulk("NaCl", "rocksalt", a=5.64)
        salt.set_array("born_charges", np.outer([1.1, -1.1], np.eye(3)).reshape(2, 9))
        salt.info["electronic_dielectric_tensor"] = tensor
        frames.append(salt)
    kept, rejected = read_frames([write(tmp_path / "x.extxyz", frames)], DataConfig((), ()))
    assert len(kept) == 1
    assert "ε∞ violates the crystal's own space group by 19 % of ε∞ - 1" in rejected[0].reason
    assert "is not symmetric: components across the diagonal differ" in rejected[1].reason


def test_zipped_frames_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "x.extxyz.gz"
    frames = labelled(6)
    ase.io.write(file, frames, format="extxyz")
    images = read_images(file, "1::2")
    assert len(images) == 3
    for image, frame in zip(images, frames[1::2], strict=True):
        assert np.allclose(image.positions, frame.positions, atol=1e-7)
    kept, _ = read_frames([f"{file}@1::2"], DataConfig((), ()))
    assert len(kept) == 3


def test_objective_by_hand(tmp_path: Path) -> None:
    file = write(tmp_path / "x.extxyz", labelled(3))
    frames, _ = read_frames([file], DataConfig((), ()))
    frames[1] = replace(frames[1], dielectric=None)
    torch.manual_seed(0)
    network = build_network({**NETWORK, "elements": elements_of(frames)})
    loader = make_loader(frames, network, 3)
    batch = next(iter(loader))
    found = errors(network, batch)
    raw = network(batch.graph)
    n = len(frames[0].atoms)
    violations, differences = [], []
    for k, frame in enumerate(frames):
        charges = raw.born_charges[k * n : (k + 1) * n].detach().numpy()
        violations.append(np.abs(charges.sum(axis=0)))
        differences.append(np.abs(charges - charges.mean(axis=0) - frame.born_charges))
    assert found.neutral.item() == pytest.approx(np.mean(differences), rel=1e-12)
    assert found.violation.item() == pytest.approx(np.mean(violations), rel=1e-12)
    logs = []
    for k in (0, 2):  # the one without a label does not count
        label = frames[k].dielectric
        assert label is not None
        for tensor in (label, raw.dielectric[k].detach().numpy()):
            values, axes = np.linalg.eigh(tensor - np.eye(3))
            logs.append(axes @ np.diag(np.log(values)) @ axes.T)
    expected = np.mean([np.abs(logs[0] - logs[1]), np.abs(logs[2] - logs[3])])
    assert found.log_dielectric.item() == pytest.approx(expected, rel=1e-6)
    assert found.counts.tolist() == [3 * n, 3, 2]
    total = found.total(FitConfig(violation_weight=0.5, dielectric_weight=0.25))
    assert total.item() == pytest.approx(
        np.mean(differences) + 0.5 * np.mean(violations) + 0.25 * expected, rel=1e-6
    )


def test_losses_by_hand() -> None:
    """Of one atom that is off by a little along x and by much between y and z."""
    difference = torch.zeros(2, 3, 3, dtype=torch.float64)
    difference[0, 0, 0], difference[0, 1, 2] = 0.03, -0.4
    assert charge_loss(difference, "mae").item() == pytest.approx(0.43 / 18)
    assert charge_loss(difference, "norm").item() == pytest.approx(np.hypot(0.03, 0.4) / 3 / 2)
    turned = torch.from_numpy(Rotation.from_rotvec([0.4, -1.0, 0.3]).as_matrix())
    other_axes = turned @ difference @ turned.T
    assert charge_loss(other_axes, "norm").item() == pytest.approx(np.hypot(0.03, 0.4) / 6)


def test_start_is_the_median_charge(tmp_path: Path) -> None:
    frames, _ = read_frames([write(tmp_path / "x.extxyz", labelled(4))], DataConfig((), ()))
    network = build_network({**NETWORK, "elements": elements_of(frames)})
    start_from_labels(network, summarize(frames), frames)
    element = network.elements[-1]
    traces = [
        np.trace(z) / 3
        for frame in frames
        for number, z in zip(frame.atoms.numbers, frame.born_charges, strict=True)
        if number == element
    ]
    assert network.shift.weight[-1].item() == pytest.approx(np.median(traces), abs=1e-6)


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    """A handful of crystals is learned almost by heart."""
    config = run_config(tmp_path, epochs=80, n=4)
    config = replace(
        config,
        data=replace(config.data, valid=config.data.train),
        network={**NETWORK, "channels": 8, "radial_hidden": 16, "embedding": 8},
        fit=replace(config.fit, averaging=0.9, learning_rate=1e-2, batch_size=1),
    )
    folder = fit(config, progress=False)
    rows = learning_curve(folder)
    assert rows[-1]["valid_mae"] < 0.5 * rows[0]["valid_mae"], (rows[-1], rows[0])
    frames, _ = read_frames(config.data.train, config.data)
    found = evaluate(compare(load_model(folder), frames))
    # the model on disk is the averaged one that the log speaks of
    assert found.born.mae == pytest.approx(rows[-1]["valid_mae"], rel=1e-3)


def test_the_average_of_a_short_run_keeps_nothing_of_its_start(tmp_path: Path) -> None:
    """With 90 steps, five sixths of the weights were those before the first one."""
    config = run_config(tmp_path, epochs=30, n=3)
    config = replace(
        config,
        data=replace(config.data, valid=config.data.train),
        fit=replace(config.fit, averaging=0.998, learning_rate=1e-2, batch_size=1),
    )
    rows = learning_curve(fit(config, progress=False))
    assert rows[-1]["train_mae"] < 0.8 * rows[0]["train_mae"]
    assert rows[-1]["valid_mae"] < 1.1 * rows[-1]["train_mae"]


@pytest.mark.parametrize("n_steps", [1, 10, 11, 90, 200, 5000, 10**6])
def test_decay_of_the_average(n_steps):
    decay = averaging_decay(0.998, n_steps)
    assert 0 <= decay <= 0.998
    assert decay**n_steps < 1e-4
    assert decay == 0.998 or n_steps < 5000
    assert averaging_decay(0.5, n_steps) <= 0.5


@pytest.mark.slow
def test_killed_run_resumes(tmp_path: Path) -> None:
    """Kill the command with no warning; the next call goes on and loses at most one epoch."""
    epochs = 30
    run_config(tmp_path)
    content = {
        "output": "model",
        "data": {"train": "train.extxyz", "valid": "valid.extxyz"},
        "network": NETWORK,
        "fit": {"epochs": epochs, "batch_size": 4},
        "about": {"Data": "made up"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))
    call = [sys.executable, "-c", "from ase_equivar.cli.main import app; app()"]
    call += ["train", str(tmp_path / "run.yaml"), "--no-progress"]
    checkpoint = tmp_path / "model" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = torch.load(checkpoint, weights_only=False)["epoch"] + 1
    assert 1 <= done < epochs
    result = subprocess.run(call, capture_output=True, text=True, check=True)
    assert "continuing from" in result.stderr
    state = torch.load(checkpoint, weights_only=False)
    steps_per_epoch = 2
    assert state["epoch"] + 1 == epochs
    assert state["global_step"] == epochs * steps_per_epoch  # none twice, none left out
    metadata = read_metadata(tmp_path / "model")
    assert metadata["training"]["about"] == {"Data": "made up"}
    assert metadata["training"]["data"]["train"] == ["../train.extxyz"]
    assert load_model(tmp_path / "model").elements == (8, 11, 12, 17)
    curve = learning_curve(tmp_path / "model")
    assert [row["epoch"] for row in curve] == list(range(epochs))
    assert all("valid_mae" in row and "train_mae" in row for row in curve)


@pytest.mark.slow
def test_curve_is_never_behind_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever a kill comes, the rows of all epochs in the checkpoint are on disk."""
    config = run_config(tmp_path, epochs=3)
    seen = []

    class Watched(ModelCheckpoint):
        def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
            row = learning_curve(config.output)[-1]
            assert {"train_mae", "valid_mae"} <= row.keys()
            seen.append((row["epoch"], trainer.current_epoch))
            super()._save_checkpoint(trainer, filepath)

    monkeypatch.setattr("ase_equivar.training.fit.ModelCheckpoint", Watched)
    fit(config, progress=False)
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_curve_of_a_run_killed_before_its_checkpoint(tmp_path: Path) -> None:
    """The epoch runs again, and its row replaces the one of the killed run."""
    assert learning_curve(tmp_path) == []
    record_epoch(tmp_path, 0, {"train_mae": 0.5})
    record_epoch(tmp_path, 1, {"train_mae": 0.4})
    record_epoch(tmp_path, 1, {"train_mae": 0.3, "valid_mae": 0.6})
    assert learning_curve(tmp_path) == [
        {"epoch": 0, "train_mae": 0.5},
        {"epoch": 1, "train_mae": 0.3, "valid_mae": 0.6},
    ]


def test_evaluation_by_hand(tmp_path: Path) -> None:
    frames, _ = read_frames([write(tmp_path / "x.extxyz", labelled(4))], DataConfig((), ()))
    torch.manual_seed(0)
    network = build_network({**NETWORK, "elements": elements_of(frames)}).eval()
    start_from_labels(network, summarize(frames), frames)
    found = evaluate(compare(network, frames))
    differences, traces = [], []
    for frame in frames:
        loader = make_loader([frame], network, 1)
        with torch.no_grad():
            raw = network(next(iter(loader)).graph)
        charges = raw.born_charges.numpy()
        differences.append(charges - charges.mean(axis=0) - frame.born_charges)
        assert frame.dielectric is not None
        traces.append(abs(np.trace(raw.dielectric[0].numpy()) / np.trace(frame.dielectric) - 1))
    everything = np.concatenate(differences)
    diagonal = np.concatenate([np.diag(d) for d in everything])
    n = len(frames[0].atoms)
    assert found.born.mae == pytest.approx(np.abs(everything).mean(), rel=1e-10)
    assert found.born.diagonal_mae == pytest.approx(np.abs(diagonal).mean(), rel=1e-10)
    assert 9 * found.born.mae == pytest.approx(
        3 * found.born.diagonal_mae + 6 * found.born.off_diagonal_mae
    )
    assert found.dielectric is not None
    assert found.dielectric.median_relative_trace == pytest.approx(np.median(traces), rel=1e-10)
    assert set(found.by_source) == {"even", "odd"}
    assert found.by_source["even"].mae == pytest.approx(
        np.abs(np.concatenate(differences[0::2])).mean(), rel=1e-10
    )
    assert found.by_element["Mg"].n_atoms == 4 * int((frames[0].atoms.numbers == 12).sum())
    assert found.by_crystal_system["triclinic"].n_atoms == 4 * n
    json.dumps(found.as_dict())
    card = model_card("toy", network, {}, found, "x.extxyz")
    assert f"| all | {4 * n} | {found.born.mae:.3f} |" in card


def test_unknown_elements_are_left_out_and_named(tmp_path: Path) -> None:
    frames, _ = read_frames([write(tmp_path / "x.extxyz", labelled(2))], DataConfig((), ()))
    network = build_network({**NETWORK, "elements": elements_of(frames)}).eval()
    strange = frames[0].atoms.copy()
    strange.numbers[0] = 57
    mixed = [frames[1], replace(frames[0], atoms=strange)]
    found = evaluate(compare(network, mixed))
    assert found.n_structures == 1
    assert "La" in found.unknown[0]
    with pytest.raises(ValueError, match="does not support all elements of any"):
        evaluate(compare(network, mixed[1:]))


@pytest.mark.parametrize(
    ("number", "cell", "system"),
    [
        ("NaCl", [[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]], "cubic"),
        ("NaCl", [[4, 0, 0], [0, 4, 0], [0, 0, 5]], "tetragonal"),
        ("NaCl", [[4, 0, 0], [0.3, 5, 0], [0.5, 0.9, 6]], "triclinic"),
    ],
)
def test_crystal_system(number: str, cell: list[list[float]], system: str) -> None:
    atoms = Atoms(number, scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=cell, pbc=True)
    assert crystal_system(atoms) == system


@pytest.mark.parametrize("warm_up", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("steps", [1, 2, 4, 9, 10, 11, 100])
def test_schedules_of_any_length(steps: int, warm_up: float) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1e-3)
    schedule = one_cycle(optimizer, 1e-3, steps, warm_up)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert all(0 < rate <= 1.001e-3 for rate in rates)
    assert max(rates) > 3e-5


@pytest.mark.slow
def test_the_log_of_an_epoch_is_a_mean_over_structures(tmp_path: Path) -> None:
    """Not over batches, of which the second has a tenth of the structures of the first."""
    frames = labelled(35, seed=1)
    frames[-1] *= (4, 1, 1)
    config = run_config(tmp_path)
    write(Path(config.data.valid[0]), frames)
    folder = fit(config, progress=False)
    network = load_model(folder)
    charges = []
    for frame in frames:
        with torch.no_grad():
            charges.append(network(build_graph(frame, network.cutoff)).born_charges)
    violations = [float(born.sum(dim=0).abs().mean()) for born in charges]
    found = learning_curve(folder)[-1]["valid_violation"]
    assert found == pytest.approx(np.mean(violations), rel=1e-5)
    of_batches = (np.mean(violations[:32]) + np.mean(violations[32:])) / 2
    assert found != pytest.approx(of_batches, rel=0.05)


def test_a_training_of_exactly_ten_steps(tmp_path: Path) -> None:
    """One step of warm-up: torch's schedule divided by zero."""
    config = run_config(tmp_path, epochs=5, n=8)
    assert config.fit.warm_up * 10 == 1.0
    assert (Path(fit(config, progress=False)) / "weights.safetensors").is_file()


def renamed(n: int, name: str, *, of: int = 4) -> list[Atoms]:
    """Frames of which the first `n` have ε∞ under another name."""
    frames = labelled(of)
    for number, atoms in enumerate(frames):
        tensor = atoms.info.pop("electronic_dielectric_tensor")
        if number < n:
            atoms.info[name] = tensor
    return frames


def test_dielectric_that_ase_moves_into_the_results_is_found(tmp_path: Path) -> None:
    file = write(tmp_path / "x.extxyz", renamed(4, "dielectric_tensor"))
    assert "dielectric_tensor" not in ase.io.read(file).info  # or this test tests nothing
    frames, _ = read_frames([file], DataConfig((), (), dielectric="dielectric_tensor"))
    expected = labelled(4)
    for frame, atoms in zip(frames, expected, strict=True):
        assert frame.dielectric is not None
        tensor = atoms.info["electronic_dielectric_tensor"]
        np.testing.assert_allclose(frame.dielectric, tensor, atol=1e-7)


def test_predictions_beside_labels_are_no_labels(tmp_path: Path) -> None:
    """ASE writes what a calculator predicts into the same frame as labels."""
    frames = labelled(4)
    labels = [atoms.arrays["born_charges"].copy() for atoms in frames]
    for atoms in frames:
        del atoms.info["electronic_dielectric_tensor"]
        atoms.calc = SinglePointCalculator(
            atoms,
            born_effective_charges=np.ones((len(atoms), 3, 3)),
            dielectric_tensor=2 * np.eye(3),
        )
    file = write(tmp_path / "x.extxyz", frames)
    read, _ = read_frames([file], DataConfig((), ()))
    for frame, charges in zip(read, labels, strict=True):
        np.testing.assert_allclose(frame.born_charges.reshape(-1, 9), charges, atol=1e-7)
        assert frame.dielectric is None
    named, _ = read_frames([file], DataConfig((), (), dielectric="dielectric_tensor"))
    assert all(frame.dielectric is not None for frame in named)


def test_predictions_are_no_labels(tmp_path: Path) -> None:
    """A file of `born` was taken for labels, with which every model agrees."""
    atoms = labelled(1)[0]
    predicted = atoms.copy()
    predicted.arrays["born_charges_uncertainty"] = np.full(len(atoms), 0.1)
    beside = predicted.copy()  # as ASE writes labels and a calculator's Z* together
    beside.arrays["REF_becs"] = -beside.arrays["born_charges"]
    path = write(tmp_path / "x.extxyz", [atoms, predicted])
    frames, rejected = read_frames([path], DataConfig((), ()))
    assert len(frames) == 1
    assert rejected[0].frame == 1
    assert "are a prediction, with 'born_charges_uncertainty' beside them" in rejected[0].reason
    path = write(tmp_path / "y.extxyz", [beside])
    frames, rejected = read_frames([path], DataConfig((), (), born_charges="REF_becs"))
    assert len(frames) == 1


@pytest.mark.parametrize("names", [{"dielectric": "eps"}, {"polarizability": "alpha"}])
def test_a_name_that_no_frame_has_is_refused(tmp_path: Path, names: dict[str, str]) -> None:
    file = write(tmp_path / "x.extxyz", renamed(4, "epsilon"))
    with pytest.raises(ValueError, match=r"none of 4 frames has ε∞ from .*nine numbers: epsilon"):
        read_frames([file], DataConfig((), (), **names))


def test_a_name_that_some_frames_have_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / "x.extxyz", renamed(3, "epsilon"))
    frames, _ = read_frames([file], DataConfig((), (), dielectric="epsilon"))
    assert [frame.dielectric is None for frame in frames] == [False] * 3 + [True]
    assert "ε∞ from 'epsilon': in 3 of 4 frames" in caplog.text


def test_dielectric_under_another_name_than_the_usual_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / "x.extxyz", renamed(4, "epsilon"))
    read_frames([file], DataConfig((), ()))
    assert "no frame has ε∞ from 'electronic_dielectric_tensor'; entries of nine" in caplog.text
    assert "epsilon" in caplog.text
