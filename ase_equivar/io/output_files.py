"""Files to be written: refused before any work is done."""

from __future__ import annotations

from pathlib import Path


def check_folder(path: str | Path) -> Path:
    """Return the path of a file to write, or refuse it for want of its folder."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    return path
