"""Input files: that they are there is checked before any work is done."""

from __future__ import annotations

from pathlib import Path

from ase_equivar.io.file_selection import split_selection


def check_file(path: str | Path) -> Path:
    """Return the path of an input file, or refuse what is none.

    Raises
    ------
    FileNotFoundError
        If there is nothing at that path.
    IsADirectoryError
        If it is a folder.
    ValueError
        If it is a pipe or a device: files are opened more than once, first for their format.
    """
    path = Path(path)
    if not path.exists():
        told = f"there is no file {path}"
        file, part = split_selection(path)
        if Path(file).is_file():
            told += f"; for a part of {file} give --index {part}"
        raise FileNotFoundError(told)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a file")
    if not path.is_file():
        raise ValueError(
            f"{path} is a pipe or a device, which can be read only once; write its content to a "
            "file and give that"
        )
    return path
