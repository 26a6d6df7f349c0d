"""What each choice in the universal model is worth: one change at a time, chosen by `valid`.

    python benchmarks/study.py              # trains what is missing, then prints the table
    python benchmarks/study.py --only base dropout-0   # some of the rows

Every row trains the first universal model's recipe (that of models/universal/training.yaml with
BASE) for 15 epochs with one change, and keeps its files in runs/study/NAME: a stopped study goes on
where it was. Only the validation part of the data is looked at.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase_equivar.inference.model_files import read_metadata
from ase_equivar.inference.models import load_model
from ase_equivar.training.comparison import compare
from ase_equivar.training.config import TrainingConfig, read_training_config
from ase_equivar.training.curve import learning_curve
from ase_equivar.training.data import read_frames
from ase_equivar.training.evaluate import evaluate
from ase_equivar.training.fit import fit

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "models" / "universal-ensemble" / "light.yaml"
RUNS = ROOT / "runs" / "study"
EPOCHS = 15

# what the first universal model had, and the present one has not, because of this study
BASE: tuple[dict[str, Any], dict[str, Any]] = (
    {"interactions": 3},
    {"batch_size": 16, "loss": "mae", "element_start": "random"},
)
# name: (changes of the network, changes of the fit)
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "base": ({}, {}),
    "dropout 0": ({}, {"dropout": 0.0}),
    "dropout 0.3": ({}, {"dropout": 0.3}),
    "32 channels": ({"channels": 32}, {}),
    "cutoff 4 Å": ({"cutoff": 4.0, "mean_neighbors": 17.0}, {}),
    "cutoff 6 Å": ({"cutoff": 6.0, "mean_neighbors": 59.0}, {}),
    "2 interactions": ({"interactions": 2}, {}),
    "4 interactions": ({"interactions": 4}, {}),
    "128 channels": ({"channels": 128}, {}),
    "degrees up to 3": ({"irreps": ("0e", "1o", "2e", "3o"), "l_max": 3}, {}),
    "harmonics up to 4": ({"l_max": 4}, {}),
    "pseudovectors (1e) inside": ({"irreps": ("0e", "1o", "2e", "1e")}, {}),
    "batches of 8": ({}, {"batch_size": 8}),
    "batches of 4": ({}, {"batch_size": 4}),
    "norm of the tensor": ({}, {"loss": "norm"}),
    "elements as in the periodic table": ({}, {"element_start": "chemistry"}),
    "rate 2e-3": ({}, {"learning_rate": 2e-3}),
    "no weight decay": ({}, {"weight_decay": 0.0}),
    "violation not penalized": ({}, {"violation_weight": 0.0}),
    "no ε∞": ({"dielectric": False}, {"dielectric_weight": 0.0}),
}


def row_config(name: str) -> TrainingConfig:
    """Recipe with the one change of this row."""
    recipe = read_training_config(RECIPE)
    network, changes = ROWS[name]
    return replace(
        recipe,
        output=str(RUNS / folder_name(name)),
        network={**(recipe.network or {}), **BASE[0], **network},
        fit=replace(recipe.fit, epochs=EPOCHS, **{**BASE[1], **changes}),
    )


def folder_name(name: str) -> str:
    """Name of a row as a folder."""
    return name.replace(" ", "-").replace("ε∞", "eps").replace("Å", "A")


def main() -> None:
    """Train the missing rows, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=list(ROWS), metavar="ROW")
    for name in parser.parse_args().only:
        config = row_config(name)
        if not (Path(config.output) / "weights.safetensors").is_file():
            print(f"training: {name}", flush=True)
            fit(config, progress=False)
    recipe = read_training_config(RECIPE)
    frames, _ = read_frames(recipe.data.valid, recipe.data)
    print("| change | parameters | Z* MAE (e) | diagonal | off-diagonal | violation (e/cell) "
          "| ε∞ trace | training MAE | s/epoch |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for name in ROWS:
        folder = RUNS / folder_name(name)
        if not (folder / "weights.safetensors").is_file():
            continue
        network = load_model(folder)
        found = evaluate(compare(network, frames))
        dielectric = found.dielectric
        trace = f"{100 * dielectric.median_relative_trace:.1f} %" if dielectric else "–"
        cells = [
            name,
            f"{sum(p.numel() for p in network.parameters())}",
            f"{found.born.mae:.4f}",
            f"{found.born.diagonal_mae:.4f}",
            f"{found.born.off_diagonal_mae:.4f}",
            f"{found.raw_violation:.2f}",
            trace,
            f"{learning_curve(folder)[-1]['train_mae']:.4f}",
            f"{read_metadata(folder)['training_seconds'] / EPOCHS:.0f}",
        ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
