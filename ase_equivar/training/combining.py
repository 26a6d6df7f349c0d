"""Combination of trained models into a self-contained ensemble."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from ase_equivar.inference.model_files import (
    CONFIG_FILE,
    available_models,
    model_folder,
    read_metadata,
    weights_digest,
)
from ase_equivar.inference.models import load_model, save_model
from ase_equivar.network import Ensemble, Network
from ase_equivar.training.config_paths import with_paths


def combine(models: Sequence[str | Path], output: str | Path) -> Path:
    """Write an ensemble of models.

    Parameters
    ----------
    models : sequence of str or Path
        Bundled models or folders, with a `GatedNetwork` or `HybridNetwork` each.
    output : str or Path
        Folder of the ensemble.

    Returns
    -------
    Path
        The folder of the ensemble.

    Raises
    ------
    FileNotFoundError, ValueError
        If a model is missing, damaged, or incompatible with the others.
    """
    folder = Path(output)
    if (folder / CONFIG_FILE).exists():
        raise ValueError(f"{folder} already holds a model; give another output folder")
    networks = [load_model(model) for model in models]
    _check_members(models, networks)
    ensemble = Ensemble(networks)
    described: list[dict[str, Any]] = [
        {"name": model_folder(model).name, **_seen_from(folder, model)} for model in models
    ]
    about = _joined([one.get("training", {}).get("about", {}) for one in described])
    metadata = {"training": {"about": about}, "members": described}
    save_model(ensemble, folder, metadata=metadata)
    return folder


def _check_members(models: Sequence[str | Path], networks: Sequence[Network]) -> None:
    """Refuse the same model twice, and models of different elements, by their names."""
    first_of: dict[str, str | Path] = {}
    for model in models:
        digest = weights_digest(model)
        if digest in first_of:
            raise ValueError(
                f"{first_of[digest]} and {model} are the same model: their mean is no better than "
                "one; give models that were trained apart, with another seed at least"
            )
        first_of[digest] = model
    for model, network in zip(models[1:], networks[1:], strict=True):
        different = set(network.elements) ^ set(networks[0].elements)
        if different:
            named = ", ".join(chemical_symbols[z] for z in sorted(different))
            raise ValueError(
                f"{models[0]} and {model} know different elements, one of them without {named}; "
                "members of an ensemble must know the same"
            )


def _seen_from(folder: Path, model: str | Path) -> dict[str, Any]:
    """Return the metadata of a model, with paths relative to another folder than its own."""
    metadata, own = read_metadata(model), model_folder(model)

    def moved(name: str) -> str:
        return os.path.relpath(own.resolve() / name, folder.resolve())

    if "training" in metadata:
        metadata["training"] = with_paths(
            metadata["training"], moved, lambda model: model not in available_models()
        )
    return metadata


def _joined(notes: Sequence[dict[str, str]]) -> dict[str, str]:
    """Join the texts of the members under a heading, without texts contained in others."""
    headings = dict.fromkeys(heading for note in notes for heading in note)
    joined = {}
    for heading in headings:
        texts = list(dict.fromkeys(note[heading] for note in notes if heading in note))
        kept = [t for t in texts if not any(t in other for other in texts if other != t)]
        joined[heading] = " ".join(kept)
    return joined
