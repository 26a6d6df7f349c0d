"""The training run: Lightning handles loops, checkpoints, averaging and parallel processes."""

from __future__ import annotations

import json
import logging
import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)

from ase_equivar.inference.model_files import CONFIG_FILE, WEIGHTS_FILE, read_metadata
from ase_equivar.inference.models import load_model, save_model
from ase_equivar.io.lock import locked
from ase_equivar.io.output_files import make_folder, remove_partial
from ase_equivar.network import GatedNetwork, Network, build_network
from ase_equivar.training.batches import training_loader, validation_loader
from ase_equivar.training.checkpoint_writer import CheckpointWriter
from ase_equivar.training.chemistry import MIN_ELEMENTS, start_of_embedding
from ase_equivar.training.config import POLAR, TrainingConfig
from ase_equivar.training.curve import record_epoch
from ase_equivar.training.data import LabelledFrame, digest_of_labels, n_different
from ase_equivar.training.finetuning import adapted, refuse_ensemble
from ase_equivar.training.label_summary import LabelSummary
from ase_equivar.training.module import TrainingModule
from ase_equivar.training.objective import start_from_labels
from ase_equivar.training.processes import n_processes, once, rank
from ase_equivar.training.resume import (
    CHECKPOINT,
    inputs,
    is_finished,
    last_state,
    portable,
    refuse_others,
    settings,
)
from ase_equivar.training.run_data import (
    check_validation,
    remove,
    store_all_frames,
    store_all_graphs,
    stored_examples,
    stored_frames,
)

logger = logging.getLogger(__name__)

AVERAGES_IN_A_RUN = 10
"""How often the horizon of the average of the weights fits into a run, at least."""


def fit(config: TrainingConfig, *, progress: bool = True) -> Path:
    """Train a model, or continue an interrupted run.

    A checkpoint is written after every epoch, so a killed run loses at most one. A finished run is
    not changed.

    Parameters
    ----------
    config : TrainingConfig
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Path
        Folder of the finished model: ``config.output``.

    Raises
    ------
    ValueError
        If the output holds a run with other settings or inputs (the message says which), if labels
        are unusable, or if processes cannot share the batches.
    BlockingIOError
        If another run is using the output folder.
    """
    output = Path(config.output)
    if rank() != 0:  # the first process of a run holds the lock
        return _fit(config, progress=progress)
    make_folder(output)
    with locked(output / "training.lock", f"the training in {output}"):
        remove_partial(output / CHECKPOINT)
        return _fit(config, progress=progress)


def _fit(config: TrainingConfig, *, progress: bool) -> Path:
    """See `fit`; the folder is locked."""
    output = Path(config.output)
    batch_sizes = {"fit.batch_size": config.fit.batch_size}
    if config.teacher is not None:
        batch_sizes["teacher.batch_size"] = config.teacher.batch_size
    for name, size in batch_sizes.items():
        if size % n_processes():
            raise ValueError(
                f"{name} is {size}, which {n_processes()} processes cannot share evenly; give a "
                "multiple of their number"
            )
    state = last_state(output)
    if state is not None:
        refuse_others(state, "settings", settings(config), config)
        if is_finished(state, config) and _is_written(config):
            logger.info("this run is already finished; nothing was changed in %s", output)
            if rank() == 0:
                remove(config)  # what a kill at the end has left
            return output
    if config.start is not None:
        refuse_ensemble(config.start)
    pl.seed_everything(config.fit.seed, workers=True, verbose=False)
    once("frames", partial(_read_data, config, state, progress=progress))
    if rank() != 0 and state is not None and is_finished(state, config):
        return output  # the first process writes the model, and removes the data
    train, valid = stored_frames(config)
    network = _first_network(config, train.summary, train)
    if isinstance(network, GatedNetwork):
        network.set_dropout(config.fit.dropout)
    if state is None or not is_finished(state, config):
        once("graphs", partial(store_all_graphs, config, network, progress=progress))
        module = TrainingModule(network, config, inputs(config, train.summary, valid.summary))
        _run(module, config, progress=progress)
        state = last_state(output)
        assert state is not None
    if rank() != 0:
        return output
    # a checkpoint holds the averaged weights as the state of the module
    averaged = {name.removeprefix("network."): value for name, value in state["state_dict"].items()}
    network.load_state_dict(averaged)
    save_model(
        network.cpu().eval(),
        output,
        metadata={
            "training": portable(config),
            "n_train": n_different(train),
            "train_labels": digest_of_labels(train),
            "frames_per_epoch": len(train),
            "n_valid": len(valid),
            "n_rejected": train.n_rejected + valid.n_rejected,
            "training_seconds": round(state["seconds"]),
            "hardware": f"{n_processes()} x {_hardware()}",
        },
    )
    remove(config)
    return output


