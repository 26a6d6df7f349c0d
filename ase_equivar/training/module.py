"""The Lightning module: a network with its objective, optimizer and log."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import lightning as pl
import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from ase_equivar.network import Network
from ase_equivar.training.batches import Batch, BatchOrder
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.objective import Errors, errors
from ase_equivar.training.resume import settings

ERRORS = ("mae", "violation", "log_eps")


class TrainingModule(pl.LightningModule):
    """A network with its objective and optimizer.

    Parameters
    ----------
    network : torch.nn.Module
        As returned by `build_network`.
    config : TrainingConfig
    inputs : dict
        Inputs that a later session must have as well; see `resume.inputs`.
    """

    def __init__(self, network: Network, config: TrainingConfig, inputs: dict[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.inputs = inputs
        # means over all batches and processes, weighted by their counts
        self.means = nn.ModuleDict(
            {f"{split}_{name}": MeanMetric() for split in ("train", "valid") for name in ERRORS}
        )
        self.seconds = 0.0  # training time of all sessions of this run
        self._epoch_started = 0.0

    def on_train_epoch_start(self) -> None:
        """Start the timer; random numbers depend on the epoch, not on earlier sessions."""
        numbers = np.random.SeedSequence(
            [self.config.fit.seed, self.current_epoch, self.global_rank]
        )
        torch.manual_seed(int(numbers.generate_state(1)[0]))
        self._epoch_started = time.monotonic()

    def on_train_epoch_end(self) -> None:
        """Stop the timer; the checkpoint is written after this."""
        self.seconds += time.monotonic() - self._epoch_started

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the time spent, and the inputs with which a later session must agree."""
        checkpoint["seconds"] = self.seconds
        checkpoint["settings"] = settings(self.config)
        checkpoint["inputs"] = self.inputs

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the time spent by earlier sessions."""
        self.seconds = checkpoint["seconds"]

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch; Lightning does not look into our dataclasses."""
        return batch.to(device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one step, and log the errors of the epoch."""
        found = errors(self.network, batch, self.config.fit.loss)
        order: BatchOrder = self.trainer.train_dataloader.sampler
        if order.is_repetition(batch_idx):
            found = replace(found, counts=torch.zeros_like(found.counts))
        self._log_errors("train", found)
        return found.total(self.config.fit, self._shares(found.counts))

    def _shares(self, counts: Tensor) -> Tensor | None:
        """Return weights by batch contents, because DDP takes the plain mean of gradients."""
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
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = one_cycle(optimizer, fit.learning_rate, steps, fit.warm_up)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def one_cycle(
    optimizer: torch.optim.Optimizer, learning_rate: float, steps: int, warm_up: float
) -> torch.optim.lr_scheduler.OneCycleLR:
    """Return a one-cycle schedule of one or more steps.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    learning_rate : float
        Largest learning rate.
    steps : int
    warm_up : float
        Fraction of the steps in which the rate increases.
    """
    steps = max(steps, 2)  # with one step, the rate would be the final one, almost zero
    if warm_up * steps == 1.0:  # torch divides by the number of increasing steps minus one
        warm_up *= 1.0 + 1e-9
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=steps, pct_start=warm_up
    )
