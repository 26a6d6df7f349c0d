"""Extended XYZ files with Z*: nine columns per atom, ε∞ in the comment line.

The layout is that of common training data: the column ``born_charges`` holds Z*[i, a, b] of atom i
row by row (a: field, b: displacement), ``electronic_dielectric_tensor`` holds ε∞. ASE itself cannot
write per-atom tensors to this format.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.formats import filetype, string2index

from ase_equivar.ase_properties import UNCERTAINTY
from ase_equivar.io.formats import file_format
from ase_equivar.io.frame_texts import frames_in_file
from ase_equivar.io.output_files import replacing
from ase_equivar.io.read_errors import reading, reason
from ase_equivar.structures.validation import check_full_occupancy

COLUMN = "born_charges"
DIELECTRIC_KEY = "electronic_dielectric_tensor"
TENSOR_NAMES = ("born_charges", "born_effective_charges", "dielectric_tensor")
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


def write_extxyz(
    filename: str | Path, images: Atoms | Iterable[Atoms], *, append: bool = False
) -> None:
    """Write structures with the results stored in their calculators; nothing is calculated.

    Numbers have eight decimals, so Z* read back sum to the total charge within N · 5e-9 e.

    Parameters
    ----------
    filename : str or pathlib.Path
        File to write.
    images : ase.Atoms or iterable of ase.Atoms
        Their calculators hold ``born_effective_charges`` and optionally ``dielectric_tensor``.
    append : bool
        Append to the file.

    Raises
    ------
    ValueError
        If a calculator holds no Z*, or not one tensor per atom; the message names the structure,
        and nothing is written.
    """
    images = [images] if isinstance(images, Atoms) else list(images)
    frames = [_with_columns(atoms, index) for index, atoms in enumerate(images)]
    if append:
        ase.io.write(filename, frames, format="extxyz", append=True)
    else:
        with replacing(filename) as partial:
            ase.io.write(partial, frames, format="extxyz")


def read_extxyz(filename: str | Path, index: str = ":") -> list[Atoms]:
    """Read structures with Z* and ε∞ as results of a calculator.

    Parameters
    ----------
    filename : str or pathlib.Path
        File in the layout of `write_extxyz`; gzipped if it ends in .gz.
    index : str
        Frames to read, in ASE's slice notation; default all.

    Returns
    -------
    list of ase.Atoms
        Their calculator holds ``born_charges`` and ``born_effective_charges`` (one array, shape=(N,
        3, 3)), ``dielectric_tensor`` where the file has it, and energy, forces and so on if
        present.

    Raises
    ------
    ValueError
        If a frame cannot be read, or has no column ``born_charges`` with nine components.
    """
    frames = read_images(filename, index)
    for number, atoms in enumerate(frames):
        columns = atoms.arrays.pop(COLUMN, None)
        if columns is None or columns.shape != (len(atoms), 9):
            shape = "none" if columns is None else f"an array of shape {columns.shape}"
            raise ValueError(
                f"frame {number} of {filename} should have a column {COLUMN!r} of shape "
                f"({len(atoms)}, 9), but has {shape}"
            )
        results: dict[str, Any] = {} if atoms.calc is None else dict(atoms.calc.results)
        results["born_charges"] = results["born_effective_charges"] = columns.reshape(-1, 3, 3)
        if UNCERTAINTY in atoms.arrays:
            results[UNCERTAINTY] = atoms.arrays.pop(UNCERTAINTY)
        if DIELECTRIC_KEY in atoms.info:
            results["dielectric_tensor"] = atoms.info.pop(DIELECTRIC_KEY)
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


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
    gzipped, its compressed data) is truncated, the rest counts as one unreadable frame; so does
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
            for atoms in ase.io.iread(filename, ":", format=format):
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


def is_extxyz(name: str) -> bool:
    """Recognize extended XYZ by the name or else by the content of the file."""
    if name.removesuffix(".gz").endswith(SUFFIXES):
        return True
    try:
        return bool(filetype(name) == "extxyz")
    except Exception:  # damaged or unknown: the reader reports it
        return False


def _selected(number: int, index: str, name: str) -> range:
    """Return the numbers of the frames that ASE's `index` selects among `total`."""
    chosen = string2index(index)
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


def _with_columns(atoms: Atoms, index: int) -> Atoms:
    """Return a copy of `atoms` with the tensors where the format can store them."""
    results = _results(atoms)
    born_charges = results.get("born_effective_charges", results.get("born_charges"))
    if born_charges is None:
        raise ValueError(
            f"structure {index} ({atoms.get_chemical_formula()}) has no calculated Z* to write; "
            "calculate its 'born_charges' first"
        )
    if np.shape(born_charges) not in ((len(atoms), 3, 3), (len(atoms), 9)):
        raise ValueError(
            f"structure {index} ({atoms.get_chemical_formula()}) has {len(atoms)} atoms, but its "
            f"Z* have shape {np.shape(born_charges)}, not ({len(atoms)}, 3, 3)"
        )
    frame = atoms.copy()
    frame.arrays[COLUMN] = np.reshape(born_charges, (len(atoms), 9))
    frame.info.pop(DIELECTRIC_KEY, None)  # name of the file that the structure came from
    if "dielectric_tensor" in results:
        frame.info[DIELECTRIC_KEY] = results["dielectric_tensor"]
    others = {name: value for name, value in results.items() if name not in TENSOR_NAMES}
    frame.arrays.pop(UNCERTAINTY, None)
    if UNCERTAINTY in others:  # ASE would omit it
        frame.arrays[UNCERTAINTY] = np.asarray(others.pop(UNCERTAINTY))
    frame.calc = SinglePointCalculator(frame, **others)
    return frame


def _results(atoms: Atoms) -> dict[str, Any]:
    results = {}
    for name in all_properties if atoms.calc is not None else ():
        try:
            value = atoms.calc.get_property(name, atoms, allow_calculation=False)
        except PropertyNotImplementedError:
            continue
        if value is not None:
            results[name] = value
    return results
