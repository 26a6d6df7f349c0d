"""Training configurations: what is wrong is said before any work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from helpers.paths import CRYSTALS, REPOSITORY, SIO2
from helpers.training_runs import NETWORK, labelled, write

from ase_equivar.io.file_selection import split_selection
from ase_equivar.training.config import read_training_config
from ase_equivar.training.data import read_frames

MODELS = REPOSITORY / "models"
DATA = (  # what the recipes may name: whole sets, of which tests/data holds slices
    *(f"crystals/{part}" for part in ("train", "valid", "test")),
    *(f"dielectric/{name}" for name in ("naccarato2019", "petousis2017")),
    *(f"trajectories/{name}" for name in ("SiO2", "BaTiO3", "ZrO2")),
)

FILES = {"train": "train.extxyz", "valid": "train.extxyz"}


@pytest.mark.parametrize(
    ("name", "path", "selection"),
    [
        ("x.extxyz", "x.extxyz", ":"),
        ("x.extxyz@::5", "x.extxyz", "::5"),
        ("x.extxyz@-1", "x.extxyz", "-1"),
        ("me@home/x.extxyz@1:-3:2", "me@home/x.extxyz", "1:-3:2"),
        ("me@home/x.extxyz", "me@home/x.extxyz", ":"),
        ("me@12th/x@b.extxyz", "me@12th/x@b.extxyz", ":"),
    ],
)
def test_selection_is_what_follows_the_last_at_sign(name: str, path: str, selection: str) -> None:
    assert split_selection(name) == (path, selection)


def test_folder_with_an_at_sign(tmp_path: Path) -> None:
    folder = tmp_path / "me@home"
    folder.mkdir()
    file = write(folder / "train.extxyz", labelled(4))
    content = {
        "output": "model",
        "data": {"train": "train.extxyz@::2", "valid": "train.extxyz"},
        "network": NETWORK,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(content))
    config = read_training_config(folder / "run.yaml")
    assert [len(read_frames(part, config.data)[0]) for part in (config.data.train, [file])] == [
        2,
        4,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": {}}, "has no entry optimizer; known are about, data, fit"),
        ({"output": None}, "lacks output"),
        ({"output": 3}, "output is 3; it must name a folder"),
        ({"network": None}, "either network, to train from scratch, or start, to fine-tune"),
        ({"start": "universal"}, "either network, .* or start"),
        ({"fit": {"epoch": 3}}, "fit has no entry epoch; known are .*epochs"),
        ({"fit": {"epochs": "many"}}, "fit.epochs must be a number like 60, not 'many'"),
        ({"fit": {"loss": "mse"}}, "fit.loss is 'mse'; give mae or norm"),
        (
            {"fit": {"element_start": "zero"}},
            "fit.element_start is 'zero'; give chemistry or random",
        ),
        ({"data": {"train": "train.extxyz"}}, "data lacks valid"),
        (
            {"data": {"train": "train.extxyz", "valid": "no.xyz"}},
            "data.valid: there is no file .*no.xyz",
        ),
        ({"data": {"train": [], "valid": "train.extxyz"}}, "data.train is .*must name one file"),
        ({"data": ["train.extxyz"]}, "data is .'train.extxyz'.; it must be a mapping"),
        (
            {"data": {"train": "train.extxyz", "valid": "train.extxyz", "order": "vasp"}},
            "data.order is 'vasp'; give field-first or displacement-first",
        ),
        ({"fit": {"epochs": 0}}, "fit.epochs is 0; give a whole number from 1 on"),
        ({"fit": {"epochs": -1}}, "fit.epochs is -1; give a whole number from 1 on"),
        ({"fit": {"batch_size": 0}}, "fit.batch_size is 0; give a whole number from 1 on"),
        ({"fit": {"dropout": 1.0}}, "fit.dropout is 1.0; it must be from 0 to below 1"),
        ({"fit": {"weight_decay": -0.1}}, "fit.weight_decay is -0.1; give 0 or a positive number"),
        ({"network": {**NETWORK, "channels": 0}}, "network.channels is 0; it must be above 0"),
        (
            {"network": {**NETWORK, "cutoff": "5 A"}},
            "network: cutoff is '5 A'; give a positive",
        ),
        ({"network": {**NETWORK, "cutoff": float("nan")}}, "network: cutoff is nan"),
        ({"network": {**NETWORK, "cutoff": float("inf")}}, "network: cutoff is inf"),
        ({"network": {**NETWORK, "interactions": 10**9}}, "network: interactions is 1000000000;"),
        ({"network": {**NETWORK, "channels": 10**9}}, "channels is 1000000000; .* to 4096"),
        (
            {"network": {"architecture": "equivar", "interactions": 10**9}},
            "network: interactions is 1000000000; give a whole number from 1 to 64",
        ),
        ({"fit": {"learning_rate": float("nan")}}, "fit.learning_rate is nan; give a positive"),
        ({"fit": {"dropout": float("nan")}}, "fit.dropout is nan; give a finite"),
        (
            {"data": {**FILES, "max_asymmetry": float("nan")}},
            "data.max_asymmetry is nan; give 0 or a positive number of e",
        ),
        (
            {"data": {**FILES, "max_sum_rule_violation": -0.5}},
            "data.max_sum_rule_violation is -0.5",
        ),
        ({"network": {**NETWORK, "chanels": 4}}, "network: the 'gated' network has no chanels"),
        ({"start": "universal"}, "together with start, network may only be {architecture: polar}"),
        ({"network": None, "start": "univers"}, "no model 'univers': neither a folder nor"),
    ],
)
def test_wrong_configuration(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write(tmp_path / "train.extxyz", labelled(1))
    content: dict[str, object] = {
        "output": "model",
        "data": {"train": "train.extxyz", "valid": "train.extxyz"},
        "network": NETWORK,
    }
    content.update(change)
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_training_config(file)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted(MODELS.glob("*/*.yaml")), ids=lambda p: p.parent.name)
def test_recipes_of_the_bundled_models_are_sound(recipe: Path, tmp_path: Path) -> None:
    for name in DATA:
        file = tmp_path / f"shared/data/{name}.extxyz.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SIO2 if name.startswith("trajectories") else CRYSTALS, file)
    shutil.copytree(MODELS / "data", tmp_path / "checkout/models/data")
    copy = tmp_path / "checkout/models" / recipe.parent.name / recipe.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(recipe.read_bytes())
    start = yaml.safe_load(recipe.read_text(encoding="utf-8")).get("start", "")
    if start.startswith(".."):  # what an earlier step has made, another recipe beside this one
        (made,) = [
            one for one in recipe.parent.glob("*.yaml") if f"output: {start}\n" in one.read_text()
        ]
        assert made != recipe
        shutil.copytree(MODELS / "universal", copy.parent / start)
    for file in read_training_config(copy).data.train:  # nothing of the test parts
        path, selection = split_selection(file)
        assert path.endswith("train.extxyz.gz") or selection in (
            "1::5",
            "2::5",
            "3::5",
            "4::5",
            "4::10",
        )
