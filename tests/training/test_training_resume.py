"""Runs that were stopped: they go on as a whole one would, and only with their own settings."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.training_runs import batches, labelled, run_config, write

from ase_equivar.inference.model_files import CALIBRATION_FILE, read_metadata
from ase_equivar.inference.models import load_model, save_model
from ase_equivar.io.lock import locked
from ase_equivar.training.fit import fit
from ase_equivar.training.resume import CHECKPOINT

EPOCHS = 4


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_stopped_run_equals_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batches in each epoch, the same dropout, the same weights in the end."""
    config = run_config(tmp_path, epochs=EPOCHS)
    config = replace(config, fit=replace(config.fit, dropout=0.2, batch_size=3))
    whole = batches(config, monkeypatch)
    stopped = replace(config, output=str(tmp_path / "stopped"))
    assert batches(stopped, monkeypatch, 1, 2, 3) == whole
    assert whole[1] != whole[2] != whole[3]
    weights = [load_model(one.output).state_dict() for one in (config, stopped)]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_run_of_other_settings_is_refused(tmp_path: Path) -> None:
    """Each with what was and what is now; nothing in the folder changes."""
    config = run_config(tmp_path)
    before = files(fit(config, progress=False))
    for change, message in (
        (
            {"fit": replace(config.fit, loss="norm")},
            r"fit.loss was mae, is now norm\. Give anoth",
        ),
        (
            {"fit": replace(config.fit, learning_rate=0.1, epochs=4)},
            r"fit.epochs was 2, is now 4; fit.learning_rate was 0.004, is now 0.1 "
            r"\(a run cannot be lengthened.*delete .*last.ckpt to start anew",
        ),
        (
            {"network": {**(config.network or {}), "channels": 6, "l_max": 1}},
            "network.channels was 4, is now 6; network.l_max was nothing, is now 1",
        ),
        (
            {"data": replace(config.data, order="displacement-first")},
            "data.order was field-first, is now displacement-first",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            fit(replace(config, **change), progress=False)
    assert files(Path(config.output)) == before


def test_run_of_other_structures_is_refused(tmp_path: Path) -> None:
    """The file has the same name, but not the same structures."""
    config = run_config(tmp_path)
    (fit(config, progress=False) / "weights.safetensors").unlink()
    others = labelled(6)
    for atoms in others:
        atoms.numbers[atoms.numbers == 11] = 19
    write(tmp_path / "train.extxyz", others)
    with pytest.raises(
        ValueError,
        match=r"elements was \[8, 11, 12, 17\], is now \[8, 12, 17, 19\]; number was 8, is now 6",
    ):
        fit(config, progress=False)


@pytest.mark.parametrize("changed", ["label", "position"])
def test_one_other_number_in_the_training_structures_is_refused(tmp_path: Path, changed) -> None:
    config = run_config(tmp_path)
    (fit(config, progress=False) / "weights.safetensors").unlink()
    others = labelled(8)
    if changed == "label":
        others[5].arrays["born_charges"][:2, 3] += [1e-3, -1e-3]
    else:
        others[5].positions[1, 2] += 1e-3
    write(tmp_path / "train.extxyz", others)
    message = r"other inputs: structures and labels was [0-9a-f]{16}, is now [0-9a-f]{16}\. Give"
    with pytest.raises(ValueError, match=message):
        fit(config, progress=False)


def test_other_structures_for_validation_are_refused(tmp_path: Path) -> None:
    """One learning curve was of two sets."""
    config = run_config(tmp_path)
    (fit(config, progress=False) / "weights.safetensors").unlink()
    others = labelled(3, seed=1)
    others[1].positions[1, 2] += 1e-3
    write(tmp_path / "valid.extxyz", others)
    with pytest.raises(ValueError, match=r"inputs: those of validation was [0-9a-f]{16}, is now"):
        fit(config, progress=False)


def test_finished_run_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Calibration, log and times too; in a folder that was moved with its data as well."""
    (tmp_path / "here").mkdir()
    config = run_config(tmp_path / "here")
    folder = fit(config, progress=False)
    (folder / CALIBRATION_FILE).write_bytes(b"calibration")
    before = files(folder)
    with caplog.at_level(logging.INFO):
        fit(config, progress=False)
        (tmp_path / "here").rename(tmp_path / "there")
        moved = replace(
            config,
            output=str(tmp_path / "there" / "model"),
            data=replace(
                config.data,
                train=(str(tmp_path / "there" / "train.extxyz"),),
                valid=(str(tmp_path / "there" / "valid.extxyz"),),
            ),
        )
        fit(moved, progress=False)
    assert files(tmp_path / "there" / "model") == before
    assert caplog.text.count("already finished; nothing was changed") == 2


def test_model_is_written_when_only_that_was_missing(tmp_path: Path) -> None:
    """Killed after the last epoch, before the model was written: nothing is learned again."""
    config = run_config(tmp_path)
    folder = fit(config, progress=False)
    before = files(folder)
    for name in ("weights.safetensors", "config.json"):
        (folder / name).unlink()
    fit(config, progress=False)
    assert files(folder) == before
    assert json.loads(before["config.json"])["metadata"]["n_train"] == 8


def test_model_of_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    """Killed before the model was written, in a folder that still has another one."""
    config = run_config(tmp_path)
    folder = fit(config, progress=False)
    before = files(folder)
    metadata = read_metadata(folder)
    metadata["training"]["fit"]["learning_rate"] = 0.1
    network = load_model(folder)
    network.shift.weight += 1.0
    save_model(network, folder, metadata=metadata)
    fit(config, progress=False)
    assert files(folder) == before


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    file = Path(config.output) / CHECKPOINT
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged, .*delete it to start anew"):
        fit(config, progress=False)


def test_checkpoint_without_settings_is_refused(tmp_path: Path) -> None:
    """As earlier versions wrote it."""
    config = run_config(tmp_path)
    file = Path(config.output) / CHECKPOINT
    file.parent.mkdir(parents=True)
    torch.save({"epoch": 1, "state_dict": {}}, file)
    with pytest.raises(ValueError, match=r"last\.ckpt does not record its settings"):
        fit(config, progress=False)


def test_output_in_use_is_refused(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    output = Path(config.output)
    output.mkdir()
    with locked(output / "training.lock", "the first training"):
        with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()} on "):
            fit(config, progress=False)
        assert [file.name for file in output.iterdir()] == ["training.lock"]


class Harmful:
    """Runs code when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def test_no_code_runs_on_loading_a_checkpoint(tmp_path: Path) -> None:
    """Of a folder from elsewhere; it tells what to do instead."""
    config = run_config(tmp_path)
    checkpoint = fit(config, progress=False) / CHECKPOINT
    state = torch.load(checkpoint, weights_only=True)
    torch.save({**state, "more": Harmful(tmp_path / "harm")}, checkpoint)
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged, or holds more than numbers"):
        fit(config, progress=False)
    assert not (tmp_path / "harm").exists()
