"""Start of the programs that run LAMMPS in a field, on any number of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MPIEXEC = Path(sys.executable).parent / "mpiexec"
TESTS = str(Path(__file__).parents[1])
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")]),
}

Case = tuple[str, dict[str, Any]]


def mpi_command(program: str, n: int, *cases: Case) -> Sequence[str]:
    """Return the command that runs these cases of a program on `n` processes."""
    return [str(MPIEXEC), "-n", str(n), sys.executable, program, json.dumps(cases)]


def results(program: str, n: int, *cases: Case) -> list[dict[str, Any]]:
    """Return what these cases of a program give on `n` processes."""
    done = subprocess.run(
        mpi_command(program, n, *cases),
        capture_output=True,
        text=True,
        timeout=500,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == len(cases)
    return [json.loads(line.removeprefix("RESULT ")) for line in lines]
