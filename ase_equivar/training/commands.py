"""The commands ``ase-equivar train`` and ``ase-equivar evaluate``; imports wait until one runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

EXTRA = "training needs Lightning; pip install 'ase-equivar[train]'"


def train(
    config: Annotated[Path, typer.Argument(help="YAML file: data, network, fit, output.")],
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Train a model, or go on where a stopped run left off."""
    from ase_equivar.cli import user_errors

    with user_errors():
        try:
            from ase_equivar.training.config import read_config
            from ase_equivar.training.fit import fit
        except ImportError as error:
            raise ImportError(EXTRA) from error
        _log_to_stderr()
        typer.echo(f"model written: {fit(read_config(config), progress=progress)}")


def evaluate(
    model: Annotated[str, typer.Argument(help="Bundled model, or folder of a saved one.")],
    data: Annotated[Path, typer.Argument(help="Labelled structures, any file that ASE reads.")],
    born_charges: Annotated[
        str, typer.Option(help="Per-atom array with the nine components of Z*.")
    ] = "born_charges",
    order: Annotated[str, typer.Option(help="field-first or displacement-first.")] = "field-first",
    dielectric: Annotated[
        str, typer.Option(help="Entry of info with ε∞.")
    ] = "electronic_dielectric_tensor",
    output: Annotated[Path | None, typer.Option(help="JSON file for all errors.")] = None,
    card: Annotated[bool, typer.Option("--card", help="Write the model's CARD.md.")] = False,
) -> None:
    """Errors of a model on labelled structures: overall, by source, element, crystal system."""
    from ase_equivar.cli import user_errors

    with user_errors():
        from ase_equivar.training.card import model_card
        from ase_equivar.training.config import DataConfig
        from ase_equivar.training.data import read_frames
        from ase_equivar.training.evaluate import evaluate as run
        from ase_equivar.weights import load_model, model_folder, read_metadata

        if not data.is_file():
            raise FileNotFoundError(f"there is no file {data}")
        network = load_model(model)
        labels = DataConfig((), (), born_charges, order, dielectric)
        _log_to_stderr()
        frames, _ = read_frames([data], labels)
        found = run(network, frames, progress=True)
        folder = model_folder(model)
        shown = "/".join(data.parts[-2:])
        text = model_card(folder.name, network, read_metadata(model), found, shown)
        typer.echo(text)
        if output is not None:
            output.write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")
        if card:
            (folder / "CARD.md").write_text(text, encoding="utf-8")


def _log_to_stderr() -> None:
    package = logging.getLogger("ase_equivar")
    if not package.handlers:
        package.addHandler(logging.StreamHandler())
    package.setLevel(logging.INFO)
