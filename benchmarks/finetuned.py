"""Errors of the bundled models for one material: test frames, all frames, and `universal` on both.

python benchmarks/finetuned.py
"""

from __future__ import annotations

from pathlib import Path

from ase_equivar.training.comparison import compare
from ase_equivar.training.data import read_frames
from ase_equivar.training.evaluate import evaluate
from ase_equivar.training.sections import DataConfig
from ase_equivar.weights import load_model, read_metadata

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "trajectories"
MODELS = {"sio2": "SiO2", "batio3": "BaTiO3"}


def main() -> None:
    """Print the table."""
    print(
        "| model | training frames | Z* MAE of test frames (e) | of all frames | "
        "universal, test frames | seconds of training |"
    )
    print("|---|---|---|---|---|---|")
    for model, material in MODELS.items():
        metadata = read_metadata(model)
        cells = [model, str(metadata["n_train"])]
        for name, part in ((model, "::5"), (model, ":"), ("universal", "::5")):
            labels = DataConfig((), (), dielectric=None)
            frames, _ = read_frames([f"{DATA / material}.extxyz.gz@{part}"], labels)
            cells.append(f"{evaluate(compare(load_model(name), frames)).born.mae:.4f}")
        print("| " + " | ".join([*cells, str(metadata["training_seconds"])]) + " |")


if __name__ == "__main__":
    main()
