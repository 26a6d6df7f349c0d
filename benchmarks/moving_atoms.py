"""Errors of Z* where atoms move, on sets that no universal model was trained on.

    python benchmarks/moving_atoms.py [MODEL …]    # seconds

Mean absolute error over all components of Z* in e, after the sum rule is imposed, on the validation
and test parts of the crystals at rest, on trajectories of three oxides, on liquid water, on quartz
along its Raman modes, and on our own displaced structures (docs/developer/moving_atoms.md).
Structures with elements that one of the models refuses are left out for all.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_equivar.inference.models import load_model
from ase_equivar.network import Network
from ase_equivar.training.comparison import compare
from ase_equivar.training.data import LabelledFrame, read_frames
from ase_equivar.training.sections import DataConfig

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
SETS = {
    "crystals/valid": f"{DATA}/crystals/valid.extxyz.gz",
    "crystals/test": f"{DATA}/crystals/test.extxyz.gz",
    "SiO2, every 10th frame": f"{DATA}/trajectories/SiO2.extxyz.gz@::10",
    "BaTiO3, every 8th frame": f"{DATA}/trajectories/BaTiO3.extxyz.gz@::8",
    "ZrO2, every 2nd frame": f"{DATA}/trajectories/ZrO2.extxyz.gz@::2",
    "water, every 4th frame": f"{DATA}/response/water_zstar.extxyz.gz@::4",
    "displaced quartz, every 10th frame": f"{DATA}/response/quartz_raman_displaced.extxyz.gz@::10",
    "LiOH, every 4th frame": f"{ROOT}/models/data/lioh.extxyz.gz@::4",
    "displaced, `valid`": f"{ROOT}/models/data/displaced/valid.extxyz.gz",
    "displaced, `test`": f"{ROOT}/models/data/displaced/test.extxyz.gz",
}
LABELS = DataConfig((), ())


def sets() -> dict[str, list[LabelledFrame]]:
    """Return the labelled structures of each set."""
    return {name: read_frames([file], LABELS)[0] for name, file in SETS.items()}


def known(frames: list[LabelledFrame], networks: list[Network]) -> list[LabelledFrame]:
    """Return the structures of whose elements every network knows each."""

    def knows(network: Network, atoms: Atoms) -> bool:
        return set(atoms.numbers.tolist()) <= set(network.elements)

    return [f for f in frames if all(knows(network, f.atoms) for network in networks)]


def error(network: Network, frames: list[LabelledFrame]) -> float:
    """Return the mean absolute error of all components of Z*, e."""
    return float(np.abs(np.concatenate(compare(network, frames).differences)).mean())


def main(models: list[str]) -> None:
    """Print the errors of some models as a table."""
    networks = [load_model(model) for model in models]
    print("| set | structures |", " | ".join(f"`{Path(m).name}`" for m in models), "|")
    print("|---" * (2 + len(models)) + "|")
    for name, frames in sets().items():
        frames = known(frames, networks)
        numbers = " | ".join(f"{error(network, frames):.4f}" for network in networks)
        print(f"| {name} | {len(frames)} | {numbers} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["universal", "universal-polar"])
