"""Load and save models: one folder each, with config.json and weights.safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ase_equivar.inference.model_files import (
    CALIBRATION_FILE,
    CONFIG_FILE,
    FORMAT_VERSION,
    PIEZOELECTRIC_FILE,
    WEIGHTS_FILE,
    model_folder,
    read_model_config,
)
from ase_equivar.io.output_files import make_folder, replacing
from ase_equivar.network import Network, build_network
from ase_equivar.torch_settings import own_torch_settings


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
    description = read_model_config(folder / CONFIG_FILE)["network"]
    try:
        with (
            # elsewhere, constants are drawn from other random numbers
            own_torch_settings(torch.device("cpu")),
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


def save_model(
    network: torch.nn.Module, folder: str | Path, *, metadata: dict[str, Any] | None = None
) -> None:
    """Write a network's configuration and weights.

    Parameters
    ----------
    network : torch.nn.Module
        With a `build_config` that `build_network` turns into the same network.
    folder : str or pathlib.Path
        Made if absent; files of an older model in it are replaced, and its calibration and
        piezoelectric head are removed.
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
            for name in (CALIBRATION_FILE, PIEZOELECTRIC_FILE):  # of other weights
                (folder / name).unlink(missing_ok=True)


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        # with older versions, tensors of files are on the default device too
        with own_torch_settings(torch.device("cpu")):
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
