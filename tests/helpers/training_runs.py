"""Small labelled data sets, and training runs with them."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list

from ase_equivar.training.batches import Batch
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.fit import fit
from ase_equivar.training.module import TrainingModule
from ase_equivar.training.sections import DataConfig, FitConfig
from helpers.structures import triclinic

NETWORK = {
    "architecture": "gated",
    "channels": 4,
    "radial_hidden": 4,
    "embedding": 4,
    "interactions": 2,
    "cutoff": 3.5,
}


def labelled(n: int, seed: int = 0) -> list[Atoms]:
    """Rattled low-symmetry crystals, labelled by a made-up law of bonds: neutral, asymmetric."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(n):
        atoms = triclinic()
        atoms.rattle(0.1, rng=rng)
        i, j, d, vectors = neighbor_list("ijdD", atoms, 3.5)
        bonds = np.einsum("e,ea,eb->eab", np.exp(-d) * atoms.numbers[j] / 3.0, vectors, vectors)
        charges = np.zeros((len(atoms), 3, 3))
        np.add.at(charges, i, bonds)
        turned = np.cross(charges[:, 0], charges[:, 1])  # a pseudovector, for the 1e part
        charges += 0.2 * np.cross(np.eye(3), turned[:, None, :])
        charges -= charges.mean(axis=0)
        atoms.set_array("born_charges", charges.reshape(-1, 9))
        atoms.info["electronic_dielectric_tensor"] = 2.0 * np.eye(3) + bonds.mean(axis=0)
        atoms.info["source"] = "even" if number % 2 == 0 else "odd"
        frames.append(atoms)
    return frames


def write(path: Path, frames: list[Atoms]) -> str:
    ase.io.write(path, frames, format="extxyz")
    return str(path)


def run_config(folder: Path, *, epochs: int = 2, n: int = 8) -> TrainingConfig:
    data = DataConfig(
        train=(write(folder / "train.extxyz", labelled(n)),),
        valid=(write(folder / "valid.extxyz", labelled(3, seed=1)),),
    )
    return TrainingConfig(
        output=str(folder / "model"),
        data=data,
        network=NETWORK,
        fit=FitConfig(epochs=epochs, batch_size=4),
    )


def batches(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, *stops: int) -> dict:
    """Train, stopped before the epochs `stops`; the energies of what each epoch saw, in order."""
    seen: dict[int, list[float]] = {}
    start, step = TrainingModule.on_train_epoch_start, TrainingModule.training_step
    waiting = list(stops)

    def stop_or_start(self: TrainingModule) -> None:
        if self.current_epoch in waiting:
            waiting.remove(self.current_epoch)
            raise RuntimeError("stopped here")
        start(self)

    def note(self: TrainingModule, batch: Batch, batch_idx: int) -> torch.Tensor:
        seen.setdefault(self.current_epoch, []).append(batch.born_charges[0, 0, 0].item())
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_epoch_start", stop_or_start)
        patch.setattr(TrainingModule, "training_step", note)
        for _ in stops:
            with pytest.raises(RuntimeError, match="stopped here"):
                fit(config, progress=False)
        fit(config, progress=False)
    return seen
