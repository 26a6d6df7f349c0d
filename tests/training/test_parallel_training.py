"""Two processes that share a batch learn what one process learns from all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ase import Atoms
from helpers.training_runs import NETWORK, labelled, write

from ase_equivar.inference.models import load_model
from ase_equivar.training.config import read_training_config
from ase_equivar.training.curve import learning_curve
from ase_equivar.training.distillation import FOLDER
from ase_equivar.training.fit import fit
from ase_equivar.training.module import ERRORS

N_FRAMES = 7
TEACHER = {"model": "universal", "copies": 2, "batch_size": 2}


def validation_frames() -> list[Atoms]:
    """More than two batches, and an odd one left over, which is the largest: it counts once."""
    frames = labelled(65, seed=1)
    frames[0] *= (4, 1, 1)
    for frame in frames[1::2]:
        del frame.info["electronic_dielectric_tensor"]
    return frames


def config_file(folder: Path, name: str, batch_size: int, **more: object) -> Path:
    """Frames of different sizes, some without ε∞."""
    frames = labelled(N_FRAMES)
    frames[1] *= (2, 1, 1)
    frames[4] *= (1, 1, 3)
    for frame in frames[::2]:
        del frame.info["electronic_dielectric_tensor"]
    content = {
        "output": name,
        "data": {
            "train": write(folder / "train.extxyz", frames),
            "valid": write(folder / "valid.extxyz", validation_frames()),
        },
        "network": NETWORK,
        "fit": {"epochs": 4, "batch_size": batch_size},
        **more,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


# one after the other in each process, as in a script: programs take most of the time to start
TRAIN_ALL = """
import sys
from ase_equivar.cli.main import app
for file in sys.argv[1:]:
    app(["train", file, "--no-progress"], standalone_mode=False)
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Each step with the same frames in both runs; without and with a teacher.

    The last of an epoch has one frame, or two for one process and one for the other.
    """
    files, pairs = [], []
    cases: dict[str, tuple[int, dict[str, Any]]] = {
        "plain": (2, {}),
        "uneven": (4, {}),
        "taught": (2, {"teacher": TEACHER}),
    }
    for name, (size, more) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        recipe = config_file(folder, "alone", size, **more)
        alone = fit(read_training_config(recipe), progress=False)
        if more:
            shutil.copytree(alone / FOLDER, folder / "together" / FOLDER)
        files.append(str(config_file(folder, "together", size, **more)))
        pairs.append((alone, folder / "together"))
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    call += ["--no-python", sys.executable, "-c", TRAIN_ALL, *files]
    subprocess.run(call, check=True, capture_output=True, text=True)
    for alone, together in pairs:
        for one, two in zip(learning_curve(alone), learning_curve(together), strict=True):
            for name in (f"{split}_{of}" for split in ("train", "valid") for of in ERRORS):
                assert two[name] == pytest.approx(one[name], rel=1e-4)
        weights = [load_model(folder).state_dict() for folder in (alone, together)]
        for name, value in weights[0].items():
            assert torch.allclose(value, weights[1][name], rtol=1e-3, atol=1e-5), name


def test_fewer_validation_frames_than_processes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_training_config(config_file(tmp_path, "few", 70))
    monkeypatch.setenv("WORLD_SIZE", "70")
    with pytest.raises(ValueError, match=r"has 65 usable frames for 70 processes; give one"):
        fit(config, progress=False)


def test_uneven_shares_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_training_config(config_file(tmp_path, "uneven", 3))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"batch_size is 3, which 2 processes cannot share"):
        fit(config, progress=False)
