"""Parts of files: FILE@::5 is every fifth frame of FILE."""

from __future__ import annotations

import re
from pathlib import Path

SELECTION = re.compile(r"-?\d+|-?\d*:-?\d*(:-?\d*)?")  # 7, ::5, -20:


def frame_index(index: str) -> int | slice:
    """Return which frames of a file an index in ASE's notation takes.

    Raises
    ------
    ValueError
        If it is neither a whole number nor a slice; ASE has names of databases besides.
    """
    if SELECTION.fullmatch(index.strip().removeprefix("+")):
        from ase.io.formats import string2index  # every command imports this module at its start

        chosen = string2index(index)
        if not isinstance(chosen, slice) or chosen.step != 0:
            return chosen
    raise ValueError(
        f"the index {index!r} is neither the number of a frame, such as 0 or -1, nor a slice, "
        "such as ::5"
    )


def split_selection(file: str | Path) -> tuple[str, str]:
    """Split ``path@::5`` into path and selection; the default is all frames, ``:``.

    An @ that is not followed by an index or slice belongs to the path.
    """
    path, at, selection = str(file).rpartition("@")
    if at and SELECTION.fullmatch(selection):
        return path, selection
    return str(file), ":"
