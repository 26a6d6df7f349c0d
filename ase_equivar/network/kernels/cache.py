"""Kernels as Python modules in the user's cache folder.

That is ``$XDG_CACHE_HOME/ase_equivar``, or ``~/.cache/ase_equivar``. numba keeps there what it has
compiled, and Triton reads the source of its kernels from there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

_loading = threading.Lock()


def load_source(prefix: str, version: str, source: str) -> ModuleType:
    """Import a module with this source, once however many threads ask for it.

    Parameters
    ----------
    prefix : str
        Start of the module's name.
    version : str
        Of the compiler: another one gets a module of its own.
    source : str
        Python.
    """
    digest = hashlib.sha256(f"{version}\n{source}".encode()).hexdigest()[:16]
    name = f"{prefix}_{digest}"
    with _loading:
        if name not in sys.modules:
            path = _cache_folder() / f"{name}.py"
            _write(path, source)
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None  # the path ends in .py
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            # kernels import each other, and numba looks the functions of its cache up, by name:
            # whoever finds it there must find all of it
            sys.modules[name] = module
        return sys.modules[name]


def _write(path: Path, source: str) -> None:
    """Write a file that is not there yet; a process beside this one never reads half of it."""
    if path.is_file():
        return
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(source)
    Path(file.name).chmod(0o644)  # others may share the folder
    Path(file.name).replace(path)


def scalar_name(dtype: torch.dtype) -> str:
    """Name a floating-point type as NumPy and Triton do."""
    return {torch.float64: "float64", torch.float32: "float32"}[dtype]


@cache
def _cache_folder() -> Path:
    """Return the user's cache folder, or one that lasts as long as this process."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ase_equivar"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="ase_equivar-"))
