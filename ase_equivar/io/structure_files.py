"""Structures of any format that ASE reads, each by itself where the format allows it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import ase.io
from ase import Atoms
from ase.io.formats import filetype

from ase_equivar.io.file_selection import frame_index
from ase_equivar.io.formats import file_format
from ase_equivar.io.frame_texts import UNPACKERS_BY_SUFFIX, frames_in_file
from ase_equivar.io.read_errors import reading, reason
from ase_equivar.structures.validation import check_full_occupancy

SUFFIXES = (".extxyz", ".xyz")


@dataclass(frozen=True)
class Frame:
    """A frame of a file, readable or not.

    Attributes
    ----------
    number : int
        Number of the frame in its file, counted from 0.
    atoms : ase.Atoms or None
    trouble : str
        Reason why there is no structure.
    total : int
        Number of frames in the file.
    program : str
        Program that calculated the labels, if the format determines the order of their indices.
    """

    number: int
    atoms: Atoms | None
    trouble: str = ""
    total: int = 0
    program: str = ""


def read_images(filename: str | Path, index: str = ":", format: str | None = None) -> list[Atoms]:
    """Read structures.

    Parameters
    ----------
    filename : str or pathlib.Path
        File of any format that ASE reads.
    index : str
        Frames to read, in ASE's slice notation; default all.
    format : str, optional
        ASE's name of the format, if it cannot be recognized from the file.

    Raises
    ------
    ValueError
        If one of them cannot be read; the message names it.
    """
    return list(read_numbered(filename, index, format).values())


def read_numbered(
    filename: str | Path, index: str = ":", format: str | None = None
) -> dict[int, Atoms]:
    """Read structures with their numbers in the whole file, from 0; otherwise as `read_images`."""
    images = {}
    for frame in read_apart(filename, index, format):
        if frame.atoms is None:
            raise ValueError(f"{filename}, frame {frame.number}: {frame.trouble}")
        images[frame.number] = frame.atoms
    return images


def read_image(filename: str | Path, index: str = "-1", format: str | None = None) -> Frame:
    """Read one structure from a file, which may hold several.

    Parameters
    ----------
    filename : str or pathlib.Path
        File of any format that ASE reads.
    index : str
        Number of the structure, counted from 0, or from the end if negative.
    format : str, optional
        ASE's name of the format.

    Raises
    ------
    ValueError
        If it cannot be read, or the index is not a single number.
    """
    if re.fullmatch(r"\s*[+-]?\d+\s*", index) is None:
        raise ValueError(f"the index {index!r} is not a single whole number, such as 0 or -1")
    (frame,) = read_apart(filename, index, format)
    if frame.atoms is None:
        raise ValueError(f"{filename}, structure {frame.number}: {frame.trouble}")
    return frame


def read_apart(filename: str | Path, index: str = ":", format: str | None = None) -> list[Frame]:
    """Read structures independently: a damaged frame of extended XYZ does not affect others.

    Its frames are delimited by their numbers of atoms. If such a number is missing, or the file (if
    compressed, its data) is truncated, the rest counts as one unreadable frame; so does
    everything after a damaged frame of another format. A structure with partly occupied or mixed
    sites counts as unreadable. Gzipped files are read at once, because ASE restarts from the
    beginning for each frame, which takes minutes for thousands of frames.

    Parameters
    ----------
    filename : str or pathlib.Path
        File of any format that ASE reads.
    index : str
        Frames to read, in ASE's slice notation; default all.
    format : str, optional
        ASE's name of the format, if it cannot be recognized from the file.

    Raises
    ------
    ValueError
        If the file has no frame of that number, or has another format and nothing in it can be
        read; see also `formats.file_format`.
    """
    name = str(filename)
    format = file_format(filename, format)
    if format == "extxyz" or (format is None and is_extxyz(name)):
        texts = list(frames_in_file(Path(filename)))
        frames = [
            Frame(k, None, texts[k].trouble) if texts[k].trouble else parsed_frame(k, texts[k].text)
            for k in _selected(len(texts), index, name)
        ]
        return [replace(frame, total=len(texts)) for frame in frames]
    frames = list(iterate_frames(filename, format))
    return [replace(frames[k], total=len(frames)) for k in _selected(len(frames), index, name)]


def iterate_frames(filename: str | Path, format: str | None = None) -> Iterator[Frame]:
    """Yield the structures of a file that is no extended XYZ, as ASE reads them.

    What follows a damaged one is not read, and the last frame says so.

    Raises
    ------
    ValueError
        If nothing in it can be read.
    """
    number = 0
    try:
        with reading(filename, format=format):
            # ASE would read another file: what is before an @ in the name
            images = ase.io.iread(filename, ":", format=format, do_not_split_by_at_sign=True)
            for atoms in images:
                if not len(atoms):
                    raise ValueError(
                        "there are no atoms in it; does it have another format? (--format)"
                    )
                yield _with_full_sites(number, atoms)
                number += 1
    except ValueError as error:
        if not number:
            raise
        yield Frame(number, None, f"cannot be read, nor what may follow: {error}")


def is_compressed_extxyz(name: str) -> bool:
    """Recognize compressed extended XYZ by the name of the file."""
    base, ending = os.path.splitext(name)
    return ending in UNPACKERS_BY_SUFFIX and base.endswith(SUFFIXES)


def is_extxyz(name: str) -> bool:
    """Recognize extended XYZ by the name or else by the content of the file."""
    if name.endswith(SUFFIXES) or is_compressed_extxyz(name):
        return True
    try:
        return bool(filetype(name) == "extxyz")
    except Exception:  # damaged or unknown: the reader reports it
        return False


def _selected(number: int, index: str, name: str) -> range:
    """Return the numbers of the frames that ASE's `index` selects among `number`."""
    chosen = frame_index(index)
    if isinstance(chosen, slice):
        return range(number)[chosen]
    if number == 0:
        if not Path(name).stat().st_size:
            raise ValueError(f"{name} is an empty file")
        raise ValueError(f"{name} has no structure that ASE can read")
    if not -number <= chosen < number:
        raise ValueError(f"{name} has {number} frames, so there is no frame {chosen}")
    return range(chosen % number, chosen % number + 1)


def parsed_frame(number: int, text: str) -> Frame:
    """Read the text of one frame of extended XYZ."""
    try:
        atoms = ase.io.read(io.StringIO(text), 0, format="extxyz")
    except Exception as error:  # ASE's readers raise many kinds of errors on a damaged frame
        return Frame(number, None, f"cannot be read: {reason(error)}")
    return _with_full_sites(number, atoms)


def _with_full_sites(number: int, atoms: Atoms) -> Frame:
    """Reject a structure that ASE has read as another one."""
    try:
        check_full_occupancy(atoms)
    except ValueError as error:
        return Frame(number, None, str(error))
    return Frame(number, atoms)
