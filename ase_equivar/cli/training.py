"""The commands that make models: ``train``, ``finetune`` and ``combine``.

Imports that take time wait until a command runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ase_equivar.extras import install_hint

EXTRA = f"training needs Lightning; {install_hint('train')}"

Model = Annotated[str, typer.Argument(help="Bundled model, or folder of a saved one.")]
Charges = Annotated[str, typer.Option(help="Per-atom array with the nine components of Z*.")]
Order = Annotated[
    str,
    typer.Option(
        help="Index order of Z*: field-first or displacement-first. Does not apply to outputs of "
        "programs, whose order is known."
    ),
]
Dielectric = Annotated[str, typer.Option(help="Entry of info or results with ε∞.")]
Polarizability = Annotated[
    str | None, typer.Option(help="Entry of info with ∂(ΩP)/∂E in e·Å²/V, used if there is no ε∞.")
]
Progress = Annotated[bool, typer.Option(help="Show a progress bar.")]


def train(
    config: Annotated[Path, typer.Argument(help="YAML file: data, network, fit, output.")],
    progress: Progress = True,
) -> None:
    """Train a model, or continue an interrupted run."""
    with training_errors():
        _train(config, progress)


def _train(config: Path, progress: bool) -> None:
    """Train what a configuration says, and tell where the model is."""
    from ase_equivar.training.config import read_training_config
    from ase_equivar.training.fit import fit
    from ase_equivar.training.processes import rank

    model = fit(read_training_config(config), progress=progress)
    if rank() == 0:  # of the processes that torchrun started
        typer.echo(f"model: {model}")


def finetune(
    model: Model,
    train: Annotated[str, typer.Option(help="Training structures; FILE@::5 is part of a file.")],
    valid: Annotated[str, typer.Option(help="Validation structures.")],
    output: Annotated[Path, typer.Option(help="Folder of the new model.")],
    epochs: Annotated[int, typer.Option(help="Passes over the training structures.")] = 100,
    born_charges: Charges = "born_charges",
    order: Order = "field-first",
    dielectric: Dielectric = "electronic_dielectric_tensor",
    polarizability: Polarizability = None,
    polar: Annotated[
        bool,
        typer.Option(
            "--polar",
            help="Z* as the derivative of a polarization: more accurate, after 10⁴ steps. "
            "'universal-polar' has such Z* already: started from it, a third of the steps is "
            "enough, without this option.",
        ),
    ] = False,
    progress: Progress = True,
) -> None:
    """Fine-tune a model for one material; called again, continue an interrupted run.

    The configuration is written to OUTPUT/training.yaml, for `ase-equivar train` and for your
    records.
    """
    with training_errors():
        from ase_equivar.training.finetuning import write_training_config

        config_file = write_training_config(
            output,
            model,
            train,
            valid,
            epochs=epochs,
            born_charges=born_charges,
            order=order,
            dielectric=dielectric,
            polarizability=polarizability,
            polar=polar,
        )
        typer.echo(f"training configuration written: {config_file}")
        _train(config_file, progress)


def combine(
    models: Annotated[list[str], typer.Argument(help="Bundled models, or folders of saved ones.")],
    output: Annotated[Path, typer.Option(help="Folder of the ensemble.")],
) -> None:
    """Combine several models into a more accurate one. Calibrate it afterwards."""
    with training_errors():
        from ase_equivar.training.combining import combine as run

        typer.echo(f"model: {run(models, output)}")


@contextmanager
def training_errors() -> Iterator[None]:
    """Report errors of the user as messages, and log to stderr."""
    from ase_equivar.cli.inputs import log_to_stderr, user_errors

    with user_errors(), log_to_stderr(logging.INFO):
        try:
            yield
        except ModuleNotFoundError as error:
            raise ImportError(f"{EXTRA} ({error})") from error
