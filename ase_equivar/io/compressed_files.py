"""Files that may be compressed, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

OPENERS_BY_MARK: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""What opens a compressed file, by its first bytes: the kinds that ASE knows."""
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
PIECE = 4096  # bytes


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file for reading its bytes, unpacked if it is compressed."""
    with path.open("rb") as file:
        start = file.read(max(map(len, OPENERS_BY_MARK)))
    for mark, opener in OPENERS_BY_MARK.items():
        if start.startswith(mark):
            unpacked: BinaryIO = opener(path)
            return unpacked
    return path.open("rb")


def read_head(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, unpacked if it is compressed."""
    head = b""
    with open_unpacked(path) as file:
        try:
            while len(head) < size and (piece := file.read(PIECE)):
                head += piece
        except DAMAGED:  # reported when all of it is read
            pass
    return head[:size]


def read_text(path: Path) -> str:
    """Return the text of a file, unpacked if it is compressed.

    Raises
    ------
    ValueError
        If it is compressed and damaged.
    """
    with open_unpacked(path) as file:
        try:
            data = file.read()
        except DAMAGED as error:
            raise ValueError(f"{path}: the compressed data are damaged ({error})") from error
    return data.decode("utf-8", errors="replace")
