"""Files to be written: refused before any work is done, and never left half written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_folder(path: str | Path) -> Path:
    """Return the path of a file to write, or refuse it for want of its folder."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    return path


def check_output(path: str | Path, *data: str) -> Path:
    """Return the path of a file to write whose ending tells its format, or refuse it.

    Parameters
    ----------
    path : str or pathlib.Path
    *data : str
        Endings that are no pictures and may be written too, such as ".csv".

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If the ending is none of these, and no picture that matplotlib writes.
    """
    path = check_folder(path)
    if path.suffix not in data:
        from matplotlib.figure import Figure

        formats = [f".{name}" for name in Figure().canvas.get_supported_filetypes()]
        if path.suffix not in formats:
            kind = "format" if data else "picture format"
            raise ValueError(
                f"the name {path.name!r} tells no {kind}; use one of {', '.join([*data, *formats])}"
            )
    return path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, whose file takes the place of `path` when all of it is on the disk.

    Whoever is killed or finds the disk full meanwhile leaves the earlier file as it was. What the
    new file is called has the ending of `path`, as some writers choose their format by it.

    Parameters
    ----------
    path : str or pathlib.Path
        Of the file. Where it is a symbolic link, the file that it points to is replaced. A device
        or a pipe, such as /dev/stdout, is written to as it is.

    Yields
    ------
    pathlib.Path
        Where to write.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    target = check_folder(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    partial = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        yield partial
        if target.exists():
            shutil.copymode(target, partial)
        _to_disk(partial)
        partial.replace(target)
        _to_disk(target.parent)  # the new name
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text as a whole or not at all; see `replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems cannot do so for folders
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
