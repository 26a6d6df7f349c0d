"""Whether ``ase-equivar select`` chooses better frames to label than chance does.

    python benchmarks/selection.py         # trains what is missing, prints the table
    python benchmarks/selection.py LiOH    # of one material

LiOH: 60 frames of molecular dynamics at 300 and 600 K (md_frames.py), labelled by ``ase-equivar
label``; every third is test, the others are to choose from.

`universal` saw none of the three in training. ZrO2: 30 frames of Born charges by VASP (47 to 96
atoms, 22 frames lack one O, volumes from 10.7 to 15.9 Å³ per atom); every fifth is test, the
others are to choose from. SiO2: a trajectory at 300 and 600 K by Quantum ESPRESSO, of 201 frames
every fifth to choose from, and every twentieth from the third on for the test. SIZES frames are for
training, as `select` chooses them or drawn at random. Runs take the same steps with the settings of
``ase-equivar finetune``. Runs go to runs/selection and resume.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from ase_equivar.inference.models import load_model
from ase_equivar.io.structure_files import read_images
from ase_equivar.training.comparison import compare
from ase_equivar.training.config import TrainingConfig, read_training_config
from ase_equivar.training.data import read_frames
from ase_equivar.training.evaluate import evaluate
from ase_equivar.training.finetuning import FIT
from ase_equivar.training.fit import fit
from ase_equivar.training.sections import DataConfig, FitConfig
from ase_equivar.training.selection import choose

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "trajectories"
RUNS = ROOT / "runs" / "selection"
STEPS = 150


@dataclass(frozen=True)
class Material:
    """Labelled frames: which of them are to choose from and which are test; sizes of choices."""

    file: Path
    is_pool: Callable[[int], bool]
    is_test: Callable[[int], bool]
    sizes: tuple[int, ...] = (6,)


MATERIALS = {
    "LiOH": Material(
        ROOT / "models" / "data" / "lioh.extxyz.gz",
        lambda number: number % 3 != 0,
        lambda number: number % 3 == 0,
        (3, 6, 12, 24),
    ),
    "ZrO2": Material(
        DATA / "ZrO2.extxyz.gz", lambda number: number % 5 != 0, lambda number: number % 5 == 0
    ),
    "SiO2": Material(
        DATA / "SiO2.extxyz.gz", lambda number: number % 5 == 0, lambda number: number % 20 == 2
    ),
}
# kind of choice, seed of the choice at random, seed of the training
PLAN = (
    ("select", 0, 0),
    ("select", 0, 1),
    ("random", 0, 0),
    ("random", 1, 0),
    ("random", 2, 0),
    ("random", 0, 1),
)
LABELS = DataConfig((), (), dielectric=None)


def main() -> None:
    """Train, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("materials", nargs="*", help="default: all")
    names = parser.parse_args().materials or list(MATERIALS)
    if not set(names) <= set(MATERIALS):
        parser.error(f"materials are {', '.join(MATERIALS)}")
    logging.basicConfig(level=logging.WARNING)
    print("| material | choice | frames | seed of training | Z* MAE (e) |\n|---|---|---|---|---|")
    for name in names:
        _compare_choices(name, MATERIALS[name])
    print(f"CPU: {sum(os.times()[:2]):.0f} s")


def _compare_choices(name: str, material: Material) -> None:
    """Print the errors of models made with the frames of each choice."""
    images = list(read_images(material.file))
    pool = [atoms for number, atoms in enumerate(images) if material.is_pool(number)]
    labelled, _ = read_frames([str(material.file)], LABELS)
    test = [frame for number, frame in enumerate(labelled) if material.is_test(number)]
    before = evaluate(compare(load_model("universal"), test)).born.mae
    print(f"| {name} | none: universal as it is | | | {before:.4f} |", flush=True)
    for size in material.sizes:
        runs = RUNS / name / str(size)
        runs.mkdir(parents=True, exist_ok=True)
        for kind, draw, seed in PLAN:
            chosen = chosen_frames(kind, draw, pool, size, runs)
            config = run(runs / f"{kind}_{draw}_{seed}", [pool[index] for index in chosen], seed)
            if not (Path(config.output) / "weights.safetensors").is_file():
                fit(config, progress=False)
            error = evaluate(compare(load_model(config.output), test)).born.mae
            frames = ", ".join(map(str, sorted(chosen)))
            print(f"| {name} | {kind} {draw} | {frames} | {seed} | {error:.4f} |", flush=True)


def chosen_frames(kind: str, draw: int, pool: list[Atoms], size: int, runs: Path) -> list[int]:
    """Return indices of so many frames of the pool."""
    if kind == "random":
        return np.random.default_rng(draw).permutation(len(pool))[:size].tolist()
    file = runs / "chosen.txt"
    if not file.is_file():
        choices = choose("universal", pool, size)
        file.write_text("\n".join(f"{one.index} {one.reason(range(99))}" for one in choices))
    return [int(line.split()[0]) for line in file.read_text().splitlines()]


def run(output: Path, frames: list[Atoms], seed: int) -> TrainingConfig:
    """Describe one run."""
    file = output.with_suffix(".extxyz")
    ase.io.write(file, frames, format="extxyz")
    recipe = read_training_config(ROOT / "models" / "universal-ensemble" / "light.yaml")
    settings: dict[str, Any] = {**FIT, "seed": seed}
    return replace(
        recipe,
        output=str(output),
        start="universal",
        network=None,
        data=replace(LABELS, train=(str(file),), valid=(str(file),)),
        fit=FitConfig(epochs=STEPS // len(frames), **settings),
        about={},
    )


if __name__ == "__main__":
    main()
