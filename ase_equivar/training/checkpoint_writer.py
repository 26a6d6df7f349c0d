"""Checkpoints of training, of which a kill leaves the earlier or the later one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ase_equivar.io.output_files import replacing


class CheckpointWriter(TorchCheckpointIO):
    """Writes a checkpoint beside the earlier one, which it then replaces.

    Lightning's own writes to the system's temporary folder. If that is on another file system, as
    on most clusters, the earlier checkpoint is overwritten piece by piece, and lost by a kill.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint completely or not at all."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            torch.save(checkpoint, partial)
