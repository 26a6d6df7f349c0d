"""The data of a run: frames and their graphs, stored once in its folder for all its processes."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase_equivar.network import Network
from ase_equivar.training.config import TrainingConfig
from ase_equivar.training.data import LabelledFrame
from ase_equivar.training.distillation import pseudo_labelled_frames
from ase_equivar.training.examples import StoredExamples, store_examples
from ase_equivar.training.label_summary import summarize
from ase_equivar.training.processes import n_processes
from ase_equivar.training.stored_frames import StoredFrames, store_frames

logger = logging.getLogger(__name__)

FOLDER = "training_data"  # in that of the model, until it is finished
TRAIN_FRAMES, VALID_FRAMES = "train_frames", "valid_frames"
TRAIN_GRAPHS, VALID_GRAPHS = "train_graphs", "valid_graphs"
PSEUDO_LABELLED_GRAPHS = "pseudo_labelled_graphs"


@dataclass(frozen=True)
class RunExamples:
    """The graphs and labels of a run; `pseudo_labelled` is None without a teacher."""

    train: StoredExamples
    valid: StoredExamples
    pseudo_labelled: StoredExamples | None


def store_all_frames(config: TrainingConfig, *, progress: bool) -> None:
    """Parse and check the frames of a run, unless this was done before.

    Raises
    ------
    ValueError
        As `data.read_frames`.
    """
    folder = Path(config.output) / FOLDER
    for name, files in ((TRAIN_FRAMES, config.data.train), (VALID_FRAMES, config.data.valid)):
        store_frames(folder / name, files, config.data, progress=progress)


def check_validation(config: TrainingConfig) -> None:
    """Refuse too few frames for validation."""
    folder = Path(config.output) / FOLDER
    n_valid, n_known = len(StoredFrames(folder / VALID_FRAMES)), len(stored_frames(config)[1])
    if n_known < n_valid:
        logger.warning(
            "%d validation frames have elements that no training frame has and are not used",
            n_valid - n_known,
        )
    if not n_known:
        raise ValueError("no validation frame is left; give some with the elements in data.train")
    if n_known < n_processes():
        raise ValueError(
            f"data.valid has {n_known} usable frames for {n_processes()} processes; give one for "
            "each, or start fewer"
        )


def stored_frames(config: TrainingConfig) -> tuple[StoredFrames, StoredFrames]:
    """Return the frames for training, and those for validation that have their elements only."""
    folder = Path(config.output) / FOLDER
    train = StoredFrames(folder / TRAIN_FRAMES)
    return train, StoredFrames(folder / VALID_FRAMES).with_elements(train.summary.elements)


def store_all_graphs(config: TrainingConfig, network: Network, *, progress: bool) -> None:
    """Build the graphs of a run from its stored frames, unless this was done before."""
    folder = Path(config.output) / FOLDER

    def store(name: str, frames: Sequence[LabelledFrame], made_from: Mapping[str, Any]) -> None:
        store_examples(folder / name, frames, network, made_from, progress=progress)

    train, valid = stored_frames(config)
    elements = list(train.summary.elements)
    store(TRAIN_GRAPHS, train, {"structures": train.summary.content})
    store(VALID_GRAPHS, valid, {"structures": valid.summary.content, "elements": elements})
    if config.teacher is not None:
        frames = pseudo_labelled_frames(config, train, progress=progress)
        store(PSEUDO_LABELLED_GRAPHS, frames, {"structures": summarize(frames).content})


def stored_examples(config: TrainingConfig) -> RunExamples:
    """Return the stored graphs and labels of a run."""
    folder = Path(config.output) / FOLDER
    return RunExamples(
        StoredExamples(folder / TRAIN_GRAPHS),
        StoredExamples(folder / VALID_GRAPHS),
        None if config.teacher is None else StoredExamples(folder / PSEUDO_LABELLED_GRAPHS),
    )


def remove(config: TrainingConfig) -> None:
    """Remove the data of a finished run, which nothing will read again."""
    shutil.rmtree(Path(config.output) / FOLDER, ignore_errors=True)
