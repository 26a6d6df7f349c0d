"""Frames of files with labels, one by one: large files need not fit into memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ase_equivar.io.file_selection import frame_index
from ase_equivar.io.formats import file_format
from ase_equivar.io.frame_texts import frames_in_file
from ase_equivar.io.label_files.reading import label_frames, program_of
from ase_equivar.io.structure_files import Frame, is_extxyz, parsed_frame


@dataclass(frozen=True)
class Unread:
    """A selected frame of a file, which may still have to be parsed.

    Attributes
    ----------
    number : int
        Number of the frame in the whole file, counted from 0.
    content : str or Frame
        The text of a frame of extended XYZ; frames of other formats are parsed with their file.
    position : int
        Bytes of the file that were read so far, at least.
    """

    number: int
    content: str | Frame
    position: int

    def frame(self) -> Frame:
        """Parse the frame."""
        if isinstance(self.content, Frame):
            return self.content
        return parsed_frame(self.number, self.content)


def unread_frames(path: str, selection: str) -> Iterator[Unread]:
    """Yield the selected frames of a file; extended XYZ is read as far as they are asked for.

    Parameters
    ----------
    path : str
        A file that `io.read_labels` or ASE can read.
    selection : str
        Frames to read, in ASE's slice notation.

    Raises
    ------
    ValueError
        As `label_frames`.
    """
    numbers = _ascending(path, frame_index(selection))
    if numbers is None:
        size = Path(path).stat().st_size
        for frame in label_frames(path, selection):
            yield Unread(frame.number, frame, size)
        return
    for number, found in enumerate(frames_in_file(Path(path))):
        if number in numbers:
            trouble = Frame(number, None, found.trouble) if found.trouble else None
            yield Unread(number, trouble or found.text, found.position)
        if number >= numbers.stop:
            return


def _ascending(path: str, chosen: slice | int | str) -> range | None:
    """Return the selected numbers, if they are frames of extended XYZ in the order of the file."""
    if not isinstance(chosen, slice) or (chosen.step or 1) < 0:
        return None
    if program_of(path) or file_format(path) is not None or not is_extxyz(path):
        return None
    total = sys.maxsize
    if any(end is not None and end < 0 for end in (chosen.start, chosen.stop)):
        total = sum(1 for _ in frames_in_file(Path(path)))
    return range(total)[chosen]
