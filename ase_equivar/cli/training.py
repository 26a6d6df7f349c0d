"""The commands of training: ``train``, ``finetune``, ``evaluate``, ``combine``, ....

Imports that take time wait until a command runs.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_equivar.extras import install_hint
from ase_equivar.io.output_files import check_output, replacing, write_text
from ase_equivar.training.sections import DataConfig

if TYPE_CHECKING:
    from ase_equivar.network import Network
    from ase_equivar.training.comparison import Comparison

EXTRA = f"training needs Lightning; {install_hint('train')}"

Model = Annotated[str, typer.Argument(help="Bundled model, or folder of a saved one.")]
Data = Annotated[
    str,
    typer.Argument(
        help="Labelled structures: any file that ASE reads, or an output of VASP, ph.x, ABINIT, "
        "CASTEP or phonopy; FILE@::5 is part of one."
    ),
]
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
    with _training():
        from ase_equivar.training.config import read_config
        from ase_equivar.training.fit import fit

        typer.echo(f"model: {fit(read_config(config), progress=progress)}")


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
            help="Z* as the derivative of a polarization: more accurate, after 10⁴ steps.",
        ),
    ] = False,
    progress: Progress = True,
) -> None:
    """Fine-tune a model for one material; called again, continue an interrupted run.

    The configuration is written to OUTPUT/training.yaml, for `ase-equivar train` and for your
    records.
    """
    with _training():
        from ase_equivar.training.config import read_config
        from ase_equivar.training.finetuning import write_recipe
        from ase_equivar.training.fit import fit

        recipe = write_recipe(
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
        typer.echo(f"recipe written: {recipe}")
        typer.echo(f"model: {fit(read_config(recipe), progress=progress)}")


def evaluate(
    model: Model,
    data: Data,
    born_charges: Charges = "born_charges",
    order: Order = "field-first",
    dielectric: Dielectric = "electronic_dielectric_tensor",
    polarizability: Polarizability = None,
    output: Annotated[Path | None, typer.Option(help="Write all errors to this JSON file.")] = None,
    card: Annotated[bool, typer.Option("--card", help="Write the model's CARD.md.")] = False,
) -> None:
    """Errors of a model for labelled structures: overall, by source, element and crystal system."""
    with _training():
        from ase_equivar.inference.models import model_folder, read_metadata
        from ase_equivar.inference.uncertainty import Calibration
        from ase_equivar.io.output_files import check_folder
        from ase_equivar.training.calibration import uncertainty_quality
        from ase_equivar.training.card import model_card
        from ase_equivar.training.evaluate import evaluate as run

        if output is not None:
            check_folder(output)
        if card:
            _refuse_bundled(model, "--card writes into its folder")
        labels = DataConfig((), (), born_charges, order, dielectric, polarizability)
        network, comparison = _compare(model, data, labels)
        metadata = read_metadata(model)
        found = run(comparison)
        folder = model_folder(model)
        doubt = uncertainty_quality(network, comparison, Calibration.load(folder))
        options = _options(labels)
        text = model_card(
            folder.name, network, metadata, found, _short(data), doubt, options, model
        )
        typer.echo(text)
        if output is not None:
            content = json.dumps(found.as_dict(), indent=1, allow_nan=False)
            write_text(output, content + "\n")
        if card:
            write_text(folder / "CARD.md", text)


def combine(
    models: Annotated[list[str], typer.Argument(help="Bundled models, or folders of saved ones.")],
    output: Annotated[Path, typer.Option(help="Folder of the ensemble.")],
) -> None:
    """Combine several models into a more accurate one. Calibrate it afterwards."""
    with _training():
        from ase_equivar.training.combining import combine as run

        typer.echo(f"model: {run(models, output)}")


def calibrate(
    model: Annotated[str, typer.Argument(help="Folder of a model, to which a file is added.")],
    data: Data,
    train: Annotated[
        list[str] | None,
        typer.Option(help="What it was trained on, if not where its config.json says; repeatable."),
    ] = None,
    born_charges: Charges = "born_charges",
    order: Order = "field-first",
) -> None:
    """Calibrate the uncertainties of a model on validation data, not used in training.

    They follow from how far an atom is from those that the model was trained on, from the errors
    that it makes for these, and from the violation of the sum rule.
    """
    with _training():
        from ase_equivar.inference.models import load_model, model_folder
        from ase_equivar.training.calibration import calibrate as run
        from ase_equivar.training.calibration import uncertainty_quality
        from ase_equivar.training.card import uncertainty_lines
        from ase_equivar.training.comparison import compare
        from ase_equivar.training.data import read_frames

        _refuse_bundled(model, "calibrate writes into its folder")
        labels = DataConfig((), (), born_charges, order, dielectric=None)
        files = train or _trained_on(model)
        _check_file(data)
        known, _ = read_frames(files, labels)
        judged, _ = read_frames([data], labels)
        network = load_model(model)
        found = run(network, known, judged, progress=True)
        found.save(model_folder(model))
        a, b, c = found.exponents
        typer.echo(
            f"uncertainty: (violation of the sum rule)^{a:.2f} · (distance)^{b:.2f} · (errors "
            f"nearby)^{c:.2f} · {math.exp(found.log_scale):.3g} e, from {len(found.known.points)} "
            f"atoms of {', '.join(map(_short, files))}; with the {len(judged)} structures that it "
            "was fitted to:"
        )
        doubt = uncertainty_quality(network, compare(network, judged), found)
        assert doubt is not None  # it has just got a calibration
        typer.echo("\n".join(uncertainty_lines(doubt)))


def plot(
    model: Model,
    data: Data,
    born_charges: Charges = "born_charges",
    order: Order = "field-first",
    dielectric: Dielectric = "electronic_dielectric_tensor",
    polarizability: Polarizability = None,
    output: Annotated[Path, typer.Option(help="Picture: .png, .pdf or .svg.")] = Path("errors.png"),
) -> None:
    """Plot a model's errors: parity, by element, and the learning curve if available."""
    with _training():
        from ase_equivar.inference.models import model_folder
        from ase_equivar.plotting.models import plot_errors
        from ase_equivar.training.curve import learning_curve
        from ase_equivar.training.evaluate import evaluate as run

        check_output(output)
        labels = DataConfig((), (), born_charges, order, dielectric, polarizability)
        _, comparison = _compare(model, data, labels)
        folder = model_folder(model)
        title = f"{folder.name} on {_short(data)}"
        figure = plot_errors(comparison, run(comparison), learning_curve(folder), title=title)
        with replacing(output) as partial:
            figure.savefig(partial)
        typer.echo(f"picture written: {output}")


