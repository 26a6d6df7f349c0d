"""The training run itself: Lightning does loops, checkpoints, averaging and several processes."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import time
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torchmetrics import MeanMetric

from ase_equivar.network import GatedNetwork, Network, build_network
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.curve import LOGS
from ase_equivar.training.data import Batch, LabelledFrame, elements_of, make_loader, read_frames
from ase_equivar.training.finetuning import adapted
from ase_equivar.training.objective import Errors, errors, start_from_labels
from ase_equivar.weights import load_model, save_model

logger = logging.getLogger(__name__)

LAST_CHECKPOINT = "last.ckpt"
ERRORS = ("mae", "violation", "log_eps")


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
        # means over all batches and processes, each by what it is a mean of
        self.means = nn.ModuleDict(
            {f"{split}_{name}": MeanMetric() for split in ("train", "valid") for name in ERRORS}
        )
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
        found = errors(self.network, batch, self.config.fit.loss)
        self._log_errors("train", found)
        return found.total(self.config.fit, self._shares(found.counts))

    def _shares(self, counts: Tensor) -> Tensor | None:
        """Weigh a process by what is in its batch: DDP takes the plain mean of gradients."""
        n_processes = self.trainer.world_size
        if n_processes == 1:
            return None
        everywhere = self.trainer.strategy.reduce(counts.clone(), reduce_op="sum")
        return counts * n_processes / everywhere.clamp(min=1.0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Errors of the averaged weights."""
        found = errors(self.network, batch)
        self._log_errors("valid", found)

    def _log_errors(self, split: str, found: Errors) -> None:
        values = (found.neutral, found.violation, found.log_dielectric)
        for name, value, count in zip(ERRORS, values, found.counts, strict=True):
            mean = self.means[f"{split}_{name}"]
            assert isinstance(mean, MeanMetric)  # a ModuleDict tells mypy less
            mean.update(value.detach(), count)
            self.log(f"{split}_{name}", mean, on_epoch=True, on_step=False, prog_bar=name == "mae")

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
    if config.fit.batch_size % n_processes:
        raise ValueError(
            f"fit.batch_size is {config.fit.batch_size}, which {n_processes} processes cannot "
            "share evenly; give a multiple of their number"
        )
    per_process = config.fit.batch_size // n_processes
    trainer = pl.Trainer(
        default_root_dir=output,
        max_epochs=config.fit.epochs,
        accelerator="auto",
        **_processes(),
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


def _load_averaged(network: Network, checkpoint: Path) -> None:
    """Take the averaged weights: in a checkpoint they are the state of the module."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    prefix = "network."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items()})


def _first_network(config: TrainingConfig, train: list[LabelledFrame]) -> Network:
    """Make a network for the training data, or take the one to fine-tune."""
    elements = elements_of(train)
    if config.start is not None:
        labelled = any(frame.dielectric is not None for frame in train)
        return adapted(load_model(config.start), elements, config.start, dielectric=labelled)
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


def _processes() -> dict[str, Any]:
    """Lightning's settings for the processes that ``torchrun`` has started, if it has."""
    total = int(os.environ.get("WORLD_SIZE", "1"))
    if total == 1:
        return {"devices": 1}
    here = int(os.environ.get("LOCAL_WORLD_SIZE", total))
    # a batch without labels of ε∞ leaves that head without a gradient
    strategy = "ddp_find_unused_parameters_true"
    return {"devices": here, "num_nodes": total // here, "strategy": strategy}


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
