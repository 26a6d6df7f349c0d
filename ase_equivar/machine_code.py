"""numba's ``njit`` with machine code that is kept as `compile_cache` keeps it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

from ase_equivar.compile_cache import (
    KernelNotKeptError,
    cache_folder,
    compilation_is_off,
    read_verified,
    write_verified,
)

logger = logging.getLogger(__name__)

FORMAT = "1"  # of what is kept


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a decorator like ``njit``.

    numba's own ``cache=True`` fails where a file of its cache is damaged, and where there is no
    folder that it can write to.

    Parameters
    ----------
    **options
        Those of ``numba.njit``, without `cache`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(**options)(function)
        dispatcher._cache = _KeptMachineCode(function, options)
        return dispatcher

    return decorate


class _KeptMachineCode(_Cache):
    """What numba asks for machine code before it compiles, and gives what it compiled."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function, self._options = function, options
        self._form = CompileResultCacheImpl.__new__(CompileResultCacheImpl)

    @property
    def cache_path(self) -> str | None:
        folder = cache_folder()
        return None if folder is None else str(folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = self._kept(sig, target_context)
        if found is None and compilation_is_off():
            raise KernelNotKeptError(self._function.__name__)
        return found

    def _kept(self, sig: Any, target_context: Any) -> Any:
        # Machine code needs the memory of numba only. numba refreshes its whole context here, which
        # imports half of SciPy; before it compiles anything, it does so anyway.
        rtsys.initialize(target_context)
        path = self._path(sig, target_context.codegen())
        if path is None:
            return None
        try:
            return self._form.rebuild(target_context, pickle.loads(read_verified(path)))
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever damage does to a pickle
            logger.info("%s is damaged and is made anew: %r", path, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        path = self._path(sig, data.codegen)
        if path is None or data.lifted or data.library.has_dynamic_globals:
            return
        try:
            write_verified(path, dumps(self._form.reduce(data)))
        except Exception as error:  # a full disk, say
            logger.info("%s cannot be kept: %r", path, error)

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        folder = cache_folder()
        if folder is None:
            return None
        function = self._function
        key = (
            FORMAT,
            function.__module__,
            function.__qualname__,
            source_digest(function.__code__.co_filename),
            sorted(self._options.items()),
            str(sig),
            codegen.magic_tuple(),  # platform, processor and its features
        )
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        return folder / f"{function.__name__}-{digest}.bin"

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...


@cache
def source_digest(file: str) -> str:
    """Tell sources apart; the text of a generated module is in its name."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return file
