"""Potentials of the commands, by name or import path: which package makes them, which licence.

None of them but SevenNet is an extra of this package; where one is not installed, the message says
how to get it.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_equivar.io.input_files import check_file

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


def _nequix(module: Any, **which: str) -> BaseCalculator:
    """Make it with PyTorch; its own default is JAX."""
    made: BaseCalculator = module.NequixCalculator(**which, backend="torch", use_kernel=False)
    return made


def _nequix_file(path: Path) -> Callable[[Any, str | None], BaseCalculator]:
    def make(module: Any, _: str | None) -> BaseCalculator:
        # it converts weights of JAX to PyTorch and writes these beside them, under another name
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copyfile(path, Path(folder) / path.name)
            return _nequix(module, model_path=str(copy))

    return make


def _orb(module: Any, device: str | None) -> BaseCalculator:
    pretrained = importlib.import_module("orb_models.forcefield.pretrained")
    model = pretrained.orb_v3_conservative_inf_omat(device=device, precision="float32-highest")
    made: BaseCalculator = module.ORBCalculator(model, device=device)
    return made


POTENTIALS = {
    "sevennet-0": Potential("sevenn.calculator", "sevenn", "MIT", _sevennet("7net-0")),
    "sevennet-l3i5": Potential("sevenn.calculator", "sevenn", "MIT", _sevennet("7net-l3i5")),
    "nequix": Potential(
        "nequix.calculator",
        "nequix",
        "MIT",
        lambda module, _: _nequix(module, model_name="nequix-oam-1-pft"),
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


def find_potential(name: str) -> Potential:
    """Return a potential without importing its package.

    Parameters
    ----------
    name : str
        A key of `POTENTIALS`, or "nequix:FILE" for weights in a file.

    Raises
    ------
    ValueError
        When there is no such name.
    OSError, ValueError
        Those of `check_file` for the file of weights.
    """
    if name.startswith(NEQUIX_FILE):
        path = check_file(name.removeprefix(NEQUIX_FILE))
        return replace(POTENTIALS["nequix"], make=_nequix_file(path))
    if name not in POTENTIALS:
        raise ValueError(
            f"unknown calculator {name!r}; there are {', '.join(POTENTIALS)}, nequix:FILE, and any "
            "other by its import path module:factory, as ase.calculators.emt:EMT"
        )
    return POTENTIALS[name]


def named_potential(name: str, device: str | None) -> BaseCalculator:
    """Return the calculator of a potential.

    Parameters
    ----------
    name : str
        As for `find_potential`, with its errors.
    device : str or None
        "cpu" or "cuda"; None: what its package takes by default.

    Raises
    ------
    ImportError
        When the package is not installed.
    """
    potential = find_potential(name)
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


def imported_potential(path: str) -> BaseCalculator:
    """Call the factory module:factory, of an installed module or one in the current folder.

    Raises
    ------
    ValueError
        When it cannot be imported, or returns no calculator.
    """
    from ase.calculators.calculator import BaseCalculator

    module_name, _, factory_name = path.partition(":")
    _search_current_folder()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # importing a module may raise anything
        raise ValueError(
            f"cannot import the module {module_name!r} of the calculator {path!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise ValueError(
            f"the module {module_name!r} has no function {factory_name!r}, which the calculator "
            f"{path!r} needs"
        )
    try:
        made = factory()
    except Exception as error:  # so may a function
        raise ValueError(
            f"{path} must return a calculator when called without arguments, but failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, BaseCalculator):
        raise ValueError(f"{path} returned a {type(made).__name__}, which is not an ASE calculator")
    return made


def calculator_identity(name: str) -> str:
    """Name a potential with the version of its package and a digest of its own code or weights.

    The module is not imported, which for most potentials would take seconds. Errors as
    `find_potential`.
    """
    from importlib.metadata import packages_distributions, version

    from ase_equivar.io.resumed import digest

    if name == "none":
        return name
    if name.startswith(NEQUIX_FILE):
        module_name = find_potential(name).module
        file: Path | None = Path(name.removeprefix(NEQUIX_FILE))
    elif ":" in name:
        module_name = name.partition(":")[0]
        file = _module_file(module_name)
    else:
        module_name, file = find_potential(name).module, None
    parts = [name]
    for package in packages_distributions().get(module_name.partition(".")[0], [])[:1]:
        parts.append(f"{package} {version(package)}")
    if file is not None:
        parts.append(digest(file))
    return ", ".join(parts)


def _module_file(name: str) -> Path | None:
    """Return the file of a module that may not be imported yet; None if it has none."""
    _search_current_folder()
    try:
        spec = find_spec(name)
    except Exception:  # imports the packages around it; what is wrong is told with the potential
        return None
    return None if spec is None or not spec.has_location or not spec.origin else Path(spec.origin)


def _search_current_folder() -> None:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
