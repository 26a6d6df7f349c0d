"""What the commands of training print, write and draw."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.training_runs import labelled, run_config, write
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from typer.testing import CliRunner

from ase_equivar.cli.main import app
from ase_equivar.inference.model_files import model_folder
from ase_equivar.inference.models import load_model
from ase_equivar.plotting.models import plot_errors
from ase_equivar.training.card import model_card
from ase_equivar.training.comparison import Comparison, compare
from ase_equivar.training.curve import learning_curve
from ase_equivar.training.data import LabelledFrame, n_different, read_frames
from ase_equivar.training.evaluate import CLEAN_LABEL, evaluate
from ase_equivar.training.fit import fit
from ase_equivar.training.sections import DataConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model, with its data beside it."""
    return fit(run_config(tmp_path_factory.mktemp("run")), progress=False)


@pytest.fixture
def comparison(folder: Path) -> Comparison:
    frames, _ = read_frames([folder.parent / "valid.extxyz"], DataConfig((), ()))
    return compare(load_model(folder), frames)


@pytest.mark.slow
@pytest.mark.parametrize("command", [["evaluate", "--card"], ["calibrate"]])
def test_bundled_models_are_not_written_to(command: list[str], tmp_path: Path) -> None:
    data = write(tmp_path / "more.extxyz", labelled(3, seed=2))
    bundled = model_folder("universal")
    before = {file.name: file.read_bytes() for file in bundled.iterdir() if file.is_file()}
    name, *options = command
    result = CliRunner().invoke(app, [name, "universal", data, *options])
    assert result.exit_code == 2
    assert "universal is bundled with the package" in result.output
    assert "predicting" not in result.stderr  # before any work
    assert before == {f.name: f.read_bytes() for f in bundled.iterdir() if f.is_file()}
    copied = tmp_path / "copy"
    shutil.copytree(bundled, copied)
    if name == "calibrate":
        options = ["--train", data]
    assert CliRunner().invoke(app, [name, str(copied), data, *options]).exit_code == 0


@pytest.mark.slow
def test_evaluation_is_all_that_stdout_gets(folder: Path, tmp_path: Path) -> None:
    """The progress bar is no part of a card that is redirected to a file."""
    data = write(tmp_path / "more.extxyz", labelled(3, seed=2))
    output = tmp_path / "errors.json"
    command = ["evaluate", str(folder), data, "--output", str(output)]
    result = CliRunner().invoke(app, command, env={"FORCE_COLOR": "1"})  # stderr is a terminal
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("# Model `model`\n\nPrinted by `ase-equivar evaluate ")
    assert "--card" not in result.stdout  # for a bundled model it would be refused
    assert "predicting" not in result.stdout
    assert "predicting" in result.stderr
    assert json.loads(output.read_text())["n_structures"] == 3
    nowhere = tmp_path / "nowhere" / "errors.json"
    result = CliRunner().invoke(app, ["evaluate", str(folder), data, "--output", str(nowhere)])
    assert result.exit_code == 2
    assert "there is no folder" in result.output
    assert "predicting" not in result.stderr  # before any work
    result = CliRunner().invoke(app, ["calibrate", str(folder), data])
    assert result.exit_code == 0, result.output
    assert re.search(r"uncertainty: .*\(distance\)\^.* e, from 9 atoms of", result.stdout)
    assert "- components off by less than one uncertainty:" in result.stdout
    assert "Calibration(" not in result.stdout