def _read_data(config: TrainingConfig, state: dict[str, Any] | None, *, progress: bool) -> None:
    """Read and check all frames; refuse others than those with which the run was started."""
    store_all_frames(config, progress=progress)
    if state is not None:
        summaries = (frames.summary for frames in stored_frames(config))
        refuse_others(state, "inputs", inputs(config, *summaries), config)
    check_validation(config)


def _run(module: TrainingModule, config: TrainingConfig, *, progress: bool) -> None:
    """Run all remaining epochs."""
    output, last = Path(config.output), Path(config.output) / CHECKPOINT
    examples = stored_examples(config)
    batches = training_loader(examples.train, examples.pseudo_labelled, config)
    resumed = last if last.is_file() else None
    if resumed is not None:
        logger.info("continuing from %s", resumed)
    with _quiet_lightning():
        trainer = pl.Trainer(
            default_root_dir=output,
            max_epochs=config.fit.epochs,
            accelerator="auto",
            **_processes(),
            gradient_clip_val=config.fit.gradient_clip,
            logger=False,
            callbacks=_callbacks(config, config.fit.epochs * len(batches), last.parent, progress),
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            plugins=[CheckpointWriter()],
        )
        try:
            trainer.fit(
                module,
                batches,
                validation_loader(examples.valid, 32),
                ckpt_path=resumed,
                weights_only=True,  # no code is run on loading
            )
        except SystemExit:  # Lightning makes one of Ctrl-C
            if not trainer.interrupted:
                raise
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Suppress Lightning's messages on hardware, other products and the output folder."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings():
        for message in ("Checkpoint directory .* exists", ".* does not have many workers"):
            warnings.filterwarnings("ignore", message=message)
        for one in loggers:
            one.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)


def _is_written(config: TrainingConfig) -> bool:
    """Whether the model in the output is that of this run, not of an earlier one."""
    folder = Path(config.output)
    if not all((folder / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE)):
        return False
    there = read_metadata(folder).get("training", {})
    ours = json.loads(json.dumps(portable(config)))
    return all(there.get(n) == ours[n] for n in ("start", "data", "network", "fit", "teacher"))


def _first_network(
    config: TrainingConfig, summary: LabelSummary, train: Sequence[LabelledFrame]
) -> Network:
    """Return a new network for the training data, or the one to fine-tune."""
    elements = summary.elements
    if config.start is not None:
        labelled = summary.log_susceptibility is not None
        return adapted(
            load_model(config.start),
            elements,
            config.start,
            dielectric=labelled,
            polar=config.network == POLAR,
        )
    network = build_network({**(config.network or {}), "elements": elements}).float()
    start_from_labels(network, summary, train)
    if (
        isinstance(network, GatedNetwork)
        and config.fit.element_start == "chemistry"
        and len(elements) >= MIN_ELEMENTS
    ):
        start = start_of_embedding(elements, network.embedding.embedding_dim)
        network.embedding.load_state_dict({"weight": start})
    return network


def _processes() -> dict[str, Any]:
    """Lightning's settings for the processes started by ``torchrun``, if any."""
    total = n_processes()
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


class _LearningCurve(pl.Callback):
    """Writes the errors of an epoch before its checkpoint, so that no kill can lose a row."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the row of the epoch."""
        # on all ranks, because reading a value averages it over them
        errors = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if trainer.is_global_zero:
            record_epoch(self.folder, trainer.current_epoch, errors)


def averaging_decay(averaging: float, n_steps: int) -> float:
    """Return the decay of the average of the weights in a run of so many steps.

    In a short run the average covers its last steps only: of the weights at its start there is
    (1 - 10/n)^n ≈ e⁻¹⁰ in the model.
    """
    return min(averaging, max(0.0, 1.0 - AVERAGES_IN_A_RUN / n_steps))


def _callbacks(
    config: TrainingConfig, n_steps: int, folder: Path, progress: bool
) -> list[pl.Callback]:
    decay = averaging_decay(config.fit.averaging, n_steps)
    callbacks: list[pl.Callback] = [
        EMAWeightAveraging(decay=decay, use_buffers=False),
        ModelCheckpoint(
            dirpath=folder,
            filename="last",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        _LearningCurve(config.output),
    ]
    if progress:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return callbacks