def _refuse_bundled(model: str, reason: str) -> None:
    """Refuse to write into a bundled model given by its name."""
    from ase_equivar.inference.models import available_models, model_folder

    if model in available_models():
        raise ValueError(
            f"{model} is bundled with the package, and {reason}: copy {model_folder(model)} and "
            "give the path of the copy"
        )


def _compare(model: str, data: str, labels: DataConfig) -> tuple[Network, Comparison]:
    """Read model and labels, and predict."""
    from ase_equivar.inference.models import load_model
    from ase_equivar.training.comparison import compare
    from ase_equivar.training.data import read_frames

    _check_file(data)
    network = load_model(model)
    frames, _ = read_frames([data], labels)
    return network, compare(network, frames, progress=True)


def _check_file(data: str) -> None:
    from ase_equivar.training.config import split_selection

    file, _ = split_selection(data)
    if not Path(file).is_file():
        raise FileNotFoundError(f"there is no file {file}")


def _trained_on(model: str) -> list[str]:
    """Name the files that a model was trained on, by its metadata."""
    from ase_equivar.inference.models import model_folder, read_metadata
    from ase_equivar.training.config import split_selection

    metadata, folder = read_metadata(model), model_folder(model)
    of_members = [one.get("training", {}) for one in metadata.get("members", [metadata])]
    named = dict.fromkeys(
        name for training in of_members for name in training.get("data", {}).get("train", ())
    )
    if not named:
        raise ValueError(f"the model {model} does not say what it was trained on: give --train")
    missing = [name for name in named if not (folder / split_selection(name)[0]).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{model} was trained on {', '.join(missing)} (from its folder), which is not there: "
            "give --train"
        )
    return [os.path.normpath(folder / name) for name in named]


def _options(labels: DataConfig) -> str:
    """Options equivalent to these settings of the labels, without defaults."""
    usual = DataConfig((), ())
    return " ".join(
        f"--{name.replace('_', '-')} {getattr(labels, name)}"
        for name in ("born_charges", "order", "dielectric", "polarizability")
        if getattr(labels, name) != getattr(usual, name)
    )


def _short(data: str) -> str:
    """Name data by folder and file, without the rest of the path."""
    return "/".join(Path(data).parts[-2:])


@contextmanager
def _training() -> Iterator[None]:
    """Report errors of the user as messages, and log to stderr."""
    from ase_equivar.cli.inputs import log_to_stderr, user_errors

    with user_errors(), log_to_stderr(logging.INFO):
        try:
            yield
        except ModuleNotFoundError as error:
            raise ImportError(f"{EXTRA} ({error})") from error
