"""Compiled kernels, kept from one process to the next in the user's cache folder.

That is ``$XDG_CACHE_HOME/ase_equivar``, or ``~/.cache/ase_equivar``, with a folder for each version
of this package, of numba and of Python. A cache may save time, never cost a result: each file
begins with the hash of the rest, and what does not fit is compiled again; without a folder that is
the user's alone, nothing is kept.
"""

from __future__ import annotations

import hashlib
import linecache
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

logger = logging.getLogger(__name__)

DIGEST = 32  # bytes of SHA-256
MOST_BYTES = 200_000_000  # of one folder; all bundled models take some ten million
MOST_VERSIONS = 3

_loading = threading.Lock()


class KernelNotKeptError(Exception):
    """A kernel is not in the cache, within `only_kept_kernels`."""


class _Compilation(threading.local):
    is_off = False


_compilation = _Compilation()


def compilation_is_off() -> bool:
    """Whether this thread is within `only_kept_kernels`."""
    return _compilation.is_off


@contextmanager
def only_kept_kernels(is_off: bool = True) -> Iterator[None]:
    """Raise `KernelNotKeptError` where a kernel would have to be compiled, in this thread.

    Parameters
    ----------
    is_off : bool
        False: change nothing.
    """
    before, _compilation.is_off = _compilation.is_off, _compilation.is_off or is_off
    try:
        yield
    finally:
        _compilation.is_off = before


@cache
def numba_works() -> bool:
    """Whether numba can be imported; if not, a warning says why and what follows, once."""
    try:
        import numba  # noqa: F401
    except ImportError as error:  # absent, or too old for this NumPy
        logger.warning(
            "numba cannot be imported (%s). PyTorch alone computes Z* on the CPU: the numbers are "
            "the same to rounding, a large structure takes several times as long.",
            error,
        )
        return False
    return True


def load_source(prefix: str, version: str, source: str) -> ModuleType:
    """Make a module with this source, once however many threads ask for it.

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
            module = ModuleType(name)
            module.__file__ = f"<ase_equivar kernel {name}>"
            lines = source.splitlines(keepends=True)
            # Triton reads its kernels' source, and tracebacks show it
            linecache.cache[module.__file__] = (len(source), None, lines, module.__file__)
            exec(compile(source, module.__file__, "exec"), module.__dict__)
            # kernels import each other, and numba looks the functions of its cache up, by name:
            # whoever finds it there must find all of it
            sys.modules[name] = module
        return sys.modules[name]


def read_verified(path: Path) -> bytes:
    """Read a file, and check that it is as it was written.

    Raises
    ------
    ValueError
        If it is not.
    """
    content = path.read_bytes()
    digest, payload = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError("its hash does not fit")
    return payload


def write_verified(path: Path, payload: bytes) -> None:
    """Write a file whole, so that a process beside this one never reads half of it."""
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    _keep_small(path.parent)


def _keep_small(folder: Path) -> None:
    """Remove the oldest files, should there be too many bytes."""
    found = sorted((file.stat().st_mtime, file) for file in folder.glob("*.bin"))
    excess = sum(file.stat().st_size for _, file in found) - MOST_BYTES
    for _, file in found:
        if excess <= 0:
            return
        excess -= file.stat().st_size
        file.unlink(missing_ok=True)


@cache
def cache_folder() -> Path | None:
    """Give the folder of this version, or None where nothing can be kept.

    Code is loaded from there: it must belong to the user, and nobody else may write to it.
    """
    from importlib.metadata import version

    import ase_equivar

    name = (
        f"{ase_equivar.__version__}-numba{version('numba')}"
        f"-python{sys.version_info.major}.{sys.version_info.minor}"
    )
    try:
        folder = _users_caches() / "ase_equivar" / name
        is_new = not folder.is_dir()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours_alone(folder):
            raise PermissionError(f"{folder} belongs to, or can be written by, somebody else")
        with tempfile.TemporaryFile(dir=folder):
            pass
        if is_new:
            _drop_old_versions(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home
        logger.warning("kernels are compiled anew in each process: %s", error)
        return None
    return folder


def _users_caches() -> Path:
    """Follow the XDG base directory specification, which ignores paths that are relative."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return chosen if chosen.is_absolute() else Path.home() / ".cache"


def _is_ours_alone(folder: Path) -> bool:
    if not hasattr(os, "getuid"):  # Windows: folders of a user are
        return True
    state = folder.stat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o022


def _drop_old_versions(newest: Path) -> None:
    """Remove what versions have left that were used longest ago."""
    others = [one for one in newest.parent.iterdir() if one != newest]
    versions = [one for one in others if one.is_dir() and "-numba" in one.name]
    versions.sort(key=lambda one: one.stat().st_mtime, reverse=True)
    for folder in versions[MOST_VERSIONS - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
