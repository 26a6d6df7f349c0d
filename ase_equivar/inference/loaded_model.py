"""A network on its device, with all that the folder of its model says about it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ase_equivar.inference.model_files import model_folder, trained_with_dropout
from ase_equivar.inference.models import load_model
from ase_equivar.inference.piezoelectric import load_piezoelectric_head
from ase_equivar.inference.uncertainty import Calibration
from ase_equivar.network.piezoelectric_head import PiezoelectricHead
from ase_equivar.torch_settings import own_torch_settings

NETWORK_ATTRIBUTES = ("cutoff", "elements", "has_dielectric")


@dataclass(frozen=True)
class LoadedModel:
    """What a `predictor.Predictor` starts from; its arguments and errors are as there.

    Attributes
    ----------
    name : str
        As given, or the class of a network that is given itself.
    network : torch.nn.Module
    calibration : Calibration or None
        None without calibration.
    has_parts : bool
        Whether what remains without some channels is a model of its own.
    piezoelectric : PiezoelectricHead or None
        None without such a head.
    """

    name: str
    network: Any
    calibration: Calibration | None = None
    has_parts: bool = False
    piezoelectric: PiezoelectricHead | None = None

    @classmethod
    def of(
        cls, model: str | Path | torch.nn.Module, device: torch.device, dtype: torch.dtype
    ) -> LoadedModel:
        """Read a model, or copy a network; what is read is made on the CPU, then moved."""
        if isinstance(model, torch.nn.Module):
            return cls(type(model).__name__, _copied(model, device, dtype))
        has_parts = trained_with_dropout(model)
        folder = model_folder(model)
        network = load_model(model, device=device, dtype=dtype)
        with own_torch_settings(torch.device("cpu")):
            calibration = Calibration.load(folder)
            head = load_piezoelectric_head(folder, network)
        return cls(
            str(model),
            network,
            None if calibration is None else calibration.to(device, dtype),
            has_parts,
            head,
        )


def _copied(network: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    """Return a copy in evaluation mode, of a network that can be used as a model."""
    missing = [name for name in NETWORK_ATTRIBUTES if not hasattr(network, name)]
    if missing:
        raise TypeError(
            f"{type(network).__name__} cannot be used as a model: it lacks "
            f"{', '.join(missing)}; see ase_equivar.network"
        )
    with torch.inference_mode(mode=False):  # radial tables need gradients
        copied = copy.deepcopy(network).to(device=device, dtype=dtype)
    return copied.eval().requires_grad_(False)
