"""Running pw.x and ph.x: within a limit of CPU time, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

# one thread each: several structures at a time make better use of the cores
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
STEP = 0.2  # s, between looks at a running program
WALL_PER_CPU = 10  # a program that waits for ever is ended, too
INSTALL = "install Quantum ESPRESSO, on Debian and Ubuntu: apt-get install quantum-espresso"


class StoppedError(Exception):
    """The whole run is to end now."""


class OutOfTimeError(Exception):
    """A program used up the CPU time that it was given."""


def find_program(name: str) -> str:
    """Return the path of a program, or say how to get it.

    Raises
    ------
    FileNotFoundError
        If there is none of that name.
    """
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"there is no program {name}; {INSTALL}")
    return path


def run_program(
    program: str, text: str, folder: Path, limit: float, stop: threading.Event
) -> tuple[str, float]:
    """Run a program of Quantum ESPRESSO.

    Parameters
    ----------
    program : str
    text : str
        Its input.
    folder : pathlib.Path
        Where it runs; input and output stay there, too.
    limit : float
        Seconds of CPU.
    stop : threading.Event
        Ends it early.

    Returns
    -------
    output : str
    seconds : float
        Of CPU.

    Raises
    ------
    OutOfTimeError, StoppedError
    """
    name = Path(program).stem
    (folder / f"{name}.in").write_text(text)
    command = [program, "-in", f"{name}.in"]
    if setpriv := shutil.which("setpriv"):  # so that it ends with us, even if we are killed
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
    return (folder / f"{name}.out").read_text(errors="replace"), before


def _cpu_seconds(process: int) -> float:
    """Return the CPU time of a process so far, 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
