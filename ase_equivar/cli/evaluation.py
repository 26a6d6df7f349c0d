"""The commands that compare models with labels: ``evaluate``, ``calibrate`` and ``plot``.

Imports that take time wait until a command runs.
"""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_equivar.cli.training import (
    Charges,
    Dielectric,
    Model,
    Order,
    Polarizability,
    training_errors,
)
from ase_equivar.cli.written_files import save_figure
from ase_equivar.io.numbers_files import write_json
from ase_equivar.io.output_files import check_output, write_text
from ase_equivar.training.sections import DataConfig
from ase_equivar.warning_types import InputWarning

if TYPE_CHECKING:
    from ase_equivar.network import Network
    from ase_equivar.training.comparison import Comparison
    from ase_equivar.training.data import LabelledFrame

LABEL_ENTRIES = ("born_charges", "order", "max_sum_rule_violation", "max_asymmetry")
"""What determines how Z* of training data are read, of the section data of TrainingConfig."""

Data = Annotated[
    str,
    typer.Argument(
        help="Labelled structures: any file that ASE reads, or an output of VASP, ph.x, ABINIT, "
        "CASTEP or phonopy; FILE@::5 is part of one."
    ),
]


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
    with training_errors():
        from ase_equivar.inference.model_files import model_folder, read_metadata
        from ase_equivar.inference.uncertainty import Calibration
        from ase_equivar.io.output_files import check_folder
        from ase_equivar.training.card import model_card
        from ase_equivar.training.evaluate import evaluate as run
        from ase_equivar.training.uncertainty_quality import uncertainty_quality

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
            folder.name, network, metadata, found, _short(data), doubt, options, model, card
        )
        typer.echo(text)
        if output is not None:
            write_json(output, found.as_dict())
        if card:
            write_text(folder / "CARD.md", text)


def calibrate(
    model: Annotated[str, typer.Argument(help="Folder of a model, to which a file is added.")],
    data: Data,
    train: Annotated[
        list[str] | None,
        typer.Option(help="What it was trained on, if not where its config.json says; repeatable."),
    ] = None,
    compared_with: Annotated[
        str | None,
        typer.Option(
            help="Bundled model; for a polar model the difference from its Z* takes the place of "
            "the violation of the sum rule. For models of all elements: 'universal'."
        ),
    ] = None,
    born_charges: Charges = "born_charges",
    order: Order = "field-first",
) -> None:
    """Calibrate the uncertainties of a model on validation data, not used in training.

    They follow from how far an atom is from those that the model was trained on, from the errors
    that it makes for these, and from the violation of the sum rule or the difference from the Z* of
    another model. The options on labels concern DATA and --train; files that config.json names are
    read as in training.
    """
    with training_errors():
        from ase_equivar.inference.model_files import model_folder
        from ase_equivar.inference.models import load_model
        from ase_equivar.training.calibration import calibrate as run
        from ase_equivar.training.card import uncertainty_lines
        from ase_equivar.training.comparison import compare
        from ase_equivar.training.data import read_frames
        from ase_equivar.training.uncertainty_quality import uncertainty_quality

        _refuse_bundled(model, "calibrate writes into its folder")
        labels = DataConfig((), (), born_charges, order, dielectric=None)
        sources = [(file, labels) for file in train] if train else _trained_on(model)
        _check_file(data)
        known_in = {(file, how): read_frames([file], how)[0] for file, how in sources}
        if not train:
            _warn_of_other_labels(model, known_in)
        known = [frame for frames in known_in.values() for frame in frames]
        judged, _ = read_frames([data], labels)
        network = load_model(model)
        found = run(network, known, judged, compared_with=compared_with, progress=True)
        found.save(model_folder(model))
        a, b, c = found.exponents
        doubt_is = (
            "violation of the sum rule"
            if found.compared_with is None
            else f"difference from {found.compared_with}"
        )
        typer.echo(
            f"uncertainty: ({doubt_is})^{a:.2f} · (distance)^{b:.2f} · (errors "
            f"nearby)^{c:.2f} · {math.exp(found.log_scale):.3g} e, from {len(found.known.points)} "
            f"atoms of {', '.join(_short(file) for file, _ in sources)}; with the {len(judged)} "
            "structures that it was fitted to:"
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
    with training_errors():
        from ase_equivar.inference.model_files import model_folder
        from ase_equivar.plotting.models import plot_errors
        from ase_equivar.training.curve import learning_curve
        from ase_equivar.training.evaluate import evaluate as run

        check_output(output)
        labels = DataConfig((), (), born_charges, order, dielectric, polarizability)
        _, comparison = _compare(model, data, labels)
        folder = model_folder(model)
        title = f"{folder.name} on {_short(data)}"
        figure = plot_errors(comparison, run(comparison), learning_curve(folder), title=title)
        save_figure(output, figure)
        typer.echo(f"picture written: {output}")


def _refuse_bundled(model: str, reason: str) -> None:
    """Refuse to write into a bundled model given by its name."""
    from ase_equivar.inference.model_files import available_models, model_folder

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
    from ase_equivar.io.file_selection import split_selection
    from ase_equivar.io.input_files import check_file

    check_file(split_selection(data)[0])


def _trained_on(model: str) -> list[tuple[str, DataConfig]]:
    """Return the files that a model was trained on and how their labels were read."""
    from ase_equivar.inference.model_files import model_folder, read_metadata
    from ase_equivar.io.file_selection import split_selection

    metadata, folder = read_metadata(model), model_folder(model)
    named: dict[tuple[str, DataConfig], None] = {}
    for member in metadata.get("members", [metadata]):
        named |= dict.fromkeys(_files_of(member))
    if not named:
        raise ValueError(f"the model {model} does not say what it was trained on: give --train")
    missing = [name for name, _ in named if not (folder / split_selection(name)[0]).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{model} was trained on {', '.join(missing)} (from its folder), which is not there: "
            "give --train"
        )
    return [(os.path.normpath(folder / name), how) for name, how in named]


def _files_of(metadata: dict[str, Any]) -> list[tuple[str, DataConfig]]:
    """Return the training files of one network, from its folder, and how they were read."""
    data = metadata.get("training", {}).get("data", {})
    given = {name: data[name] for name in LABEL_ENTRIES if name in data}
    how = DataConfig((), (), **given, dielectric=None)
    return [(name, how) for name in data.get("train", ())]


def _warn_of_other_labels(
    model: str, known_in: dict[tuple[str, DataConfig], list[LabelledFrame]]
) -> None:
    """Warn where files, by now, hold other labels than those that a model was trained on."""
    from ase_equivar.inference.model_files import model_folder, read_metadata
    from ase_equivar.training.data import digest_of_labels, n_different

    metadata, folder = read_metadata(model), model_folder(model)
    for member in metadata.get("members", [metadata]):
        files = {(os.path.normpath(folder / name), how) for name, how in _files_of(member)}
        frames = [frame for file in files for frame in known_in[file]]
        there, then = n_different(frames), member.get("n_train")
        digest = member.get("train_labels")
        if digest is None:
            same = there == then or then is None  # of earlier versions; None: not by our training
        else:
            same = digest_of_labels(frames) == digest
        if same:
            continue
        warnings.warn(
            f"{member.get('name', model)} was trained on {then} structures, and the files that "
            f"its config.json names hold {there}, not the same: what it has not seen counts as "
            "known here; give --train with the labels that it was trained on",
            InputWarning,
            stacklevel=2,
        )


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
