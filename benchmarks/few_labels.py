"""How many labelled frames a material takes: ZrO2, from the universal model and from scratch.

    python benchmarks/few_labels.py    # trains what is missing, prints the table, draws the picture

30 frames of Born charges by VASP (47 to 96 atoms, 22 frames lack one O): every fifth is test, the
first 3, 6, 12 or 24 of the others, in a fixed random order, are for training. All runs take the
same number of steps and the fine-tuning recipe of ``ase-equivar finetune``; nothing is chosen by
the test frames. Runs go to runs/few_labels and resume; the picture is
docs/developer/few_labels.png.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from matplotlib.figure import Figure

from ase_equivar.inference.models import load_model
from ase_equivar.io.structure_files import read_images
from ase_equivar.training.comparison import compare
from ase_equivar.training.config import TrainingConfig, read_training_config
from ase_equivar.training.data import read_frames
from ase_equivar.training.evaluate import evaluate
from ase_equivar.training.finetuning import FIT
from ase_equivar.training.fit import fit
from ase_equivar.training.sections import DataConfig, FitConfig

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "trajectories" / "ZrO2.extxyz.gz"
RUNS = ROOT / "runs" / "few_labels"
PICTURE = ROOT / "docs" / "developer" / "few_labels.png"
STEPS = 1200
SIZES = (3, 6, 12, 24)
TICKS = (0.04, 0.06, 0.08, 0.1, 0.12)
LABELS: dict[str, Any] = {"dielectric": None}


def main() -> None:
    """Train, print, draw."""
    logging.basicConfig(level=logging.WARNING)
    RUNS.mkdir(parents=True, exist_ok=True)
    frames = read_images(DATA)
    rest = [frame for number, frame in enumerate(frames) if number % 5]
    order = np.random.default_rng(0).permutation(len(rest))
    test, _ = read_frames([f"{DATA}@::5"], DataConfig((), (), **LABELS))
    universal = evaluate(compare(load_model("universal"), test)).born.mae
    found: dict[str, list[float]] = {"from universal": [], "from scratch": []}
    for size in SIZES:
        file = RUNS / f"train_{size}.extxyz"
        ase.io.write(file, [rest[number] for number in order[:size]], format="extxyz")
        for start in found:
            config = run(start, file, size)
            if not (Path(config.output) / "weights.safetensors").is_file():
                print(f"training: {size} frames, {start}", flush=True)
                fit(config, progress=False)
            errors = evaluate(compare(load_model(config.output), test))
            found[start].append(errors.born.mae)
    print("| training frames | " + " | ".join(f"{start}, Z* MAE (e)" for start in found) + " |")
    print("|---|---|---|")
    print(f"| 0 | {universal:.4f} | |")
    for number, size in enumerate(SIZES):
        print(f"| {size} | " + " | ".join(f"{row[number]:.4f}" for row in found.values()) + " |")
    draw(found, universal)


def run(start: str, file: Path, size: int) -> TrainingConfig:
    """Describe one run: its start, and frames to learn."""
    recipe = read_training_config(ROOT / "models" / "universal-ensemble" / "light.yaml")
    fine = start == "from universal"
    settings: dict[str, Any] = FIT if fine else {**FIT, "learning_rate": 4e-3}
    return replace(
        recipe,
        output=str(RUNS / f"{start.replace(' ', '_')}_{size}"),
        start="universal" if fine else None,
        network=None if fine else recipe.network,
        data=DataConfig((str(file),), (str(file),), **LABELS),
        fit=FitConfig(epochs=STEPS // size, **settings),
        about={},
    )


def draw(found: dict[str, list[float]], universal: float) -> None:
    """Draw errors against the number of frames."""
    figure = Figure(figsize=(5.2, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    for (start, errors), color in zip(found.items(), ("#c0392b", "#2c6fa8"), strict=True):
        axes.loglog(SIZES, errors, "o-", color=color)
        axes.annotate(
            start, (SIZES[-1], errors[-1]), xytext=(8, 0), textcoords="offset points",
            color=color, va="center", annotation_clip=False,
        )  # fmt: skip
    axes.axhline(universal, color="0.6", linewidth=0.8)
    axes.annotate("universal as it is", (SIZES[0], universal), xytext=(0, 3),
                  textcoords="offset points", color="0.4")  # fmt: skip
    axes.set_xticks(SIZES, [str(size) for size in SIZES], minor=False)
    axes.set_yticks(TICKS, [str(tick) for tick in TICKS])
    axes.minorticks_off()
    axes.set(
        xlabel="labelled frames of ZrO₂", ylabel="mean absolute error of Z*, e", xlim=(2.7, 70)
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
