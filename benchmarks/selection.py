"""Whether ``ase-equivar select`` chooses better frames to label than chance does: ZrO2, SiO2.

    python benchmarks/selection.py    # trains what is missing, prints the table

`universal` saw neither of the two in training. ZrO2: 30 frames of Born charges by VASP (47 to 96
atoms, 22 frames lack one O, volumes from 10.7 to 15.9 Å³ per atom); every fifth is test, the
others are to choose from. SiO2: a trajectory at 300 and 600 K by Quantum ESPRESSO, of 201 frames
every fifth to choose from, and every twentieth from the third on for the test. SIZE frames are for
training, as `select` chooses them or drawn at random. Runs take the same steps with the settings of
``ase-equivar finetune``, except for the average of the weights, which so few steps make shorter.
Runs go to runs/selection and resume.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ase_equivar.inference.models import load_model
from ase_equivar.io.structure_files import read_images
from ase_equivar.training.comparison import compare
from ase_equivar.training.config import TrainingConfig, read_config
from ase_equivar.training.data import read_frames
from ase_equivar.training.evaluate import evaluate
from ase_equivar.training.finetuning import FIT
from ase_equivar.training.fit import fit
from ase_equivar.training.sections import DataConfig, FitConfig
from ase_equivar.training.selection import choose

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "trajectories"
RUNS = ROOT / "runs" / "selection"
# what is to choose from, and what is test
PARTS = {
    "ZrO2": (lambda number: number % 5 != 0, lambda number: number % 5 == 0),
    "SiO2": (lambda number: number % 5 == 0, lambda number: number % 20 == 2),
}
SIZE = 6
STEPS = 150
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
    logging.basicConfig(level=logging.WARNING)
    print("| material | choice | frames | seed of training | Z* MAE (e) |\n|---|---|---|---|---|")
    for material, (is_pool, is_test) in PARTS.items():
        runs = RUNS / material
        runs.mkdir(parents=True, exist_ok=True)
        file = f"{DATA}/{material}.extxyz.gz"
        pool = [atoms for number, atoms in enumerate(read_images(file)) if is_pool(number)]
        labelled, _ = read_frames([file], LABELS)
        test = [frame for number, frame in enumerate(labelled) if is_test(number)]
        before = evaluate(compare(load_model("universal"), test)).born.mae
        print(f"| {material} | none: universal as it is | | | {before:.4f} |", flush=True)
        for kind, draw, seed in PLAN:
            chosen = chosen_frames(kind, draw, pool, runs)
            config = run(runs / f"{kind}_{draw}_{seed}", [pool[index] for index in chosen], seed)
            if not (Path(config.output) / "weights.safetensors").is_file():
                fit(config, progress=False)
            error = evaluate(compare(load_model(config.output), test)).born.mae
            names = ", ".join(map(str, sorted(chosen)))
            print(f"| {material} | {kind} {draw} | {names} | {seed} | {error:.4f} |", flush=True)
    print(f"CPU: {sum(os.times()[:2]):.0f} s")


def chosen_frames(kind: str, draw: int, pool: list[Atoms], runs: Path) -> list[int]:
    """Return indices of SIZE frames of the pool."""
    if kind == "random":
        return np.random.default_rng(draw).permutation(len(pool))[:SIZE].tolist()
    file = runs / "chosen.txt"
    if not file.is_file():
        choices = choose("universal", pool, SIZE)
        file.write_text("\n".join(f"{one.index} {one.reason(range(99))}" for one in choices))
    return [int(line.split()[0]) for line in file.read_text().splitlines()]


def run(output: Path, frames: list[Atoms], seed: int) -> TrainingConfig:
    """Describe one run."""
    file = output.with_suffix(".extxyz")
    ase.io.write(file, frames, format="extxyz")
    recipe = read_config(ROOT / "models" / "universal-ensemble" / "light.yaml")
    settings = {**FIT, "averaging": 0.96, "seed": seed}
    return replace(
        recipe,
        output=str(output),
        start="universal",
        network=None,
        data=replace(LABELS, train=(str(file),), valid=(str(file),)),
        fit=FitConfig(epochs=STEPS // SIZE, **settings),
        about={},
    )


if __name__ == "__main__":
    main()
