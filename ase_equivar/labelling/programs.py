"""Running pw.x and ph.x within a limit of CPU time, without leaving processes behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

# one thread each: it is more efficient to run several structures at a time
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
STEP = 0.2  # s, polling interval of a running program
WALL_PER_CPU = 10  # a program that hangs without using CPU time is ended as well
MOST_SAID = 500  # characters of what a program says before it fails
INSTALL = (
    "install Quantum ESPRESSO, on Debian and Ubuntu: apt-get install quantum-espresso "
    "libopenblas0-serial"
)


class StoppedError(Exception):
    """The run was asked to stop."""


class KilledError(Exception):
    """Something else ended a program, which says nothing of its structure."""


class UnusableError(RuntimeError):
    """A program cannot be started here, whatever the structure."""


class OutOfTimeError(Exception):
    """A program exceeded its limit of CPU time."""


def find_program(name: str) -> str:
    """Return the path of a program, or raise an error that says how to install it.

    Raises
    ------
    FileNotFoundError
        If there is no program of that name.
    """
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"there is no program {name}; {INSTALL}")
    return os.path.abspath(path)  # it is started in another folder


def run_program(
    program: str, text: str, folder: Path, limit: float, stop: threading.Event
) -> tuple[str, float]:
    """Run a program of Quantum ESPRESSO.

    Parameters
    ----------
    program : str
    text : str
        The input of the program.
    folder : pathlib.Path
        Working directory, in which input and output are kept.
    limit : float
        Limit of CPU time, s.
    stop : threading.Event
        Ends the program early when set.

    Returns
    -------
    output : str
    seconds : float
        CPU time, s.

    Raises
    ------
    OutOfTimeError, StoppedError
    KilledError
        If SIGKILL or SIGTERM ended it.
    UnusableError
        If it failed without a word in its output, as where a library is missing.
    """
    name = Path(program).stem
    (folder / f"{name}.in").write_text(text)
    command = [program, "-in", f"{name}.in"]
    if setpriv := shutil.which("setpriv"):  # so that it never outlives this process
        command = [setpriv, "--pdeathsig", "KILL", *command]
    start = time.monotonic()
    before = 0.0
    with (folder / f"{name}.out").open("w") as out, (folder / f"{name}.err").open("w") as err:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | ONE_THREAD,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                before = max(before, _cpu_seconds(process.pid))
                if stop.wait(STEP):
                    raise StoppedError
                if max(before, (time.monotonic() - start) / WALL_PER_CPU) > limit:
                    raise OutOfTimeError
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    output = (folder / f"{name}.out").read_text(errors="replace")
    code = process.returncode
    number = -code if code < 0 else code - 128  # 128 more where a script or mpirun started it
    if number in (signal.SIGKILL, signal.SIGTERM):
        ended_by = signal.Signals(number).name
        raise KilledError(
            f"{name}.x was ended by {ended_by}, perhaps for want of memory; the next run tries it "
            "again"
        )
    if code > 0 and not output.strip():
        said = (folder / f"{name}.err").read_text(errors="replace").strip()
        raise UnusableError(
            f"{program} ends with status {code} and no output"
            f"{': ' if said else ''}{said[-MOST_SAID:]}"
        )
    return output, before


def _cpu_seconds(process: int) -> float:
    """Return the CPU time of a process so far in s; 0 if the system does not report it."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
