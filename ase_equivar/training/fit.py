"""The training run itself: Lightning does loops, checkpoints, averaging and several processes."""

from __future__ import annotations

import csv
import dataclasses
import logging
import os
import platform
import time
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from ase.data import chemical_symbols
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from ase_equivar.network import GatedNetwork, Network, build_network
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.data import Batch, LabelledFrame, elements_of, make_loader, read_frames
from ase_equivar.training.objective import Errors, errors, start_from_labels
from ase_equivar.weights import load_model, save_model

logger = logging.getLogger(__name__)

LAST_CHECKPOINT = "last.ckpt"
LOGS = "logs"


class TrainingModule(pl.LightningModule):
    """A network with its objective and optimizer.

    Parameters
    ----------
    network : torch.nn.Module
        Made by `build_network`.
    config : TrainingConfig
    """

    def __init__(self, network: Network, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.seconds = 0.0  # of training, over all sessions of this run
        self._epoch_started = 0.0

    def on_train_epoch_start(self) -> None:
        """Start the clock."""
        self._epoch_started = time.monotonic()

    def on_train_epoch_end(self) -> None:
        """Stop the clock; the checkpoint is written after this."""
        self.seconds += time.monotonic() - self._epoch_started

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent."""
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the time spent by earlier sessions."""
        self.seconds = checkpoint["seconds"]

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch; Lightning does not look into our dataclasses."""
        return batch.to(device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; logs the errors of the epoch."""
        found = errors(self.network, batch)
        self._log_errors("train", found, batch)
        return found.total(self.config.fit)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Errors of the averaged weights."""
        found = errors(self.network, batch)
        self._log_errors("valid", found, batch)

    def _log_errors(self, split: str, found: Errors, batch: Batch) -> None:
        values = {
            "mae": (found.neutral, len(batch.born_charges)),
            "violation": (found.violation, batch.graph.n_structures),
            "log_eps": (found.log_dielectric, batch.graph.n_structures),
        }
        for name, (value, weight) in values.items():
            self.log(
                f"{split}_{name}",
                value,
                on_step=False,
                on_epoch=True,
                prog_bar=name == "mae",
                batch_size=weight,
                sync_dist=True,
            )

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle rate, stepped after every batch."""
        fit = self.config.fit
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=fit.learning_rate, weight_decay=fit.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=fit.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=fit.warm_up,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def fit(config: TrainingConfig, *, progress: bool = True) -> Path:
    """Train a model, or go on where an earlier call was stopped.

    A checkpoint is written after every epoch; a killed run loses at most one.

    Parameters
    ----------
    config : TrainingConfig
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Path
        Folder of the finished model: ``config.output``.
    """
    output = Path(config.output)
    checkpoints = output / "checkpoints"
    pl.seed_everything(config.fit.seed, workers=True, verbose=False)
    train, rejected = read_frames(config.data.train, config.data)
    valid, rejected_valid = read_frames(config.data.valid, config.data)
    network = _first_network(config, train)
    if isinstance(network, GatedNetwork):
        network.set_dropout(config.fit.dropout)
    elements = network.elements
    known = [frame for frame in valid if set(elements_of([frame])) <= set(elements)]
    if len(known) < len(valid):
        logger.warning(
            "%d validation frames have elements that no training frame has, and are not used",
            len(valid) - len(known),
        )
    module = TrainingModule(network, config)
    cutoff = network.cutoff
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    per_process = max(1, config.fit.batch_size // n_processes)
    trainer = pl.Trainer(
        default_root_dir=output,
        max_epochs=config.fit.epochs,
        accelerator="auto",
        gradient_clip_val=config.fit.gradient_clip,
        logger=CSVLogger(output, name=LOGS),  # a folder per session: nothing is overwritten
        callbacks=_callbacks(config, checkpoints, progress),
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10**9,  # epoch means are what is read; rows per step are not
    )
    last = checkpoints / LAST_CHECKPOINT
    resumed = last if last.is_file() else None
    if resumed is not None:
        logger.info("going on from %s", resumed)
    trainer.fit(
        module,
        make_loader(train, cutoff, per_process, shuffle=True, seed=config.fit.seed),
        make_loader(known, cutoff, 32, shuffle=False),
        ckpt_path=resumed,
        weights_only=False,  # our own file: holds the state of optimizer and schedule
    )
    if trainer.interrupted or not trainer.is_global_zero:
        return output
    _load_averaged(network, last)
    save_model(
        network.cpu().eval(),
        output,
        metadata={
            "training": _portable(config),
            "n_train": len(train),
            "n_valid": len(known),
            "n_rejected": len(rejected) + len(rejected_valid),
            "training_seconds": round(module.seconds),
            "hardware": f"{trainer.world_size} x {_hardware()}",
        },
    )
    return output


def learning_curve(folder: str | Path) -> list[dict[str, float]]:
    """Read the logs of a run, all its sessions.

    Parameters
    ----------
    folder : str or Path
        The run's output.

    Returns
    -------
    list of dict
        One for each epoch: ``epoch``, and the errors by the names of Lightning's log
        (``train_mae``, ``valid_mae``, …).
    """
    rows: dict[int, dict[str, float]] = {}
    sessions = sorted(
        (Path(folder) / LOGS).glob("version_*/metrics.csv"),
        key=lambda file: int(file.parent.name.removeprefix("version_")),
    )
    for session in sessions:
        with session.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["epoch"]:  # else a row of the learning rate
                    values = {key: float(value) for key, value in row.items() if value}
                    rows.setdefault(int(row["epoch"]), {}).update(values)
    return [rows[epoch] for epoch in sorted(rows)]


def _load_averaged(network: Network, checkpoint: Path) -> None:
    """Take the averaged weights: in a checkpoint they are the state of the module."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    prefix = "network."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items()})


def _first_network(config: TrainingConfig, train: list[LabelledFrame]) -> Network:
    """Make a network for the training data, or take the one to fine-tune."""
    elements = elements_of(train)
    if config.start is not None:
        network = load_model(config.start).requires_grad_(True).train()
        new = sorted(set(elements) - set(network.elements))
        if new:
            raise ValueError(
                f"the model {config.start} cannot be fine-tuned for "
                f"{', '.join(chemical_symbols[z] for z in new)}: it has never seen them"
            )
        return network
    network = build_network({**(config.network or {}), "elements": elements}).float()
    start_from_labels(network, train)
    return network


def _portable(config: TrainingConfig) -> dict[str, Any]:
    """Write the configuration with paths as seen from the model's folder, for any machine."""
    content = dataclasses.asdict(config)
    for split in ("train", "valid"):
        content["data"][split] = [
            os.path.relpath(file, config.output) for file in content["data"][split]
        ]
    return {**content, "output": "."}


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)"


def _callbacks(config: TrainingConfig, folder: Path, progress: bool) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = [
        EMAWeightAveraging(decay=config.fit.averaging, use_buffers=False),
        ModelCheckpoint(
            dirpath=folder,
            filename="last",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        LearningRateMonitor("epoch"),
    ]
    if progress:
        callbacks.append(RichProgressBar())
    return callbacks
