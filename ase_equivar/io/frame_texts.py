"""The text of extended XYZ files, split into frames by their numbers of atoms."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

GZIPPED = 31  # zlib's setting for data with a gzip header
PIECE = 256  # bytes
MOST_DIGITS = 9  # of a number of atoms


@dataclass(frozen=True)
class FrameText:
    """The text of one frame.

    Attributes
    ----------
    text : str
        With the end of its last line; empty if there is trouble.
    trouble : str
        Why neither this frame nor what may follow can be read.
    position : int
        Bytes of the file that were read so far, at least.
    """

    text: str
    trouble: str = ""
    position: int = 0


def frames_in_file(path: Path) -> Iterator[FrameText]:
    """Yield the frames of a file as they are read: it need not fit into memory.

    It may be compressed, if its ending is one of `UNPACKERS_BY_SUFFIX`.

    Where the number of atoms is missing, or the file or its compressed data end too early, the last
    one says so.
    """
    with path.open("rb") as file:
        unpacked = UNPACKERS_BY_SUFFIX.get(path.suffix)
        lines = _Lines(file if unpacked is None else unpacked(file))
        for text in _frames(lines):
            yield FrameText(text.replace("\r\n", "\n"), position=file.tell())
        if lines.trouble:
            yield FrameText("", lines.trouble, position=file.tell())


def complete_frames(text: str, name: str) -> list[str]:
    """Split the text of a file that is written frame by frame; omit an incomplete last frame.

    Parameters
    ----------
    text : str
    name : str
        Name of the file, for messages.

    Raises
    ------
    ValueError
        If the last complete frame is followed by anything but the start of a frame.
    """
    lines = text.split("\n")[:-1]
    frames = list(_frames(_Lines(line.encode() + b"\n" for line in lines)))
    first, newline, _ = text[sum(map(len, frames)) :].partition("\n")
    if newline and first.strip() and not first.strip().isdecimal():
        raise ValueError(
            f"{name} is damaged or not an extended XYZ file: where frame {len(frames)} should "
            f"begin with its number of atoms, there is {first[:40]!r}"
        )
    return frames


class _Lines:
    """Lines of a file one after the other, of which some may be put back."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._ahead: list[bytes] = []
        self.number = 0  # of lines taken
        self.trouble = ""

    def take(self, count: int) -> list[bytes]:
        """Return the next lines, fewer at the end."""
        taken, self._ahead = self._ahead[:count], self._ahead[count:]
        try:
            taken += islice(self._lines, count - len(taken))
        except _DamagedError as error:
            self.trouble = str(error)
        self.number += len(taken)
        return taken

    def put_back(self, lines: list[bytes]) -> None:
        """Let these come next."""
        self.number -= len(lines)
        self._ahead = lines + self._ahead

    def only_blank_ones_follow(self) -> bool:
        """Whether nothing is left but blank lines."""
        blank: list[bytes] = []
        while line := self.take(1):
            blank += line
            if line[0].strip():
                self.put_back(blank)
                return False
        return True


class _DamagedError(ValueError):
    """The compressed data cannot be unpacked any further."""


def _frames(lines: _Lines) -> Iterator[str]:
    """Yield the texts of frames; why there is no other after the last is in `lines.trouble`."""
    while first := lines.take(1):
        count = first[0].strip()
        if not count and lines.only_blank_ones_follow():
            return
        if not count.isdigit() or len(count) > MOST_DIGITS:
            found = count.decode("utf-8", errors="replace")[:40]
            lines.trouble = (
                f"line {lines.number} should hold the number of atoms, but holds {found!r}: the "
                "file cannot be trusted from here on, or from the frame before"
            )
            return
        n_atoms = int(count)
        rest = lines.take(1 + n_atoms)
        if not (rest and rest[-1].strip()) and lines.only_blank_ones_follow():
            while rest and not rest[-1].strip():
                rest.pop()
        if len(rest) < 1 + n_atoms:
            told = f"{lines.trouble}, " if lines.trouble else ""
            lines.trouble = (
                f"{told}there are lines for {max(0, len(rest) - 1)} of {n_atoms} atoms only"
            )
            return
        while (vector := lines.take(1)) and vector[0].lstrip().startswith(b"VEC"):
            rest += vector  # cell vectors in an old dialect
        lines.put_back(vector)
        text = b"".join(first + rest).decode("utf-8", errors="replace")
        yield text if text.endswith("\n") else text + "\n"


def _unzipped_lines(file: BinaryIO) -> Iterator[bytes]:
    """Unpack as far as possible; the last line of damaged data, half a line perhaps, is left out.

    Raises
    ------
    _DamagedError
        After the last line that could be unpacked.
    """
    begun = b""
    for piece in _unzipped(file):
        *whole, begun = (begun + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if begun:
        yield begun


def _unpacked_lines(
    opened: Callable[[BinaryIO], bz2.BZ2File | lzma.LZMAFile], file: BinaryIO
) -> Iterator[bytes]:
    """Unpack other formats than gzip, with the errors of `_unzipped_lines`."""
    with opened(file) as lines:
        try:
            yield from lines
        except (EOFError, OSError, lzma.LZMAError) as error:
            raise _DamagedError(f"the compressed data are damaged ({error})") from error


UNPACKERS_BY_SUFFIX: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {
    ".gz": _unzipped_lines,
    ".bz2": partial(_unpacked_lines, bz2.BZ2File),
    ".xz": partial(_unpacked_lines, lzma.LZMAFile),
}
"""What unpacks the lines of a file, by its ending: the kinds of compression that ASE knows."""


def _unzipped(file: BinaryIO) -> Iterator[bytes]:
    """Unpack in small pieces: one that is damaged gives nothing."""
    piece = file.read(PIECE)
    while any(piece):  # several files may lie one after the other
        stream = zlib.decompressobj(GZIPPED)
        while not stream.eof:
            if not piece:
                raise _DamagedError("the compressed data end too early")
            try:
                yield stream.decompress(piece)
            except zlib.error as error:
                raise _DamagedError(f"the compressed data are damaged ({error})") from error
            piece = stream.unused_data or file.read(PIECE)
