"""Fine-tuning of a general model for one material: its start and its configuration."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import yaml
from ase.data import chemical_symbols

from ase_equivar.inference.model_files import (
    CONFIG_FILE,
    available_models,
    model_folder,
    read_model_config,
)
from ase_equivar.io.output_files import make_folder, write_text
from ase_equivar.network import GatedNetwork, Network, PolarNetwork, build_network
from ase_equivar.training.config import POLAR, parse_config
from ase_equivar.training.processes import n_processes
from ase_equivar.training.resume import CHECKPOINT

# Determined with the bundled SiO2 and BaTiO3 models: single structures per step, a lower rate than
# for training from scratch, and little weight on penalties that other materials needed.
FIT = {
    "batch_size": 1,
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "violation_weight": 0.002,
    "averaging": 0.998,
}
TRAINING_FILE = "training.yaml"
HEADER = "# Written by ase-equivar finetune\n"


def write_training_config(
    output: str | Path,
    model: str,
    train: str,
    valid: str,
    *,
    epochs: int,
    born_charges: str = "born_charges",
    order: str = "field-first",
    dielectric: str = "electronic_dielectric_tensor",
    polarizability: str | None = None,
    polar: bool = False,
) -> Path:
    """Write the training configuration of a fine-tuned model, after checking it.

    A configuration from an earlier call that did not start training is replaced.

    Parameters
    ----------
    output : str or Path
        Folder of the new model.
    model : str
        Bundled model, or folder of one, to start from.
    train, valid : str
        Labelled structures: a file or part of one (``file@1::5``).
    epochs : int
        Passes over the training structures.
    born_charges, order, dielectric, polarizability : str
        As in `ase_equivar.training.sections.DataConfig`.
    polar : bool
        Whether the new model is to be a `PolarNetwork`.

    Returns
    -------
    Path
        Path of the file, ``output/training.yaml``.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing or a setting is wrong, or there are several processes, before anything
        is written; if the file exists with other contents, and training has begun or the file was
        not written by this function.
    """
    folder = Path(output).resolve()
    is_folder = model not in available_models() and Path(model).is_dir()
    content = {
        "output": ".",
        "start": os.path.relpath(model, folder) if is_folder else model,
        **({"network": POLAR} if polar else {}),
        "data": {
            "train": os.path.relpath(train, folder),
            "valid": os.path.relpath(valid, folder),
            "born_charges": born_charges,
            "order": order,
            "dielectric": dielectric,
            "polarizability": polarizability,
        },
        "fit": {"epochs": epochs, **FIT},
    }
    path = folder / TRAINING_FILE
    parse_config(content, folder, "the configuration")
    refuse_ensemble(model)
    if n_processes() > 1:
        raise ValueError(
            f"fine-tuning takes one structure a step, which {n_processes()} processes cannot "
            "share; run it without torchrun"
        )
    text = HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    before = path.read_text(encoding="utf-8") if path.is_file() else text
    begun = (folder / CHECKPOINT).exists() or not before.startswith(HEADER)
    if begun and _parsed(before) != content:
        raise ValueError(
            f"{path} holds another configuration; give another output, or continue it with "
            f"'ase-equivar train {path}'"
        )
    make_folder(folder)
    write_text(path, text)
    return path


def _parsed(text: str) -> object:
    """Return what YAML text says, or None if it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def refuse_ensemble(model: str | Path) -> None:
    """Refuse to fine-tune an ensemble, from its configuration, before any data are read.

    Raises
    ------
    ValueError
        Saying what to start from.
    """
    if (
        read_model_config(model_folder(model) / CONFIG_FILE)["network"].get("architecture")
        == "ensemble"
    ):
        raise ValueError(
            f"{model} is an ensemble, which cannot be fine-tuned; start from one network, such as "
            "'universal'"
        )


def adapted(
    network: Network,
    elements: tuple[int, ...],
    name: str,
    *,
    dielectric: bool,
    polar: bool = False,
) -> Network:
    """Return a copy of a network that is restricted to the elements and tensors to be learned.

    Features adapted to one material are no longer valid for other elements, or for a tensor without
    labels, so both must be refused.

    Parameters
    ----------
    network : torch.nn.Module
        To start from.
    elements : tuple of int
        Atomic numbers in the new training structures.
    name : str
        Name of the network, for messages.
    dielectric : bool
        Whether the new training structures have labels of ε∞.
    polar : bool
        Whether the new network is to be a `PolarNetwork`. Its last interaction and the readout of
        Z* start at random, the rest from the gated network.

    Raises
    ------
    ValueError
        If the network was not trained on one of the elements, or is not gated although a polar one
        is requested.
    """
    new = sorted(set(elements) - set(network.elements))
    if new:
        raise ValueError(
            f"the model {name} cannot be fine-tuned for "
            f"{', '.join(chemical_symbols[z] for z in new)}: it has never seen them"
        )
    config, weights = {**network.build_config, "elements": elements}, network.state_dict()
    if isinstance(network, GatedNetwork):
        rows = torch.tensor([network.elements.index(z) for z in elements])
        for embedding in ("embedding.weight", "shift.weight"):
            weights[embedding] = weights[embedding][rows]
        config["dielectric"] = dielectric and network.has_dielectric
        if not config["dielectric"]:
            head = "dielectric_head."
            weights = {k: v for k, v in weights.items() if not k.startswith(head)}
    becomes_polar = polar and not isinstance(network, PolarNetwork)
    if becomes_polar:
        if config["architecture"] != GatedNetwork.architecture:
            raise ValueError(f"{name} is {config['architecture']}; a polar network starts as gated")
        config["architecture"] = PolarNetwork.architecture
    smaller = build_network(config).float()
    if becomes_polar:
        new_layers = (f"interactions.{config['interactions'] - 1}.", "born_head.")
        untrained = {k: v for k, v in smaller.state_dict().items() if k.startswith(new_layers)}
        weights = {k: v for k, v in weights.items() if not k.startswith(new_layers)} | untrained
    smaller.load_state_dict(weights)
    return smaller.train()
