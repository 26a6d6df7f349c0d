"""The text of extended XYZ files, split into frames by their numbers of atoms."""

from __future__ import annotations

import zlib
from pathlib import Path

GZIPPED = 31  # zlib's setting for data with a gzip header
PIECE = 256  # bytes


def text_of(path: Path) -> tuple[str, str]:
    """Read a file, gzipped or not; also return what is wrong with its end, if anything."""
    data, trouble = path.read_bytes(), ""
    if path.suffix == ".gz":
        data, trouble = _unzipped(data)
    if trouble:  # the last line of the unpacked data may be incomplete
        data = data[: data.rfind(b"\n") + 1]
    return data.decode("utf-8", errors="replace").replace("\r\n", "\n"), trouble


def _unzipped(data: bytes) -> tuple[bytes, str]:
    """Unpack as far as possible, in small pieces, because a damaged piece yields nothing."""
    parts: list[bytes] = []
    start = 0
    while any(data[start : start + PIECE]):  # a gzip file may have several members
        stream = zlib.decompressobj(GZIPPED)
        while not stream.eof:
            piece = data[start : start + PIECE]
            if not piece:
                return b"".join(parts), "the compressed data end too early"
            try:
                parts.append(stream.decompress(piece))
            except zlib.error as error:
                return b"".join(parts), f"the compressed data are damaged ({error})"
            start += len(piece) - len(stream.unused_data)
    return b"".join(parts), ""


def frame_texts(text: str, trouble: str = "") -> tuple[list[str], str]:
    """Split the text of a file into frames.

    Parameters
    ----------
    text : str
        With line feeds as line ends.
    trouble : str
        What is wrong with its end, if known.

    Returns
    -------
    frames : list of str
        Each including its last line feed.
    trouble : str
        Reason why the rest is not a frame; empty if there is no rest.
    """
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    frames: list[str] = []
    start = 0
    while start < len(lines):
        if not lines[start].strip().isdecimal():
            found = lines[start].strip()[:40]
            return frames, (
                f"line {start + 1} should hold the number of atoms, but holds {found!r}: the file "
                "cannot be trusted from here on, or from the frame before"
            )
        n_atoms = int(lines[start])
        end = start + 2 + n_atoms
        if end > len(lines):
            n_lines = max(0, len(lines) - start - 2)
            told = f"{trouble}, " if trouble else ""
            return frames, f"{told}there are lines for {n_lines} of {n_atoms} atoms only"
        while end < len(lines) and lines[end].lstrip().startswith("VEC"):
            end += 1  # cell vectors in an old dialect
        frames.append("\n".join(lines[start:end]) + "\n")
        start = end
    return frames, trouble


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
    frames, _ = frame_texts(text[: text.rfind("\n") + 1])
    first, newline, _ = text[sum(map(len, frames)) :].partition("\n")
    if newline and first.strip() and not first.strip().isdecimal():
        raise ValueError(
            f"{name} is damaged or not an extended XYZ file: where frame {len(frames)} should "
            f"begin with its number of atoms, there is {first[:40]!r}"
        )
    return frames
