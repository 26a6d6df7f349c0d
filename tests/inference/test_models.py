"""Models on disk: round trip, and what is said when something is wrong with them."""

import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import structures
from helpers.calibrations import save_calibration
from helpers.paths import REPOSITORY

from ase_equivar import EquivarCalculator
from ase_equivar.graph import build_graph
from ase_equivar.inference import model_files
from ase_equivar.inference import models as weights
from ase_equivar.network import build_network


def small_network() -> torch.nn.Module:
    torch.manual_seed(4)
    network = build_network(
        {
            "architecture": "gated",
            "elements": [8, 11, 12, 17],
            "cutoff": 4.0,
            "channels": 4,
            "interactions": 2,
            "embedding": 4,
            "radial_hidden": 8,
        }
    )
    return network.to(torch.float32)


@pytest.fixture
def saved(tmp_path) -> Path:
    weights.save_model(small_network(), tmp_path / "model", metadata={"seed": 4})
    return tmp_path / "model"


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_loaded_model_predicts_what_the_saved_one_did(saved):
    graph = build_graph(structures.triclinic(), 4.0)
    network = small_network().eval()
    loaded = weights.load_model(saved)
    with torch.no_grad():
        expected, found = network(graph), loaded(graph)
    torch.testing.assert_close(found.born_charges, expected.born_charges, rtol=0, atol=0)
    torch.testing.assert_close(found.dielectric, expected.dielectric, rtol=0, atol=0)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert json.loads((saved / "config.json").read_text())["metadata"] == {"seed": 4}


def global_generators() -> tuple[bytes, str, object]:
    return (
        torch.get_rng_state().numpy().tobytes(),
        str(np.random.get_state(legacy=False)),  # noqa: NPY002
        random.getstate(),
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the raw")  # random weights
def test_calculator_and_its_answers_draw_no_global_random_numbers(tmp_path):
    """A script's own random numbers do not depend on whether a calculator was made in between."""
    members = [small_network().build_config] * 2
    for config in (
        small_network().build_config,
        small_network().build_config | {"architecture": "polar"},
        {"architecture": "equivar", "embedding": 4, "radial_functions": 4, "features": 2},
        {"architecture": "ensemble", "members": members},
    ):
        folder = tmp_path / config["architecture"]
        weights.save_model(build_network(config), folder)
        atoms = structures.triclinic()
        calibrated = config["architecture"] != "equivar"
        if calibrated:
            save_calibration(folder, atoms)
        before = global_generators()
        calc = EquivarCalculator(model=folder, backend="e3nn")
        assert global_generators() == before, f"constructed: {folder.name}"
        calc.get_property("born_effective_charges", atoms)
        if calibrated:
            calc.get_property("born_charges_uncertainty", atoms)
        assert global_generators() == before, f"asked: {folder.name}"


def test_weights_can_be_read_by_whoever_can_read_the_config(saved):
    modes = {(saved / name).stat().st_mode for name in ("config.json", "weights.safetensors")}
    assert len(modes) == 1


def test_float64_on_request(saved):
    parameters = weights.load_model(saved, dtype=torch.float64).parameters()
    assert {parameter.dtype for parameter in parameters} == {torch.float64}


def test_unknown_model_lists_the_names(monkeypatch, tmp_path):
    for name in ("small", "universal"):
        weights.save_model(small_network(), tmp_path / name)
    monkeypatch.setattr(model_files, "_bundle_folder", lambda: tmp_path)
    assert model_files.available_models() == ["small", "universal"]
    assert weights.load_model("universal").cutoff == 4.0
    with pytest.raises(FileNotFoundError, match=r"no model 'univ'.*\(small, universal\)"):
        weights.load_model("univ")


def test_folder_without_weights_is_refused(saved):
    (saved / "weights.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no weights\.safetensors; a model"):
        weights.load_model(saved)


@pytest.mark.parametrize("keep", [0, 5, 1000])
def test_truncated_weights_are_refused(saved, keep):
    path = saved / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged"):
        weights.load_model(saved)


def test_weights_of_another_network_are_refused(saved):
    edit_config(saved, network=small_network().build_config | {"channels": 5})
    with pytest.raises(ValueError, match=r"does not fit the network described in config\.json"):
        weights.load_model(saved)


def test_other_format_version_is_refused(saved):
    edit_config(saved, format_version=2)
    with pytest.raises(ValueError, match="has format version 2, this ase_equivar reads 1"):
        weights.load_model(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 1}'])
def test_damaged_config_is_refused(saved, text):
    (saved / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        weights.load_model(saved)


def test_nothing_is_written_when_the_metadata_cannot_be(tmp_path):
    with pytest.raises(TypeError):
        weights.save_model(small_network(), tmp_path / "model", metadata={"data": object()})
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_wheel_carries_models_without_checkpoints_and_finds_them(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE", "ase_equivar"):
        (source / name).symlink_to(REPOSITORY / name)
    (source / "README.md").write_text("ase_equivar\n")
    weights.save_model(small_network(), source / "models/tiny")
    (source / "models/tiny/CARD.md").write_text("tiny\n")
    (source / "models/tiny/last.ckpt").write_text("a checkpoint\n")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    models = sorted(name for name in names if "models/" in name)
    assert models == [
        f"ase_equivar/models/tiny/{name}"
        for name in ("CARD.md", "config.json", "weights.safetensors")
    ]
    assert "ase_equivar/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ase_equivar"}
    script = (
        "import ase_equivar; from ase_equivar import available_models, load_model;"
        "print(ase_equivar.__file__, *available_models(), load_model('tiny').cutoff)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.split() == [str(tmp_path / "site/ase_equivar/__init__.py"), "tiny", "4.0"]


def test_a_name_that_no_file_system_takes() -> None:
    with pytest.raises(FileNotFoundError, match="no model 'xxx"):
        weights.load_model("x" * 300)