@pytest.mark.slow
def test_training_says_only_what_concerns_the_user(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    text = "output: model\ndata: {train: train.extxyz, valid: valid.extxyz}\n"
    text += "fit: {epochs: 2, batch_size: 4}\n"
    text += "network: {architecture: gated, channels: 4, interactions: 2, cutoff: 3.5}\n"
    (tmp_path / "run.yaml").write_text(text)
    call = [sys.executable, "-c", "from ase_equivar.cli.main import app; app()"]
    call += ["train", str(tmp_path / "run.yaml"), "--no-progress"]
    result = subprocess.run(call, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == (f"model: {config.output}\n", "")
    again = CliRunner().invoke(app, call[-3:])
    assert again.stderr == (
        f"this run is already finished; nothing was changed in {config.output}\n"
    )
    assert [row["epoch"] for row in learning_curve(tmp_path / "model")] == [0, 1]


def test_numbers_that_are_not_defined_are_null(folder: Path, comparison: Comparison) -> None:
    """Where all ε∞ are large, there is no mean over the moderate ones."""
    frames = [replace(frame, dielectric=30.0 * np.eye(3)) for frame in comparison.frames]
    errors = evaluate(replace(comparison, frames=frames))
    content = json.loads(json.dumps(errors.as_dict(), allow_nan=False))
    assert content["dielectric"]["moderate_mae"] is None
    assert content["dielectric"]["n_moderate"] == 0
    card = model_card("toy", load_model(folder), {}, errors, "x.extxyz")
    assert "nan" not in card


def test_card_counts_repeated_structures_once(folder: Path, comparison: Comparison) -> None:
    assert n_different([*comparison.frames, *comparison.frames[1:]]) == len(comparison.frames)
    metadata = {"n_train": 5, "n_valid": 2, "training_seconds": 3, "hardware": "CPU"}
    network, errors = load_model(folder), evaluate(comparison)
    for per_epoch, expected in (
        (5, "- 5 training and 2"),
        (8, "- 5 training (8 with repetitions) and 2"),
    ):
        metadata["frames_per_epoch"] = per_epoch
        assert expected in model_card("toy", network, metadata, errors, "x.extxyz", written=True)


def test_card_has_every_element(folder: Path, comparison: Comparison) -> None:
    """By atomic number, however few its atoms are."""
    errors = evaluate(comparison)
    card = model_card("toy", load_model(folder), {}, errors, "x.extxyz")
    table = card.split("By element")[1].split("##")[0].strip().splitlines()[2:]
    assert table[0].count("|") == table[1].count("|") == table[2].count("|")
    cells = [cell.strip() for row in table[2:] for cell in row.strip("|").split("|")]
    found = [cells[k : k + 4] for k in range(0, len(cells), 4) if cells[k]]
    assert [row[0] for row in found] == ["O", "Na", "Mg", "Cl"]
    for symbol, n_atoms, mae, diagonal in found:
        expected = errors.by_element[symbol]
        assert int(n_atoms) == expected.n_atoms < 10
        assert float(mae) == pytest.approx(expected.mae, abs=6e-4)
        assert float(diagonal) == pytest.approx(expected.diagonal_mae, abs=6e-4)


def assert_ticks_apart(figure: Figure, axes: Axes) -> None:
    """Labels of one axis, as drawn, do not touch, and there are at least two."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = axis.get_major_ticks() + axis.get_minor_ticks()
        boxes = [
            tick.label1.get_window_extent()
            for tick in ticks
            if tick.label1.get_text() and low <= tick.get_loc() <= high
        ]
        assert len(boxes) > 1
        for k, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:k])


@pytest.mark.parametrize("span", [1.02, 1.5, 3.0, 8.0, 60.0])
def test_ticks_can_be_read(comparison: Comparison, span: float) -> None:
    """Of ε∞ and of the learning curve, whether their range is narrow or wide."""
    sizes = np.geomspace(2.0, 2.0 * span, len(comparison.frames))
    frames = [
        replace(frame, dielectric=size * np.eye(3))
        for frame, size in zip(comparison.frames, sizes, strict=True)
    ]
    predicted = [1.01 * size * np.eye(3) for size in sizes]
    found = replace(comparison, frames=frames, dielectric=predicted)
    curve = [
        {"epoch": k, "train_mae": 0.1 * size, "valid_mae": 0.11 * size}
        for k, size in enumerate(sizes[::-1])
    ]
    figure = plot_errors(found, evaluate(found), curve)
    figure.savefig(io.BytesIO(), format="png")
    _, dielectric, learning, _ = figure.axes
    assert_ticks_apart(figure, dielectric)
    assert_ticks_apart(figure, learning)
    assert all(tick == int(tick) for tick in learning.get_xticks())


def test_one_epoch_is_a_point(comparison: Comparison) -> None:
    """A line of one point is none."""
    curve = [{"epoch": 0, "train_mae": 0.2, "valid_mae": 0.3}]
    learning = plot_errors(comparison, evaluate(comparison), curve).axes[2]
    assert [line.get_marker() for line in learning.lines] == [".", "."]
    low, high = learning.get_xlim()
    assert low < 1 < high
    inside = [tick for tick in learning.get_xticks() if low <= tick <= high]
    assert inside == [1]


def test_labels_are_grouped_by_a_violation_that_is_a_number() -> None:
    """What else a file has under that name says nothing of the label."""
    frames = []
    for own in (0.001, 5.0, "0.001", np.zeros((3, 3)), None):
        atoms = labelled(1)[0]
        atoms.info["raw_sum_rule_violation"] = own
        frames.append(LabelledFrame(atoms, np.zeros((len(atoms), 3, 3)), None))
    charges = [frame.born_charges for frame in frames]
    found = evaluate(Comparison(frames, charges, charges, [], ()))
    counts = {
        name.rpartition("violation ")[2]: one.n_atoms // len(charges[0])
        for name, one in found.by_label.items()
    }
    assert counts == {f"up to {CLEAN_LABEL} e": 1, f"above {CLEAN_LABEL} e": 1, "not given": 3}
