"""Find, load and save models: one folder each, with config.json and weights.safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ase_equivar.arguments import json_data
from ase_equivar.io.output_files import make_folder, replacing
from ase_equivar.io.resumed import digest
from ase_equivar.network import Network, build_network

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
CALIBRATION_FILE = "calibration.safetensors"


def available_models() -> list[str]:
    """Return the names of the bundled models, in alphabetical order."""
    folder = _bundle_folder()
    if not folder.is_dir():
        return []
    return sorted(path.parent.name for path in folder.glob(f"*/{WEIGHTS_FILE}"))


def load_model(
    name_or_path: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Network:
    """Load a model, ready for predictions.

    No code is run on loading: the folder holds numbers and plain JSON only. The global random
    number generators of torch, NumPy and Python are left as they were.

    Parameters
    ----------
    name_or_path : str or pathlib.Path
        Name of a bundled model (see `available_models`), or a folder written by `save_model`.
    device : torch.device or str
        Where the weights go.
    dtype : torch.dtype
        Of the weights, torch.float32 or torch.float64.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, its parameters without gradients.

    Raises
    ------
    FileNotFoundError
        If no bundled model has that name and no folder lies at that path, or if the folder
        lacks one of its two files.
    ValueError
        If the files are damaged, of another format version, or do not fit each other.
    """
    folder = model_folder(name_or_path)
    description = _read_config(folder / CONFIG_FILE)["network"]
    try:
        with (
            torch.inference_mode(mode=False),  # weights made in it have no derivatives
            torch.random.fork_rng(devices=[]),  # layers draw initial weights, on the CPU
        ):
            network = build_network(description)
    except (ValueError, TypeError, IndexError, AttributeError, KeyError) as error:
        raise ValueError(
            f"{folder / CONFIG_FILE} describes no network that can be built ({error}); fetch or "
            "save the model again"
        ) from error
    if lacking := _lacking(network.build_config, description):
        raise ValueError(
            f"{folder / CONFIG_FILE} lacks {', '.join(lacking)} of the network; fetch or save the "
            "model again"
        )
    state = _read_weights(folder / WEIGHTS_FILE)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"{folder / WEIGHTS_FILE} does not fit the network described in {CONFIG_FILE} "
            f"beside it; both must come from one save_model call. {error}"
        ) from error
    with torch.inference_mode(mode=False):
        return network.to(device=device, dtype=dtype).eval().requires_grad_(False)


def read_metadata(name_or_path: str | Path) -> dict[str, Any]:
    """Return the `metadata` given to `save_model`; errors as in `load_model`."""
    metadata: dict[str, Any] = _read_config(model_folder(name_or_path) / CONFIG_FILE)["metadata"]
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
    """Return 16 hexadecimal digits that identify weights, configuration and calibration.

    Raises
    ------
    FileNotFoundError
        As in `load_model`.
    """
    folder = model_folder(name_or_path)
    calibration = folder / CALIBRATION_FILE
    more = [calibration] if calibration.is_file() else []
    return digest(folder / CONFIG_FILE, folder / WEIGHTS_FILE, *more)


def save_model(
    network: torch.nn.Module, folder: str | Path, *, metadata: dict[str, Any] | None = None
) -> None:
    """Write a network's configuration and weights.

    Parameters
    ----------
    network : torch.nn.Module
        With a `build_config` that `build_network` turns into the same network.
    folder : str or pathlib.Path
        Made if absent; files of an older model in it are replaced, and its calibration is removed.
    metadata : dict, optional
        Anything worth knowing about the model that JSON can hold (data, seed, errors).

    Raises
    ------
    ValueError, TypeError
        If a weight is not finite, or JSON cannot hold the metadata; nothing is written then.
    """
    config = {
        "format_version": FORMAT_VERSION,
        "network": network.build_config,
        "metadata": metadata or {},
    }
    text = json.dumps(config, indent=2) + "\n"  # before anything is written: it may fail
    # safetensors wants memory of its own for each tensor: no views, no shared weights.
    state = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    if problem := _problem(state):
        raise ValueError(f"the network cannot be saved: {problem}")
    folder = make_folder(folder)
    # Not save_file, which lets nobody else read what it writes.
    with replacing(folder / CONFIG_FILE) as config_file:
        config_file.write_text(text, encoding="utf-8")
        with replacing(folder / WEIGHTS_FILE) as weights_file:
            weights_file.write_bytes(save(state))
            (folder / CALIBRATION_FILE).unlink(missing_ok=True)  # it is of other weights


def model_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a bundled model or of a saved one.

    Raises
    ------
    FileNotFoundError
        As in `load_model`.
    """
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


def _bundle_folder() -> Path:
    """Return where the bundled models lie: inside an installed package, beside it in a clone."""
    package = Path(__file__).parent.parent
    clone = package.parent
    installed = package / "models"
    if not installed.is_dir() and (clone / "pyproject.toml").is_file():
        return clone / "models"
    return installed


def _read_config(path: Path) -> dict[str, Any]:
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


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or no safetensors file ({error}); fetch or save the model again"
        ) from error
    if problem := _problem(state):
        raise ValueError(f"{path}: {problem}; fetch or save the model again")
    return state


def _lacking(whole: Any, given: Any) -> list[str]:
    """Return keys that a description left out, for which a default was taken."""
    if isinstance(whole, dict) and isinstance(given, dict):
        return [key for key in whole if key not in given] + [
            key for name in whole for key in _lacking(whole[name], given.get(name))
        ]
    if isinstance(whole, list | tuple) and isinstance(given, list | tuple):
        return [key for pair in zip(whole, given, strict=False) for key in _lacking(*pair)]
    return []


def _problem(state: dict[str, torch.Tensor]) -> str:
    """Return which weights no network can have; "" if all are finite real numbers."""
    for name, value in state.items():
        if not value.is_floating_point():
            return f"the weights {name!r} have the type {value.dtype}, not a real number"
        if not value.isfinite().all():
            return f"the weights {name!r} are not finite"
    return ""
