"""All structures of files and folders by name; what cannot be read is told, the rest is kept."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ase import Atoms

from ase_equivar.io.extxyz import read_apart
from ase_equivar.io.resumed import digest


def read_structures(
    paths: list[Path], apart_from: Collection[Path] = ()
) -> Iterator[tuple[str, Atoms | str]]:
    """Yield all structures of some files and folders by name, or what is wrong with one.

    The name is that of the file and, where it holds several structures, the index in it. One that
    cannot be read costs none of those before it, nor, in extended XYZ, of those after it.

    Parameters
    ----------
    paths : list of pathlib.Path
        Files that ASE reads, and folders of them.
    apart_from : collection of pathlib.Path
        Files of a folder that are none of these.

    Raises
    ------
    FileNotFoundError
        When one of them is not there; nothing is read then.
    ValueError
        When a file is given twice, by itself and with its folder perhaps.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
    ignored = {os.path.abspath(path) for path in apart_from}
    files: list[Path] = []
    for path in paths:
        found = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        files += [file for file in found if os.path.abspath(file) not in ignored]
    seen: set[str] = set()
    for file in files:
        # A link to a file is another file.
        if os.path.abspath(file) in seen:
            raise ValueError(f"{file} is given twice: each structure gets one line of the table")
        seen.add(os.path.abspath(file))
    for file in files:
        structures = list(_structures(file))
        if not structures:
            yield str(file), "ASE finds no structure in it"
        for index, atoms in enumerate(structures):
            yield (str(file) if len(structures) == 1 else f"{file}:{index}"), atoms


def fingerprint(atoms: Atoms | str, gap: object = None) -> str:
    """Return what tells a structure, or the problem with it, from others under the same name."""
    if isinstance(atoms, str):
        return digest(atoms.encode())
    parts = [atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc]
    if atoms.has("masses"):
        parts.append(atoms.get_masses())
    return digest(*(part.tobytes() for part in parts), repr(gap).encode())


def _structures(file: Path) -> Iterator[Atoms | str]:
    """Yield the structures of a file, and where one cannot be read, why."""
    try:
        for frame in read_apart(file):
            yield frame.trouble if frame.atoms is None else frame.atoms
    except (OSError, ValueError) as error:  # no permission, say, or nothing to be read in it
        yield str(error)
