"""Models adapted to one material, and the commands around training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.random_networks import GATED, PUBLISHED, make
from helpers.training_runs import labelled, run_config, write
from matplotlib.figure import Figure
from typer.testing import CliRunner

from ase_equivar.cli.main import app
from ase_equivar.graph import build_graph
from ase_equivar.inference.model_files import read_metadata
from ase_equivar.inference.models import load_model, save_model
from ase_equivar.network import PolarNetwork, build_network
from ase_equivar.plotting.models import plot_errors
from ase_equivar.training.comparison import compare
from ase_equivar.training.config import read_training_config
from ase_equivar.training.data import read_frames
from ase_equivar.training.evaluate import evaluate
from ase_equivar.training.finetuning import adapted, write_training_config
from ase_equivar.training.fit import fit


def test_fine_tuning_starts_where_the_model_stands(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    first = fit(config, progress=False)
    tuned = replace(
        config,
        network=None,
        start=str(first),
        output=str(tmp_path / "tuned"),
        data=replace(config.data, train=(config.data.train[0] + "@::2",)),
        fit=replace(config.fit, epochs=1, learning_rate=1e-12, weight_decay=0.0),
    )
    before, after = load_model(first), load_model(fit(tuned, progress=False))
    for name, value in before.state_dict().items():
        assert torch.allclose(after.state_dict()[name], value, atol=1e-7)
    assert read_metadata(tmp_path / "tuned")["n_train"] == 4
    strange = labelled(2)
    for atoms in strange:
        atoms.numbers[0] = 57
    data = replace(config.data, train=(write(tmp_path / "la.extxyz", strange),))
    with pytest.raises(ValueError, match="cannot be fine-tuned for La"):
        fit(replace(tuned, data=data, output=str(tmp_path / "no")), progress=False)


@pytest.mark.slow
def test_adapted_network_says_the_same_and_refuses_what_it_did_not_learn() -> None:
    torch.manual_seed(0)
    for config in (GATED, PUBLISHED):
        network = build_network({**config, "elements": (6, 8, 14, 22)})
        network = network.float().eval()
        graph = build_graph(Atoms("SiOO", [[0, 0, 0], [1.6, 0, 0.2], [0, 1.7, 0]]), network.cutoff)
        smaller = adapted(network, (8, 14), "big", dielectric=False).eval()
        assert smaller.elements == (8, 14)
        assert not smaller.has_dielectric
        with torch.no_grad():
            charges = [one(graph).born_charges for one in (network, smaller)]
        assert torch.allclose(*charges, atol=1e-6)


def test_training_configuration_is_not_overwritten_by_another(tmp_path: Path) -> None:
    """Once training has begun, nor if somebody wrote it by hand."""
    data = write(tmp_path / "data.extxyz", labelled(4))
    written = write_training_config(tmp_path / "new", "universal", f"{data}@::2", data, epochs=3)
    config = read_training_config(written)
    assert config.data.train == (str(Path(data).resolve()) + "@::2",)
    assert (config.start, config.fit.epochs) == ("universal", 3)
    assert (
        write_training_config(tmp_path / "new", "universal", f"{data}@::2", data, epochs=3)
        == written
    )
    checkpoint = tmp_path / "new" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    with pytest.raises(ValueError, match=r"holds another configuration; give another output"):
        write_training_config(tmp_path / "new", "universal", data, data, epochs=3)
    assert read_training_config(written) == config
    checkpoint.unlink()
    for other in ("output: elsewhere\n", "output: [no yaml\n"):
        written.write_text(other)
        with pytest.raises(ValueError, match=r"holds another configuration; give another output"):
            write_training_config(tmp_path / "new", "universal", data, data, epochs=3)


def test_several_processes_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data.extxyz", labelled(4))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ValueError, match=r"which 2 processes cannot share; run it without torchrun"
    ):
        write_training_config(tmp_path / "new", "universal", data, data, epochs=3)
    assert not (tmp_path / "new").exists()


def test_a_name_is_that_of_the_bundled_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a folder of that name is at hand, such as the output; a path names that."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.extxyz", labelled(4))
    files = "data.extxyz@::2", "data.extxyz"
    for _ in range(2):  # the second call continues
        written = write_training_config("universal", "universal", *files, epochs=3)
        assert read_training_config(written).start == "universal"
    save_model(make({**GATED, "elements": (8, 11, 12, 17)}), tmp_path / "universal")
    assert (
        read_training_config(write_training_config("new", "universal", *files, epochs=3)).start
        == "universal"
    )
    own = read_training_config(write_training_config("new", "./universal", *files, epochs=3)).start
    assert own == str(tmp_path / "universal")
    shutil.copy(tmp_path / "new/training.yaml", "beside.yaml")
    text = Path("beside.yaml").read_text().replace("../", "")
    Path("beside.yaml").write_text(text.replace("output: .", "output: other"))
    assert read_training_config("beside.yaml").start == "universal"


def test_mistakes_do_not_lock_the_output(tmp_path: Path) -> None:
    """What is wrong is told before anything is written; the corrected call works."""
    data = write(tmp_path / "data.extxyz", labelled(4))
    folder = tmp_path / "new"
    for model, train, order, message in (
        (
            "universal",
            data,
            "displacment-first",
            "the configuration: data.order is 'displacment-first'",
        ),
        (
            "universal",
            "nowhere.extxyz",
            "field-first",
            "data.train: there is no file .*nowhere.extxyz",
        ),
        ("univers", data, "field-first", "no model 'univers'"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            write_training_config(folder, model, train, data, epochs=3, order=order)
        assert not folder.exists()
    with pytest.raises(ValueError, match="epochs is 0; give a whole number from 1 on"):
        write_training_config(folder, "universal", data, data, epochs=0)
    # a mistake that only the data show: the configuration is there, but nothing was trained
    written = write_training_config(folder, "universal", data, data, epochs=3, born_charges="zstar")
    with pytest.raises(ValueError, match="no per-atom array 'zstar'"):
        fit(read_training_config(written), progress=False)
    write_training_config(folder, "universal", data, data, epochs=3, dielectric="epsilon")
    config = read_training_config(written)
    assert (config.data.born_charges, config.data.dielectric) == ("born_charges", "epsilon")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize("kind", [[], ["--polar"]], ids=["light", "polar"])
def test_commands_from_data_to_picture(tmp_path: Path, kind: list[str]) -> None:
    """Fine-tune, evaluate on a part of a file, write the card, draw."""
    first = fit(run_config(tmp_path), progress=False)
    data = write(tmp_path / "more.extxyz", labelled(5, seed=2))
    folder = tmp_path / "tuned"
    output = run(
        "finetune", first, "--train", f"{data}@1:", "--valid", f"{data}@:1",
        "--output", folder, "--epochs", "2", "--no-progress", *kind,
    )  # fmt: skip
    assert "training configuration written" in output
    assert read_metadata(folder)["n_train"] == 4
    assert isinstance(load_model(folder), PolarNetwork) == bool(kind)
    assert "1 structures of" in run("evaluate", folder, f"{data}@:1", "--card")
    assert (folder / "CARD.md").read_text().startswith("# Model `tuned`")
    picture = tmp_path / "errors.png"
    run("plot", folder, data, "--output", picture)
    assert picture.stat().st_size > 10_000
    refused = CliRunner().invoke(app, ["evaluate", str(folder), "nowhere.extxyz@::2"])
    assert refused.exit_code == 2
    assert "there is no file nowhere.extxyz" in refused.output
    for command in ("evaluate", "calibrate", "plot"):
        wrong = [command, str(folder), data, "--order", "displacment-first"]
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 2
        assert "order is 'displacment-first'; give field-first or" in refused.output


@pytest.mark.slow
def test_fine_tuning_learns_eps_of_another_name(tmp_path: Path) -> None:
    """Without an option the model would have no ε∞."""
    first = fit(run_config(tmp_path), progress=False)
    frames = labelled(3)
    for atoms in frames:
        atoms.info["epsilon"] = atoms.info.pop("electronic_dielectric_tensor")
        # α in e·Å²/V; e/(4π ε0) is 14.39964 V·Å
        susceptibility = atoms.info["epsilon"] - np.eye(3)
        atoms.info["alpha"] = susceptibility * atoms.get_volume() / (4 * np.pi * 14.39964)
    data = write(tmp_path / "eps.extxyz", frames)
    errors = {}
    for name in ("dielectric", "polarizability", "neither"):
        labels = {"dielectric": "epsilon", "polarizability": "alpha"}.get(name)
        option = [] if labels is None else [f"--{name}", labels]
        run(
            "finetune", first, "--train", data, "--valid", data, "--output", tmp_path / name,
            "--epochs", "1", "--no-progress", *option,
        )  # fmt: skip
        assert load_model(tmp_path / name).has_dielectric == (name != "neither")
        errors[name] = run("evaluate", tmp_path / name, data, *option)
        said = " ".join(["eps.extxyz", *option]).strip()
        assert f"{said}`" in errors[name]  # what wrote it, to be repeated
    [eps] = [line for line in errors["dielectric"].splitlines() if "median relative" in line]
    assert eps in errors["polarizability"]
    assert "median relative" not in errors["neither"]


def test_picture_shows_the_numbers(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    network = load_model(fit(config, progress=False))
    comparison = compare(network, read_frames(config.data.valid, config.data)[0])
    errors = evaluate(comparison)
    curve = [{"epoch": 0, "train_mae": 1.0, "valid_mae": 2.0}, {"epoch": 1, "train_mae": 0.5}]
    figure = plot_errors(comparison, errors, curve)
    assert isinstance(figure, Figure)
    charges, dielectric, learning, elements = figure.axes
    off_diagonal, diagonal, _ = (line.get_xydata() for line in charges.lines)
    labels = np.concatenate([frame.born_charges for frame in comparison.frames])
    assert (len(off_diagonal), len(diagonal)) == (6 * len(labels), 3 * len(labels))
    differences = np.concatenate([off_diagonal, diagonal]) @ [-1, 1]
    assert np.abs(differences).mean() == pytest.approx(errors.born.mae)
    assert len(dielectric.lines[0].get_xydata()) == len(comparison.frames)
    assert [len(line.get_xydata()) for line in learning.lines] == [2, 1]
    heights = {
        label.get_text(): bar.get_height()
        for label, bar in zip(elements.get_xticklabels(), elements.patches, strict=True)
    }
    assert heights == {name: row.mae for name, row in errors.by_element.items()}
