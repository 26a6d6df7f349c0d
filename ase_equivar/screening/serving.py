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
BAD_INPUT = (ValueError, ImportError, FileNotFoundError, OSError)  # the first that fits


def serve(descriptor: int) -> None:
    """Screen the crystals that `WatchedProcess` sends through a connection.

    Sent to it are: the number of crystals to evaluate together, or the exception because of which
    there are no calculators; then for each list of crystals, as they are begun, their indices in
    it, and at last all rows.
    """
    if sys.platform == "linux":  # also where the watcher is killed
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):  # the watcher is gone
        content = connection.recv_bytes()
        told: int | Exception
        try:
            recipe = _recipe(content)
            told = make_calculators(recipe)
        except Exception as error:  # of any kind: the factories are the user's
            told = _sendable(error)
        connection.send(told)
        while not isinstance(told, Exception):
            connection.send(screen_several(connection.recv(), recipe, connection.send))


def _recipe(content: bytes) -> Recipe:
    try:
        recipe: Recipe = pickle.loads(content)
    except (AttributeError, ImportError) as error:
        raise ValueError(
            f"another process cannot import a factory of the recipe ({error}); give a function of "
            "a module, not of the script or notebook itself"
        ) from error
    return recipe


def _sendable(error: Exception) -> Exception:
    """Return an error that every process can read, of the same kind if it is of bad input."""
    for kind in BAD_INPUT:
        if isinstance(error, kind):
            return kind(str(error))
    return RuntimeError(f"the screening process cannot start: {type(error).__name__}: {error}")
