"""Output files: checked before any work is done, and never left half written."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_folder(path: str | Path) -> Path:
    """Return the path of an output file, or refuse it if it cannot be written.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    IsADirectoryError
        If the path is that of a folder.
    PermissionError
        If the folder, or the file that would be replaced, is write-protected.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path} is a link to {target}, and there is no such folder")
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(f"{path} is write-protected; give another name")
    # files are written beside the old one, which they replace; devices are written to
    is_replaced = target.is_file() or not target.exists()
    if is_replaced and not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"nothing can be written into {target.parent}; give another folder")
    return path


def make_folder(path: str | Path) -> Path:
    """Create a folder for outputs, and those above it, unless it is there.

    Raises
    ------
    NotADirectoryError
        If it is a file, or lies below one.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(f"{path} is not a folder, or lies below a file") from None
    return path


def check_output(path: str | Path, *data: str) -> Path:
    """Return the path of an output file, or refuse it if its ending is not a known format.

    Parameters
    ----------
    path : str or pathlib.Path
    *data : str
        Endings allowed in addition to those of pictures, such as ".csv".

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        As `check_folder`.
    ValueError
        If the ending is neither one of these nor a picture format of matplotlib.
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
    """Yield a temporary path, whose file replaces `path` once it is completely on disk.

    If the process is killed or the disk is full, the earlier file remains unchanged. The temporary
    file has the ending of `path`, because some writers choose their format by it.

    Parameters
    ----------
    path : str or pathlib.Path
        The output file. If it is a symbolic link, the file to which it points is replaced. A device
        or a pipe, such as /dev/stdout, is written to directly.

    Yields
    ------
    pathlib.Path
        Path to write to.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        As `check_folder`.
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
        _to_disk(target.parent)  # make the new name durable
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(path: str | os.PathLike[str]) -> None:
    """Remove what `replacing` left of a file when its process was killed.

    Parameters
    ----------
    path : str or pathlib.Path
        The output file, which no other process may be writing: the caller holds its lock.
    """
    target = Path(os.path.realpath(path))
    own = re.compile(rf"\.{re.escape(target.stem)}\.\d+\.partial{re.escape(target.suffix)}")
    for path in target.parent.glob(".*.partial*"):  # none where there is no such folder
        if own.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text completely or not at all; see `replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems cannot do this for folders
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
