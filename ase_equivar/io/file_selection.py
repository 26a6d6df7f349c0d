"""Parts of files: FILE@::5 is every fifth frame of FILE."""

from __future__ import annotations

import re
from pathlib import Path

SELECTION = re.compile(r"-?\d+|-?\d*:-?\d*(:-?\d*)?")  # 7, ::5, -20:


def split_selection(file: str | Path) -> tuple[str, str]:
    """Split ``path@::5`` into path and selection; the default is all frames, ``:``.

    An @ that is not followed by an index or slice belongs to the path.
    """
    path, at, selection = str(file).rpartition("@")
    if at and SELECTION.fullmatch(selection):
        return path, selection
    return str(file), ":"
