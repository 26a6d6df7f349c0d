"""A limit of time and memory for each crystal, in a process of its own that can be ended.

What a symmetry search or a relaxation needs cannot be foreseen for every crystal that a database
holds, and neither can be stopped from within. So one process does crystal after crystal, another
watches it, and ends it where a crystal takes too much: that is a row with a problem, and a fresh
process goes on with the next.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from ase import Atoms

from ase_equivar.arguments import positive_number
from ase_equivar.screening.row import Recipe, Row, make_calculators, screen_one
from ase_equivar.structures.formula import empirical_formula

INTERVAL = 0.05  # s between two looks at the memory
ATTEMPTS = 2  # a process may be ended by others, too
DIE_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Limits:
    """What one crystal may take.

    Attributes
    ----------
    seconds : float
        On the clock, once the calculators are made.
    gigabytes : float
        Of memory, together with Python and the models. Watched on Linux only.
    """

    seconds: float = 3600.0
    gigabytes: float = 8.0

    def __post_init__(self) -> None:
        for name, unit in (("seconds", "s"), ("gigabytes", "GB")):
            object.__setattr__(self, name, positive_number(name, getattr(self, name), unit))


@dataclass
class WatchedProcess:
    """Screens crystals in a process of its own, within limits; leave its context to end it."""

    recipe: Recipe
    limits: Limits
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)

    def __enter__(self) -> WatchedProcess:
        """Start nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.end()

    def screen_one(self, name: str, atoms: Atoms) -> Row:
        """Return what `row.screen_one` does, or a row that says which limit was exceeded."""
        problem = ""
        for _ in range(ATTEMPTS):
            found = self._attempt(name, atoms)
            if isinstance(found, Row):
                return found
            self.end()
            problem, final = found
            if final:
                break
        return Row(name, empirical_formula(atoms), problem=problem)

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _attempt(self, name: str, atoms: Atoms) -> Row | tuple[str, bool]:
        """Return the row, or the problem and whether another attempt is in vain."""
        process, connection = self._started()
        try:
            connection.send((name, atoms))
            began = time.monotonic()
            while not connection.poll(INTERVAL):
                if time.monotonic() - began > self.limits.seconds:
                    return f"takes more than {self.limits.seconds:g} s (--time-limit)", True
                if _memory(process.pid) > self.limits.gigabytes:
                    return f"takes more than {self.limits.gigabytes:g} GB (--memory-limit)", True
            row: Row = connection.recv()
        except (EOFError, OSError):
            code = process.wait()
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return f"its process was ended twice ({how}); out of memory, perhaps", False
        return row

    def _started(self) -> tuple[subprocess.Popen[bytes], Connection]:
        """Return the process, started and with its calculators made."""
        if self._process is not None and self._connection is not None:
            return self._process, self._connection
        ours, theirs = Pipe()
        # Not multiprocessing.Process: it runs the user's script again, and dask's workers may have
        # none. Not fork: threads of torch do not survive it.
        command = f"from {__name__} import serve; serve({theirs.fileno()})"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", command], pass_fds=[theirs.fileno()], env=environment
        )
        self._connection = ours
        theirs.close()
        try:
            ours.send_bytes(pickle.dumps(self.recipe))
            ready = ours.recv()
        except (EOFError, OSError):
            ready = "it ended before it was ready"
        if ready is not None:
            self.end()
            raise RuntimeError(f"the process that should screen cannot start: {ready}")
        return self._process, ours


_WATCHED: dict[bytes, WatchedProcess] = {}
_ONE_AT_A_TIME = threading.Lock()


def screen_within(name: str, atoms: Atoms, recipe: Recipe, limits: Limits) -> Row:
    """Return the row of a crystal; the process that does it is kept for the next one.

    For workers of a dask cluster: it ends with them.
    """
    with _ONE_AT_A_TIME:
        key = pickle.dumps((recipe, limits))
        if key not in _WATCHED:
            _WATCHED[key] = WatchedProcess(recipe, limits)
        return _WATCHED[key].screen_one(name, atoms)


def serve(descriptor: int) -> None:
    """Screen what comes through a connection: the other side of `WatchedProcess`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the watcher ends this process
    if sys.platform == "linux":  # also where the watcher is killed
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    connection = Connection(descriptor)
    try:
        recipe: Recipe = pickle.loads(connection.recv_bytes())
        make_calculators(recipe)
    except Exception as error:  # a factory runs whatever its author wrote
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    with contextlib.suppress(EOFError, OSError):  # the watcher is gone
        while True:
            name, atoms = connection.recv()
            connection.send(screen_one(name, atoms, recipe))


def _memory(pid: int) -> float:
    """Return how much memory a process holds, GB; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
