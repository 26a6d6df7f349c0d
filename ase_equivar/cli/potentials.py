"""Potentials that the commands know by name: which package makes them, under which licence.

None of them but SevenNet is an extra of this package; where one is not installed, the message says
how to get it.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator

NEQUIX_FILE = "nequix:"

DEFAULT_POTENTIAL = "sevennet-l3i5"
"""The best of those that need no download: see ``docs/validation.md``."""


@dataclass(frozen=True)
class Potential:
    """How a potential is had.

    Attributes
    ----------
    module : str
        Where its calculator is.
    package : str
        What pip installs.
    licence : str
        Of the package; weights may have one of their own.
    make : callable
        Makes the ASE calculator from the module and the device ("cpu", "cuda" or None).
    """

    module: str
    package: str
    licence: str
    make: Callable[[Any, str | None], BaseCalculator]


def _sevennet(keyword: str) -> Callable[[Any, str | None], BaseCalculator]:
    return lambda module, device: module.SevenNetCalculator(keyword, device=device or "auto")


def _nequix(**which: str) -> Callable[[Any, str | None], BaseCalculator]:
    """Make it with PyTorch; its own default is JAX."""
    return lambda module, _: module.NequixCalculator(**which, backend="torch", use_kernel=False)


def _orb(module: Any, device: str | None) -> BaseCalculator:
    pretrained = importlib.import_module("orb_models.forcefield.pretrained")
    model = pretrained.orb_v3_conservative_inf_omat(device=device, precision="float32-highest")
    made: BaseCalculator = module.ORBCalculator(model, device=device)
    return made


POTENTIALS = {
    "sevennet-0": Potential("sevenn.calculator", "sevenn", "MIT", _sevennet("7net-0")),
    "sevennet-l3i5": Potential("sevenn.calculator", "sevenn", "MIT", _sevennet("7net-l3i5")),
    "nequix": Potential(
        "nequix.calculator", "nequix", "MIT", _nequix(model_name="nequix-oam-1-pft")
    ),
    "mace": Potential(
        "mace.calculators",
        "mace-torch",
        "MIT",
        lambda module, device: module.mace_mp(device=device or "", default_dtype="float64"),
    ),
    "chgnet": Potential(
        "chgnet.model.dynamics",
        "chgnet",
        "modified BSD",
        lambda module, device: module.CHGNetCalculator(use_device=device),
    ),
    "orb": Potential("orb_models.forcefield.calculator", "orb-models", "Apache 2.0", _orb),
    "mattersim": Potential(
        "mattersim.forcefield",
        "mattersim",
        "MIT",
        lambda module, device: (
            module.MatterSimCalculator(device=device) if device else module.MatterSimCalculator()
        ),
    ),
}


def named_potential(name: str, device: str | None) -> BaseCalculator:
    """Return the calculator of a potential.

    Parameters
    ----------
    name : str
        A key of `POTENTIALS`, or "nequix:FILE" for weights in a file.
    device : str or None
        "cpu" or "cuda"; None: what its package takes by default.

    Raises
    ------
    ValueError
        When there is no such name.
    FileNotFoundError
        When there is no such file of weights.
    ImportError
        When the package is not installed.
    """
    potential = POTENTIALS.get(name)
    if name.startswith(NEQUIX_FILE):
        path = Path(name.removeprefix(NEQUIX_FILE))
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path} with weights of nequix")
        nequix = POTENTIALS["nequix"]
        potential = Potential(
            nequix.module, nequix.package, nequix.licence, _nequix(model_path=str(path))
        )
    if potential is None:
        raise ValueError(
            f"unknown calculator {name!r}; there are {', '.join(POTENTIALS)}, nequix:FILE, and any "
            "other by its import path module:factory, as ase.calculators.emt:EMT"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about accelerators that need not be there
        try:
            module = importlib.import_module(potential.module)
        except ImportError as error:
            raise ImportError(
                f"{name} is not installed ({error}); pip install {potential.package} "
                f"(licence: {potential.licence})"
            ) from error
        return potential.make(module, device)
