"""What LAMMPS says of itself: its fixes, how far its ghosts reach, and its time."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from ase_equivar.engines.processes import is_first

# They set, project or correct the forces that they find, and LAMMPS goes through its fixes in the
# order in which they were defined.
HOLDING = (
    "setforce", "aveforce", "planeforce", "lineforce", "enforce2d", "freeze", "shake", "rattle",
    "filter",
)  # fmt: skip
FIX = re.compile(r"^Fix\[.*\]:\s*(\S+),\s*style = (\S+),", re.MULTILINE)
GHOST_CUTOFF = re.compile(r"^Communication cutoff = (\S+)", re.MULTILINE)


def is_holding(style: str) -> bool:
    """Whether a style of fix, such as ``setforce/kk``, acts on the forces of those before it."""
    return style.split("/")[0] in HOLDING


def check_no_fix_holds_before(lmp: Any, communicator: Any) -> None:
    """Raise a ValueError if a fix has held atoms before the field's forces would be added."""
    for name, style in FIX.findall(_information(lmp, communicator, "fixes")):
        if is_holding(style):
            raise ValueError(
                f"the fix {name!r} ({style}) is defined before the field, whose forces would be "
                "added after it has acted on those of the atoms: unfix it, and define it again "
                "after field_fix"
            )


def time_of(lmp: Any, step: int) -> float:
    """Return LAMMPS' time of a step, fs."""
    steps = step - lmp.extract_global("atimestep")
    time = lmp.extract_global("atime") + steps * lmp.extract_global("dt")
    return float(time / lmp.extract_global("femtosecond"))


def ghost_cutoff(lmp: Any, communicator: Any) -> float:
    """Return the distance to which LAMMPS has had ghosts, or was told to have them, Å."""
    found = GHOST_CUTOFF.search(_information(lmp, communicator, "comm"))
    return float(found[1]) if found else 0.0


def _information(lmp: Any, communicator: Any, category: str) -> str:
    """Return what ``info`` writes, which the first process does; all must call this."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "info"
        if communicator is not None:
            path = communicator.bcast(path)
        lmp.command(f'info {category} out overwrite "{path}"')
        text = path.read_text(errors="replace") if is_first(communicator) else ""
        return text if communicator is None else str(communicator.bcast(text))
