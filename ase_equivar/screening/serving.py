"""The process that screens crystals for a `WatchedProcess`; it alone needs PyTorch."""

from __future__ import annotations

import contextlib
import ctypes
import pickle
import signal
import sys
from multiprocessing.connection import Connection

from ase_equivar.screening.evaluation import make_calculators, screen_several
from ase_equivar.screening.row import Recipe

DIE_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG
BAD_INPUT = (ValueError, ImportError, FileNotFoundError, OSError)


def serve(descriptor: int) -> None:
    """Screen the crystals that `WatchedProcess` sends through a connection.

    Sent to it are: the number of crystals to evaluate together, or the exception because of which
    there are no calculators; then for each list of crystals, as they are begun, their indices in
    it, and at last all rows.
    """
    if sys.platform == "linux":  # also where the watcher is killed
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    connection = Connection(descriptor)
    try:
        recipe: Recipe = pickle.loads(connection.recv_bytes())
    except (AttributeError, ImportError) as error:
        connection.send(
            _cannot_start(
                f"it cannot import a factory of the recipe ({error}); give a function of a module, "
                "not of the script or notebook itself"
            )
        )
        return
    try:
        size = make_calculators(recipe)
    except Exception as error:  # of any kind: the factory is the user's
        connection.send(_sendable(error))
        return
    connection.send(size)
    with contextlib.suppress(EOFError, OSError):  # the watcher is gone
        while True:
            connection.send(screen_several(connection.recv(), recipe, connection.send))


def _sendable(error: Exception) -> Exception:
    """Return an exception of its kind that every process can read."""
    for kind in BAD_INPUT:
        if isinstance(error, kind):
            return kind(str(error))
    return _cannot_start(f"{type(error).__name__}: {error}")


def _cannot_start(reason: str) -> RuntimeError:
    return RuntimeError(f"the screening process cannot start: {reason}")
