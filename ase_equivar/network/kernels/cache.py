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
from functools import cache
from pathlib import Path
from types import ModuleType


def load_source(prefix: str, version: str, source: str) -> ModuleType:
    """Import a module with this source.

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
    path = _cache_folder() / f"{name}.py"
    if not path.is_file():
        # written aside and moved, so that a process beside this one never reads half a file
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(source)
        Path(file.name).chmod(0o644)  # others may share the folder
        Path(file.name).replace(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the path ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba looks the functions of its cache up by module
    spec.loader.exec_module(module)
    return module


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
