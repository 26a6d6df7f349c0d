"""Commands of LAMMPS while a field is on: which are refused, and what follows on its end."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ase_equivar.warning_types import FieldWarning

REFUSED = {
    "minimize": "a field has no energy that LAMMPS could minimize",
    "min_style": "a field has no energy that LAMMPS could minimize",
    "rerun": "the field belongs to the dynamics",
    "run_style": "multiple time steps would take the field's forces at the wrong times",
}
MOST_INCLUDES = 16  # nesting depth of included files, the limit of LAMMPS
TRIPLE = '"""'
QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
OWN_FIXES = ("_log", "", "_atoms")  # what their names have after that of the field
OWN_COMPUTES = ("_pe", "_ke")


def whole_lines(text: str) -> list[str]:
    """Return the commands of a LAMMPS input.

    "&" continues a command on the next line, and triple quotes hold lines together.
    """
    commands: list[str] = []
    is_open = False
    for line in re.sub(r"&[ \t]*\n", " ", text).splitlines():
        if is_open:
            commands[-1] += "\n" + line
        else:
            commands.append(line)
        is_open ^= line.count(TRIPLE) % 2 == 1
    return commands


def words_of(line: str) -> list[str]:
    """Return the words of a command without its comment."""
    return line.split("#")[0].split()


def words_inside(line: str) -> list[str]:
    """Return the words of a command, and those of commands that it has in quotation marks."""
    return " ".join(words_of(line)).replace('"', " ").replace("'", " ").split()


def commands_inside(line: str) -> list[str]:
    """Return the commands that ``if`` or ``run every`` has in quotation marks."""
    words = words_of(line)
    if words[:1] == ["if"]:
        line = " ".join(re.split(r"\sthen\s", line, maxsplit=1)[1:])
    elif words[:1] != ["run"] or "every" not in words:
        return []
    return [one or other for one, other in QUOTED.findall(line)]


def included_commands(line: str) -> list[str]:
    """Return the commands of the file that a command includes, if there is such a file."""
    words = words_inside(line)
    if words[:1] != ["include"] or len(words) < 2 or not Path(words[1]).is_file():
        return []
    return whole_lines(Path(words[1]).read_text(encoding="utf-8"))


def refuse(line: str, identifier: str, *, ghosts: float, logged: bool, depth: int = 0) -> None:
    """Refuse a LAMMPS command that would make the field wrong.

    Parameters
    ----------
    line : str
        The command.
    identifier : str
        Of the field.
    ghosts : float
        Distance to which Z* need ghosts, Å; 0 with one process.
    logged : bool
        Whether the field has a log.
    depth : int
        Of the file in which the command is.

    Raises
    ------
    ValueError
        Saying why.
    """
    words = words_of(line)
    if not words:
        return
    words[0] = words[0].strip("\"'")
    if words[0].startswith("$"):
        raise ValueError(
            f"{line.strip()!r} in a field: the command is in a variable, and may be one that is "
            "refused; write it out"
        )
    if depth < MOST_INCLUDES:
        for one in (*included_commands(line), *commands_inside(line)):
            refuse(one, identifier, ghosts=ghosts, logged=logged, depth=depth + 1)
    if words[0] in REFUSED and (words[0] != "run_style" or "respa" in words):
        raise ValueError(f"{' '.join(words[:2])} in a field: {REFUSED[words[0]]}")
    if words[0] == "comm_modify" and ghosts:
        _refuse_fewer_ghosts(words, ghosts)
    if words[0] == "reset_timestep" and logged:
        raise ValueError(
            "reset_timestep in a field with a log, whose times would not ascend: put it before "
            "field_fix, or unfix the field and add it again with another log"
        )
    without_energy = "energy no" in " ".join(words[2:])
    if words[:2] == ["fix_modify", identifier] and without_energy:
        raise ValueError(
            f"{' '.join(words)}: the work of the field is part of LAMMPS' energy, without which "
            "that is not conserved"
        )


def _refuse_fewer_ghosts(words: list[str], ghosts: float) -> None:
    """Refuse ``comm_modify`` if it may leave less ghosts than Z* need."""
    needed = f"Z* need ghosts out to {ghosts} Å: 'comm_modify cutoff {ghosts}' or more"
    if any(one in words for one in ("multi", "multi/old", "group")):
        raise ValueError(f"{' '.join(words)}: {needed}, in mode single and of all atoms")
    if "cutoff" in words[:-1]:
        given = words[words.index("cutoff") + 1]
        try:
            enough = float(given) >= ghosts
        except ValueError:
            raise ValueError(f"{needed}; give it as a number, instead of {given!r}") from None
        if not enough:
            raise ValueError(needed)


def watch_commands(lmp: Any, fix: Any, identifier: str, *, ghosts: float, logged: bool) -> None:
    """Let commands of LAMMPS refuse what is wrong in a field, raise its errors and tell its end.

    Texts and files of several commands are given to LAMMPS one command after the other, so that
    none follows on an error of the field; but for those with loops or texts of several lines, and
    for included files, which LAMMPS must read as a whole.
    """
    plain = lmp.command
    ended = False  # a later fix of this name is another field's

    def guarded(run: Callable[[Any], Any], given: Any, lines: Iterable[str]) -> Any:
        nonlocal ended
        if ended:
            return run(given)
        for line in lines:
            if words_of(line) == ["unfix", identifier]:
                break
            refuse(line, identifier, ghosts=ghosts, logged=logged)
        try:
            result = run(given)
        except Exception:  # LAMMPS' module has its own exception classes
            fix.raise_error()  # the reason, if there is one
            raise
        finally:
            ended = not lmp.has_id("fix", identifier)
            if ended:
                remove_field(lmp, plain, identifier)
        fix.raise_error()
        if ended:
            warnings.warn(
                f"the fix '{identifier}' was removed: the field has ended, and later runs are "
                f"without it and the Z* in d2_{identifier}_born. Add it again with field_fix if "
                "that was not intended",
                FieldWarning,
                stacklevel=3,
            )
        return result

    @functools.wraps(plain)
    def command(given: str) -> Any:
        return guarded(plain, given, [given])

    def watched(name: str) -> Callable[..., Any]:
        as_a_whole = getattr(lmp, name)

        @functools.wraps(as_a_whole)
        def run(given: Any) -> Any:
            text = Path(given).read_text(encoding="utf-8") if name == "file" else given
            lines = whole_lines(text if isinstance(text, str) else "\n".join(text))
            if any(TRIPLE in line or "jump" in words_inside(line) for line in lines):
                return guarded(as_a_whole, given, lines)
            for line in lines:
                if words_of(line):
                    lmp.command(line)
            return None

        return run

    lmp.command = command
    for name in ("commands_list", "commands_string", "file"):
        setattr(lmp, name, watched(name))


def remove_field(lmp: Any, command: Callable[[str], Any], identifier: str) -> None:
    """Remove what is left in LAMMPS of a field whose fix has gone, or could not be added."""
    for part in OWN_FIXES:
        if lmp.has_id("fix", identifier + part):
            command(f"unfix {identifier}{part}")
    for part in OWN_COMPUTES:
        if lmp.has_id("compute", identifier + part):
            command(f"uncompute {identifier}{part}")
