"""A process of its own for crystals, which can be ended, and limits of time and memory for each.

The time and memory of a symmetry search or a relaxation cannot be predicted, and neither can be
stopped from within. One process therefore does the work and reports which crystal it is working on.
Another one watches it, and ends it if a crystal exceeds a limit: that crystal gets a row with the
problem, and a new process continues with the others. The same happens if the process ends by
itself, twice, at a crystal.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from ase_equivar.arguments import positive_number, store_checked
from ase_equivar.screening.row import Recipe, Row
from ase_equivar.screening.structures import Entry
from ase_equivar.structures.formula import empirical_formula

INTERVAL = 0.05  # s between two looks at the memory
MORE_THAN, ENDED = "takes more than", "its process was ended twice"
ATTEMPTS = 2  # a process may be ended by others, too


@dataclass(frozen=True)
class Limits:
    """Limits for one crystal.

    Attributes
    ----------
    seconds : float
        Wall time, without that of making the calculators.
    gigabytes : float
        Memory of the process, Python and the models included. Watched on Linux only.
    """

    seconds: float = 3600.0
    gigabytes: float = 8.0

    def __post_init__(self) -> None:
        store_checked(
            self,
            seconds=positive_number("seconds", self.seconds, "s"),
            gigabytes=positive_number("gigabytes", self.gigabytes, "GB"),
        )

    def exceeded(self, began: float, pid: int) -> str:
        """Return what a crystal exceeds, or an empty text.

        Parameters
        ----------
        began : float
            When it was begun, by the monotonic clock.
        pid : int
            Of the process that works on it.
        """
        if time.monotonic() - began > self.seconds:
            return f"{MORE_THAN} {self.seconds:.12g} s (--time-limit)"
        if _memory(pid) > self.gigabytes:
            return f"{MORE_THAN} {self.gigabytes:.12g} GB (--memory-limit)"
        return ""


def could_go_further(row: Row, limits: Limits | None) -> bool:
    """Whether a row tells of a limit below those given now, or of a process that was ended.

    The latter without limits: there is no other process then, and it might end this one.

    Parameters
    ----------
    row : Row
        From a journal.
    limits : Limits, optional
        Those of the present run.
    """
    problem = row.problem or ""
    if problem.startswith(MORE_THAN):
        if limits is None:
            return True
        value, unit = problem.removeprefix(MORE_THAN).split()[:2]
        return {"s": limits.seconds, "GB": limits.gigabytes}[unit] > float(value)
    return limits is not None and problem.startswith(ENDED)


@dataclass(frozen=True)
class _Failure:
    """Why a process did not come to the end of a batch.

    Attributes
    ----------
    problem : str
    number : int or None
        Of the crystal it was working on; None if all were evaluated together.
    final : bool
        Whether another attempt would fail too.
    """

    problem: str
    number: int | None
    final: bool


@dataclass
class WatchedProcess:
    """Screens crystals in a process of its own, within limits if there are any.

    The process is started for the first crystals at the latest, and kept until `stop`.
    """

    recipe: Recipe
    limits: Limits | None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)
    _batch_size: int = field(default=1, init=False)
    _is_stopped: bool = field(default=False, init=False)

    def start(self) -> int:
        """Start the process now, and make its calculators.

        Returns
        -------
        int
            How many crystals to evaluate together.

        Raises
        ------
        ValueError, ImportError, OSError
            Those of a factory, with its message.
        RuntimeError
            If the process cannot start for another reason.
        """
        self._started()
        return self._batch_size

    def screen(self, entries: Sequence[Entry]) -> list[Row]:
        """Return the rows of `screen_several`; that of a crystal over a limit says which one.

        The other crystals of its batch are calculated again without it.

        Raises
        ------
        RuntimeError
            If `stop` is called meanwhile. Further errors as `start`.
        """
        rows: dict[int, Row] = {}
        failures: Counter[int] = Counter()
        groups = [list(range(len(entries)))]
        while groups:
            group = groups.pop()
            found = self._attempt([entries[k] for k in group])
            if not isinstance(found, _Failure):
                rows.update(zip(group, found, strict=True))
                continue
            self._end()
            if found.number is None and len(group) > 1:  # which of them is unknown
                groups += [[k] for k in reversed(group)]
                continue
            at_fault = group[found.number or 0]
            failures[at_fault] += 1
            if found.final or failures[at_fault] == ATTEMPTS:
                rows[at_fault] = _row_of_problem(entries[at_fault], found.problem)
                group.remove(at_fault)
            if group:
                groups.append(group)
        return [rows[k] for k in range(len(entries))]

    def stop(self) -> None:
        """End the process for good, whatever it does and whichever thread waits for it."""
        self._is_stopped = True
        process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def _end(self) -> None:
        """End the process, so that a new one is started for the next crystals."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _attempt(self, entries: Sequence[Entry]) -> list[Row] | _Failure:
        """Return the rows, or why there are none."""
        process, connection = self._started()
        number: int | None = 0
        try:
            connection.send(entries)
            began = time.monotonic()
            while True:
                while self.limits is not None and not connection.poll(INTERVAL):
                    problem = self.limits.exceeded(began, process.pid)
                    if problem:
                        return _Failure(problem, number, True)
                told: list[Row] | int | None = connection.recv()
                if isinstance(told, list):
                    return told
                if told != number:
                    began = time.monotonic()
                number = told
        except (EOFError, OSError):
            code = process.wait()
            if self._is_stopped:
                raise RuntimeError("the screening was stopped") from None
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            problem = f"{ENDED} ({how}); out of memory, perhaps"
            return _Failure(problem, number, False)

    def _started(self) -> tuple[subprocess.Popen[bytes], Connection]:
        """Return the process, started and with its calculators made."""
        if self._process is not None and self._connection is not None:
            return self._process, self._connection
        try:
            recipe = pickle.dumps(self.recipe)
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise TypeError(
                f"a factory of the recipe cannot be sent to another process ({error}); give a "
                "function of a module, or functools.partial of one"
            ) from error
        ours, theirs = Pipe()
        # Not multiprocessing.Process: it runs the user's script again, and dask's workers may have
        # none. Not fork: threads of torch do not survive it.
        command = (  # the watcher ends it, also if it is interrupted before it has imported this
            "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            f"from {__package__}.serving import serve; serve({theirs.fileno()})"
        )
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", command], pass_fds=[theirs.fileno()], env=environment
        )
        self._connection = ours
        theirs.close()
        if self._is_stopped:  # by a thread that did not see this process yet
            self._process.kill()
        try:
            ours.send_bytes(recipe)
            told: int | Exception = ours.recv()
        except (EOFError, OSError):
            told = RuntimeError("the screening process ended before it was ready")
        if isinstance(told, Exception):
            self._end()
            raise told
        self._batch_size = told
        return self._process, ours


_WATCHED: dict[bytes, WatchedProcess] = {}
_ONE_AT_A_TIME = threading.Lock()


def screen_within(entries: Sequence[Entry], recipe: Recipe, limits: Limits) -> list[Row]:
    """Return the rows of some crystals, calculated in a process that is kept for the next ones.

    For workers of a dask cluster; the process ends with its worker.
    """
    with _ONE_AT_A_TIME:
        key = pickle.dumps((recipe, limits))
        if key not in _WATCHED:
            _WATCHED[key] = WatchedProcess(recipe, limits)
        return _WATCHED[key].screen(entries)


def _row_of_problem(entry: Entry, problem: str) -> Row:
    atoms = entry.read()
    formula = None if isinstance(atoms, str) else empirical_formula(atoms)
    return Row(entry.name, formula, problem=problem)


def _memory(pid: int) -> float:
    """Return how much memory a process holds, GB; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
