"""Folders of models: where they are, what their files are called, and what identifies a model.

This needs no PyTorch, which takes more than a second to import.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ase_equivar.arguments import json_data
from ase_equivar.io.resumed import digest

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
CALIBRATION_FILE = "calibration.safetensors"
PIEZOELECTRIC_FILE = "piezoelectric.safetensors"


def available_models() -> list[str]:
    """Return the names of the bundled models, in alphabetical order."""
    folder = _bundle_folder()
    if not folder.is_dir():
        return []
    return sorted(path.parent.name for path in folder.glob(f"*/{WEIGHTS_FILE}"))


def model_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a bundled model or of a saved one.

    Raises
    ------
    FileNotFoundError
        As in `load_model`.
    TypeError
        If it is neither a text nor a path.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise TypeError(
            "a model is the name of a bundled one, the folder of a saved one, or a network, not "
            f"{name_or_path!r}"
        )
    bundled = available_models()
    if isinstance(name_or_path, str) and name_or_path in bundled:
        return _bundle_folder() / name_or_path
    folder = Path(name_or_path)
    if not os.path.isdir(folder):  # false too for names that no file system takes
        raise FileNotFoundError(
            f"no model {str(name_or_path)!r}: neither a folder nor one of the bundled models "
            f"({', '.join(bundled) or 'none'})"
        )
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} has no {name}; a model folder holds {CONFIG_FILE} and {WEIGHTS_FILE}"
            )
    return folder


def read_metadata(name_or_path: str | Path) -> dict[str, Any]:
    """Return the `metadata` given to `save_model`; errors as in `load_model`."""
    metadata: dict[str, Any] = read_model_config(model_folder(name_or_path) / CONFIG_FILE)[
        "metadata"
    ]
    return metadata


def trained_with_dropout(name_or_path: str | Path) -> bool:
    """Whether a model, or each member of an ensemble, was trained with dropout.

    Only then is what remains without some channels a model of its own. Errors as in `load_model`.
    """
    metadata = read_metadata(name_or_path)
    try:
        members = metadata.get("members", [metadata])
        return min(one["training"]["fit"]["dropout"] for one in members) > 0.0
    except (AttributeError, KeyError, TypeError, ValueError):  # not as our training writes it
        return False


def model_digest(name_or_path: str | Path) -> str:
    """Return 16 hexadecimal digits that identify all files with numbers of a model.

    Raises
    ------
    FileNotFoundError
        As in `load_model`.
    """
    folder = model_folder(name_or_path)
    further = [folder / CALIBRATION_FILE, folder / PIEZOELECTRIC_FILE]
    more = [path for path in further if path.is_file()]
    return digest(folder / CONFIG_FILE, folder / WEIGHTS_FILE, *more)


def weights_digest(name_or_path: str | Path) -> str:
    """Return what identifies the weights of a model, calibrated or not; errors as `load_model`."""
    return digest(model_folder(name_or_path) / WEIGHTS_FILE)


def read_model_config(path: Path) -> dict[str, Any]:
    """Return what a config.json holds: the objects "network" and "metadata".

    Raises
    ------
    ValueError
        If it is damaged, or of another format version.
    """
    try:
        config = json_data("it", path.read_text(encoding="utf-8"))
        version = config["format_version"]
        content = {"network": config["network"], "metadata": config["metadata"]}
        if not all(isinstance(part, dict) for part in content.values()):
            raise TypeError("'network' and 'metadata' must be objects")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged: it should be JSON with 'format_version', 'network' and "
            f"'metadata' ({error!r})"
        ) from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, this ase_equivar reads {FORMAT_VERSION}; "
            "use the release that wrote the model, or save it again with this one"
        )
    return content


def _bundle_folder() -> Path:
    """Return where the bundled models lie: inside an installed package, beside it in a clone."""
    package = Path(__file__).parent.parent
    clone = package.parent
    installed = package / "models"
    if not installed.is_dir() and (clone / "pyproject.toml").is_file():
        return clone / "models"
    return installed
