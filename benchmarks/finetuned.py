"""Errors of the bundled models for one material, and of `universal` beside them.

python benchmarks/finetuned.py
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

from ase.io import read

from ase_equivar import EquivarCalculator, SumRuleWarning
from ase_equivar.inference.model_files import read_metadata
from ase_equivar.inference.models import load_model
from ase_equivar.training.comparison import compare
from ase_equivar.training.data import read_frames
from ase_equivar.training.evaluate import Evaluation, evaluate
from ase_equivar.training.sections import DataConfig

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "trajectories"
MODELS = {"sio2": "SiO2", "batio3": "BaTiO3"}


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", SumRuleWarning)  # of `universal`, in frames far from its own
    print(
        "| model | training frames | Z* MAE of test frames (e) | of all frames | "
        "universal, test frames | ε∞ MAE of test frames | universal, test frames | "
        "ms/atom | universal, ms/atom | seconds of training |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for model, material in MODELS.items():
        metadata = read_metadata(model)
        test, everything, before = (
            _errors(name, f"{DATA / material}.extxyz.gz@{part}")
            for name, part in ((model, "::5"), (model, ":"), ("universal", "::5"))
        )
        cells = [
            model,
            metadata["n_train"],
            *(f"{found.born.mae:.4f}" for found in (test, everything, before)),
            *(f"{_dielectric_mae(found):.4f}" for found in (test, before)),
            *(f"{_milliseconds(name, material):.2f}" for name in (model, "universal")),
            metadata["training_seconds"],
        ]
        print("| " + " | ".join(map(str, cells)) + " |")


def _errors(model: str, file: str) -> Evaluation:
    labels = DataConfig((), (), dielectric=None, polarizability="polarizability")
    frames, _ = read_frames([file], labels)
    return evaluate(compare(load_model(model), frames))


def _milliseconds(model: str, material: str) -> float:
    """Time per atom of one frame after the other, from Atoms to neutral Z* and ε∞."""
    first, *frames = read(f"{DATA / material}.extxyz.gz", ":8")
    calculator = EquivarCalculator(model=model)
    calculator.get_property("born_charges", first)  # compiles kernels
    start = time.perf_counter()
    for atoms in frames:
        calculator.get_property("born_charges", atoms)
    return 1e3 * (time.perf_counter() - start) / sum(map(len, frames))


def _dielectric_mae(found: Evaluation) -> float:
    assert found.dielectric is not None  # both have ε∞
    return found.dielectric.moderate_mae


if __name__ == "__main__":
    main()
