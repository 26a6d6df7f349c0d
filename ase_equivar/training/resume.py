"""Continuing an interrupted run, which requires the settings and inputs of its start."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch

from ase_equivar import __version__
from ase_equivar.inference.model_files import weights_digest
from ase_equivar.io.resumed import differences
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.config_paths import with_paths
from ase_equivar.training.label_summary import LabelSummary

CHECKPOINT = Path("checkpoints") / "last.ckpt"


def portable(config: TrainingConfig) -> dict[str, Any]:
    """Return the configuration with paths relative to the model's folder, valid on any machine."""
    content = with_paths(
        dataclasses.asdict(config),
        lambda path: os.path.relpath(path, config.output),
        lambda model: Path(model).is_absolute(),
    )
    return {**content, "output": "."}


def settings(config: TrainingConfig) -> dict[str, Any]:
    """All settings that affect the weights, as ``section.entry``; the texts of the card do not."""
    content = portable(config)
    flat = {"start": content["start"]}
    for section in ("data", "network", "fit", "teacher"):
        flat |= {f"{section}.{name}": value for name, value in (content[section] or {}).items()}
    return flat


def inputs(config: TrainingConfig, train: LabelSummary, valid: LabelSummary) -> dict[str, Any]:
    """Return the inputs of a run: the contents of files, not their names, and the version."""
    models = {"start": config.start, "teacher": config.teacher and config.teacher.model}
    return {
        "ase_equivar": __version__,
        "number": train.number,
        "elements": list(train.elements),
        "structures and labels": train.content,
        "those of validation": valid.content,  # the learning curve is of one set
        **{f"{name} weights": weights_digest(model) for name, model in models.items() if model},
    }


def last_state(output: str | Path) -> dict[str, Any] | None:
    """Read the last checkpoint of a run, or None if there is none yet.

    Only tensors, numbers and text are loaded: no code in a folder from elsewhere is run.

    Raises
    ------
    ValueError
        If the file is damaged, or holds other objects.
    """
    file = Path(output) / CHECKPOINT
    if not file.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises many kinds of errors on a damaged file
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{file} is damaged, or holds more than numbers and text, so it is not loaded "
            f"({reason}); delete it to start anew"
        ) from error
    return state


def is_finished(state: dict[str, Any], config: TrainingConfig) -> bool:
    """Whether the last epoch of a run is complete."""
    return bool(state["epoch"] + 1 >= config.fit.epochs)


def refuse_others(
    state: dict[str, Any], kind: str, now: dict[str, Any], config: TrainingConfig
) -> None:
    """Refuse to continue a run that was started with other settings or inputs.

    Parameters
    ----------
    state : dict
        State of the checkpoint.
    kind : str
        "settings" or "inputs", as stored in the checkpoint.
    now : dict
        Those of the requested run.
    config : TrainingConfig
        Configuration of the requested run.

    Raises
    ------
    ValueError
        If they differ or the checkpoint does not contain them; the message says what to do.
    """
    if kind not in state:
        raise ValueError(
            f"{Path(config.output) / CHECKPOINT} does not record its {kind} (an earlier version "
            "did not store them); give another output, or delete it to start anew"
        )
    then: dict[str, Any] = state[kind]
    differing = differences(then, now)
    if not differing:
        return
    note = ""
    if any(text.startswith("fit.epochs ") for text in differing):
        note = " (a run cannot be lengthened: the learning rate falls to zero by its last epoch)"
    raise ValueError(
        f"{config.output} holds a run that was started with other {kind}: {'; '.join(differing)}"
        f"{note}. Give another output, or delete {Path(config.output) / CHECKPOINT} to start anew"
    )
