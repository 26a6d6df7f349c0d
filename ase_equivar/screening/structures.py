"""The structures of files and folders, one after the other, each read where it is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from ase import Atoms

from ase_equivar.io.formats import file_format
from ase_equivar.io.frame_texts import frames_in_file
from ase_equivar.io.resumed import digest
from ase_equivar.io.structure_files import (
    Frame,
    is_extxyz,
    iterate_frames,
    parsed_frame,
    read_apart,
)
from ase_equivar.structures.validation import TOTAL_CHARGES

LARGEST_OF_ONE = 10_000_000  # bytes; hardly a file of one crystal is as large


@dataclass(frozen=True)
class Entry:
    """A structure in a file, which another process may read.

    Attributes
    ----------
    name : str
        That of the file and, where it holds several structures, the index in it.
    content : str
        Digest that tells it from others of the same name.
    source : ase.Atoms, str, pathlib.Path or None
        The structure, the text of its frame in extended XYZ, or a file with this structure alone;
        None if it cannot be read.
    trouble : str
        Why it cannot be read.
    size : int
        Its approximate share of the file, bytes.
    """

    name: str
    content: str
    source: Atoms | str | Path | None
    trouble: str = ""
    size: int = 0

    def read(self) -> Atoms | str:
        """Return the structure, or what is wrong with it."""
        if isinstance(self.source, str):
            frame = parsed_frame(0, self.source)
        elif isinstance(self.source, Path):
            try:
                (frame,) = read_apart(self.source)
            except (OSError, ValueError) as error:
                return str(error)
        else:
            return self.trouble if self.source is None else self.source
        return frame.trouble if frame.atoms is None else frame.atoms


def read_structures(
    paths: list[Path], apart_from: Collection[Path] = ()
) -> Iterator[tuple[str, Atoms | str]]:
    """Yield all structures of some files and folders by name, or what is wrong with one.

    The name is that of the file and, if it holds several structures, the index in it. If one cannot
    be read, those before it are kept and, in extended XYZ, those after it too.

    Parameters
    ----------
    paths : list of pathlib.Path
        Files that ASE reads, and folders of them. Only one structure at a time is in memory, for
        extended XYZ and other formats that ASE reads structure by structure.
    apart_from : collection of pathlib.Path
        Files in these folders that are not structures.

    Raises
    ------
    FileNotFoundError
        When one of them does not exist; nothing is read then.
    ValueError
        When a file is given twice, for instance by itself and in its folder.
    """
    for entry in entries(paths, apart_from):
        yield entry.name, entry.read()


def entries(
    paths: list[Path],
    apart_from: Collection[Path] = (),
    gap_key: str = "",
    is_done: Callable[[str, str], bool] = lambda name, content: False,
) -> Iterator[Entry]:
    """Yield all structures of some files and folders, reading only what is needed to identify them.

    Parameters
    ----------
    paths, apart_from
        As for `read_structures`, with its errors.
    gap_key : str
        Name of the entry of ``info`` that a row depends on.
    is_done : callable
        Whether a structure of that name and content needs no reading.
    """
    _check_paths(paths)
    for file in _files(paths, apart_from):
        try:
            if file_format(file) is None and is_extxyz(str(file)):
                yield from _extxyz_entries(file)
            else:
                yield from _other_entries(file, gap_key, is_done)
        except (OSError, ValueError) as error:  # no permission, or no structure in it
            yield _trouble(str(file), str(error))


def total_size(paths: list[Path], apart_from: Collection[Path] = ()) -> int:
    """Return the size of all files, bytes."""
    return sum(file.stat().st_size for file in _files(paths, apart_from))


def fingerprint(atoms: Atoms, gap: object = None) -> str:
    """Return a digest that tells a structure from others of the same name."""
    parts = [atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc]
    if atoms.has("masses"):
        parts.append(atoms.get_masses())
    others = [repr(gap)]
    for name in ("initial_magmoms", "initial_charges"):  # what forces may depend on
        if atoms.has(name):
            others.append(f"{name} {atoms.arrays[name].tolist()}")
    others += [
        f"{key} {atoms.info[key]!r}" for key in TOTAL_CHARGES if atoms.info.get(key) is not None
    ]
    return digest(*(part.tobytes() for part in parts), *(one.encode() for one in others))


def _check_paths(paths: list[Path]) -> None:
    """Refuse files that do not exist or are given twice; a link counts as a file of its own."""
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
    given = [os.path.abspath(path) for path in paths]
    folders = {where for where, path in zip(given, paths, strict=True) if path.is_dir()}
    for number, (where, path) in enumerate(zip(given, paths, strict=True)):
        if where in given[:number] or (os.path.dirname(where) in folders and path.is_file()):
            raise ValueError(f"{path} is given twice: each structure gets one line of the table")


def _files(paths: list[Path], apart_from: Collection[Path]) -> Iterator[Path]:
    ignored = {os.path.abspath(path) for path in apart_from}
    for path in paths:
        if path.is_dir():
            with os.scandir(path) as found:
                names = sorted(item.name for item in found if item.is_file())
        else:
            names = [""]
        for name in names:  # names, for a path takes several times as much memory
            if os.path.abspath(path / name) not in ignored:
                yield path / name


def _extxyz_entries(file: Path) -> Iterator[Entry]:
    """Yield the frames of extended XYZ, whose texts tell them apart."""
    before = 0  # bytes
    number = 0
    held = None  # whether it is alone in its file is known with the next one
    for number, frame in enumerate(frames_in_file(file)):
        name = f"{file}:{number}"
        if held is not None:
            yield held
        size, before = frame.position - before, frame.position
        if frame.trouble:
            held = _trouble(name, frame.trouble, size)
        else:
            held = Entry(name, digest(frame.text.encode()), frame.text, size=size)
    if held is None:
        held = _trouble(str(file), "ASE finds no structure in it")
    yield held if number else replace(held, name=str(file))


def _other_entries(
    file: Path, gap_key: str, is_done: Callable[[str, str], bool]
) -> Iterator[Entry]:
    """Yield the structures of a file of another format.

    A file with a single one is known by its bytes, unless it is large.
    """
    name, size = str(file), file.stat().st_size
    content = digest(file) if size < LARGEST_OF_ONE else ""
    if content and is_done(name, content):
        yield Entry(name, content, file, size=size)
        return
    frames = iterate_frames(file, file_format(file))
    some = list(islice(frames, 2))
    if not some:
        yield _trouble(name, "ASE finds no structure in it", size)
    elif len(some) == 1:
        entry = _entry(name, some[0], gap_key)
        yield replace(entry, content=content or entry.content, size=size)
    else:
        for frame in chain(some, frames):
            yield _entry(f"{file}:{frame.number}", frame, gap_key)


def _entry(name: str, frame: Frame, gap_key: str) -> Entry:
    if frame.atoms is None:
        return _trouble(name, frame.trouble)
    frame.atoms.calc = None  # energies and forces in the file are not used
    return Entry(name, fingerprint(frame.atoms, frame.atoms.info.get(gap_key)), frame.atoms)


def _trouble(name: str, trouble: str, size: int = 0) -> Entry:
    return Entry(name, digest(trouble.encode()), None, trouble, size)
