"""Tell the user what takes long: kernels that are compiled, and not read from the cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from numba.core import event

logger = logging.getLogger(__name__)


@contextmanager
def compilation_announced() -> Iterator[None]:
    """Log, once in a process, that numba compiles something inside."""
    with event.install_listener("numba:compile", _Compilation()):
        yield


class _Compilation(event.Listener):
    def on_start(self, event: event.Event) -> None:
        """Say so; numba asks for it when its cache has no such kernel."""
        _announce()

    def on_end(self, event: event.Event) -> None:
        """Nothing to say."""


@cache
def _announce() -> None:
    # as a warning, which is on stderr whether or not a script has set up logging
    logger.warning(
        "Kernels are being compiled, which takes some ten seconds, and some again when the first "
        "larger structure comes. They are kept for the next time."
    )
