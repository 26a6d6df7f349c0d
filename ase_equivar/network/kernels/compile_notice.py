"""Notice to the user when kernels are compiled rather than read from the cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from numba.core import event

logger = logging.getLogger(__name__)


@contextmanager
def compilation_announced() -> Iterator[None]:
    """Log, once per process, that numba compiles something within the context."""
    with event.install_listener("numba:compile", _Compilation()):
        yield


class _Compilation(event.Listener):
    def on_start(self, event: event.Event) -> None:
        """Log the notice; called by numba if its cache has no such kernel."""
        _announce()

    def on_end(self, event: event.Event) -> None:
        """Do nothing."""


@cache
def _announce() -> None:
    # as a warning, which is on stderr whether or not a script has set up logging
    logger.warning(
        "Kernels are being compiled, which takes some ten seconds, and again some seconds for the "
        "first larger structure. They are cached for later runs."
    )
