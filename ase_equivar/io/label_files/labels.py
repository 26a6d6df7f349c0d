"""Shared by all readers: structures with labels, texts of files, tables of numbers."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_CHARGE, finite_real

NUMBER = r"[-+]?\d*\.\d+(?:[EeDd][-+]?\d+)?"
LINE = re.compile(r"^.*$", re.MULTILINE)
BETWEEN = re.compile(r"[\s=-]*|\s*ion\s+\d+.*")
PACKED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""What opens a compressed file, by its first bytes: the kinds that ASE knows."""
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
PIECE = 4096  # bytes


def with_labels(
    atoms: Atoms, born_charges: ArrayLike, dielectric: ArrayLike | None, where: str
) -> Atoms:
    """Return a copy of a structure whose calculator holds only its labels.

    Parameters
    ----------
    atoms : ase.Atoms
    born_charges : array_like, shape (N, 3, 3)
        Row = field, column = displacement, |e|.
    dielectric : array_like, shape (3, 3), optional
        ε∞, relative.
    where : str
        Name of the file, for messages.

    Raises
    ------
    ValueError
        If there is not one finite tensor for each atom.
    """
    charges = finite_real(f"Z* in {where}", born_charges, None, unit="|e|", largest=LARGEST_CHARGE)
    if charges.shape != (len(atoms), 3, 3):
        raise ValueError(
            f"{where} has Z* of shape {charges.shape} for a structure of {len(atoms)} atoms "
            f"({atoms.get_chemical_formula()})"
        )
    results = {"born_effective_charges": charges}
    if dielectric is not None:
        results["dielectric_tensor"] = finite_real(f"ε∞ in {where}", dielectric, (3, 3))
    labelled: Atoms = atoms.copy()
    labelled.calc = SinglePointCalculator(labelled, **results)
    return labelled


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file for reading its bytes, unpacked if it is compressed."""
    with path.open("rb") as file:
        start = file.read(max(map(len, PACKED)))
    for mark, opener in PACKED.items():
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


def numbers_in(text: str) -> list[float]:
    """Return the numbers with a decimal point; Fortran's D for E is allowed."""
    return [float(re.sub("[Dd]", "e", number)) for number in re.findall(NUMBER, text)]


def table_of(text: str, start: int, rows: int, columns: int, what: str) -> NDArray[np.float64]:
    """Return a table of numbers, taken from the ends of its lines.

    Parameters
    ----------
    text : str
    start : int
        Start of the table. Rules and headings of atoms ("ion 1") are skipped; any other line ends
        the table.
    rows, columns : int
        Size of the table.
    what : str
        Name of the table, for messages.

    Raises
    ------
    ValueError
        If the table is incomplete, as in the output of a killed run.
    """
    found: list[list[float]] = []
    for line in LINE.finditer(text, start):
        if BETWEEN.fullmatch(line[0]):
            continue
        numbers = numbers_in(line[0])
        if len(numbers) < columns:
            break
        found.append(numbers[-columns:])
        if len(found) == rows:
            return np.array(found)
    raise ValueError(
        f"{what} has {len(found)} rows of {columns} numbers, not {rows}: is it truncated?"
    )
