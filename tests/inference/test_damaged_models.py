"""Damaged model folders: refused on loading, with the file and what is wrong in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.calibrations import save_calibration
from helpers.random_networks import GATED, make, triclinic
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ase_equivar import EquivarCalculator, available_models, load_model, save_model
from ase_equivar.inference.model_files import model_folder
from ase_equivar.inference.uncertainty import Calibration

WEIGHTS, CALIBRATION = "weights.safetensors", "calibration.safetensors"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    save_model(make(GATED), folder)
    save_calibration(folder, triclinic())
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def change(path: Path, changed: Callable[[Tensors], Tensors]) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    try:
        save_file(changed(load_file(path)), path, metadata)
    except KeyError as kind:
        pytest.skip(f"this version of safetensors stores no {kind}")


def first_entry(name: str, value: float) -> Callable[[Tensors], Tensors]:
    def changed(tensors: Tensors) -> Tensors:
        tensors[name].view(-1)[0] = value
        return tensors

    return changed


def largest(tensors: Tensors) -> str:
    return max(tensors, key=lambda name: tensors[name].numel())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda t: first_entry(largest(t), float("nan"))(t), "are not finite"),
        (lambda t: first_entry(largest(t), float("inf"))(t), "are not finite"),
        (lambda t: {k: v.to(torch.int64) for k, v in t.items()}, "have the type torch.int64"),
        (lambda t: {k: v.to(torch.complex64) for k, v in t.items()}, "the type torch.complex64"),
        (lambda t: {k: v for k, v in t.items() if k != largest(t)}, "does not fit the network"),
        (lambda t: t | {"more": torch.zeros(2)}, "does not fit the network"),
        (lambda t: t | {largest(t): t[largest(t)].reshape(-1)[:-1]}, "does not fit the network"),
    ],
)
def test_damaged_weights(folder: Path, changed: Callable[[Tensors], Tensors], message: str) -> None:
    change(folder / WEIGHTS, changed)
    with pytest.raises(ValueError, match=rf"weights\.safetensors.*{message}"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        *(
            (lambda t, name=name: {k: v for k, v in t.items() if k != name}, f"it lacks {name}")
            for name in ("mean", "axes", "numbers", "points", "log_errors", "powers")
        ),
        *(
            (first_entry(name, float("nan")), f"{name} holds nan")
            for name in ("mean", "axes", "points", "log_errors", "powers", "shortest_distances")
        ),
        (lambda t: t | {"more": torch.zeros(2)}, "it has more, which no calibration has"),
        (lambda t: t | {"points": t["points"][:-1].clone()}, "points has shape"),
        (lambda t: t | {"log_errors": t["log_errors"][:-1].clone()}, "log_errors has shape"),
        (lambda t: t | {"mean": t["mean"][:-1].clone()}, "axes has shape"),
        (lambda t: t | {"powers": t["powers"].to(torch.int64)}, "powers has the type torch.int64"),
        (lambda t: t | {"points": t["points"].to(torch.complex64)}, "points has the type"),
        (first_entry("powers", -1e4), "powers are .*not four numbers of order one"),
        (first_entry("log_errors", -1e4), "errors that are not of the order of 1 e"),
        (first_entry("shortest_distances", -1.0), "shortest_distances holds -1"),
        (lambda t: t | {"shortest_distances": torch.ones(9, 9)}, "not a table of 119 by 119"),
        (lambda t: t | {"numbers": t["numbers"] * 0}, "numbers are not atomic numbers"),
    ],
)
def test_damaged_calibrations(
    folder: Path, changed: Callable[[Tensors], Tensors], message: str
) -> None:
    change(folder / CALIBRATION, changed)
    with pytest.raises(ValueError, match=rf"calibration\.safetensors is damaged .*{message}"):
        EquivarCalculator(model=folder)


def test_a_calibration_of_other_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    other = make(GATED)
    with torch.no_grad():
        next(other.parameters()).mul_(1.01)
    save_model(other, tmp_path / "other")
    shutil.copy(folder / CALIBRATION, tmp_path / "other")
    with pytest.raises(ValueError, match=r"made for other weights than weights\.safetensors"):
        EquivarCalculator(model=tmp_path / "other")


def test_a_calibration_of_unknown_weights_is_refused(folder: Path) -> None:
    save_file(load_file(folder / CALIBRATION), folder / CALIBRATION)
    with pytest.raises(ValueError, match=r"does not say for which weights it was made.*calibrate"):
        EquivarCalculator(model=folder)


@pytest.mark.parametrize("name", available_models())
def test_bundled_calibrations_are_of_their_weights(name: str, tmp_path: Path) -> None:
    """As they lie there, and no longer once a weight has changed in its last digit."""
    model = Path(shutil.copytree(model_folder(name), tmp_path / name))
    assert (Calibration.load(model) is None) == (not (model / CALIBRATION).is_file())
    if not (model / CALIBRATION).is_file():
        return
    change(model / WEIGHTS, lambda t: first_entry(largest(t), 0.123)(t))
    with pytest.raises(ValueError, match="made for other weights"):
        Calibration.load(model)


def test_a_calibration_with_other_features_is_refused(folder: Path) -> None:
    change(folder / CALIBRATION, lambda t: t | {"mean": t["mean"][1:], "axes": t["axes"][1:]})
    calc = EquivarCalculator(model=folder)
    with pytest.raises(ValueError, match="the calibration is that of another model"):
        calc.get_property("born_charges_uncertainty", triclinic())


def test_a_key_left_out_of_the_configuration_takes_no_default(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in ("cutoff", "mean_neighbors"):
        lacking = {k: v for k, v in config["network"].items() if k != key}
        path.write_text(json.dumps(config | {"network": lacking}))
        with pytest.raises(ValueError, match=rf"config\.json lacks {key} of the network"):
            load_model(folder)


def test_weights_that_overflow_are_named(folder: Path) -> None:
    (folder / CALIBRATION).unlink()
    change(folder / WEIGHTS, lambda t: {k: v * 1e30 for k, v in t.items()})
    for name in ("born_charges", "dielectric_tensor"):
        with pytest.raises(FloatingPointError, match="not finite: its weights are damaged"):
            EquivarCalculator(model=folder).get_property(name, triclinic())


def test_a_network_that_diverged_is_not_saved(tmp_path: Path) -> None:
    network = make(GATED)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"cannot be saved: the weights .* are not finite"):
        save_model(network, tmp_path / "model")
    assert not (tmp_path / "model").exists()
