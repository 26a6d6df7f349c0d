"""Shared by all readers: structures with labels, tables of numbers."""

from __future__ import annotations

import re

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_CHARGE, finite_real

NUMBER = r"[-+]?\d*\.\d+(?:[EeDd][-+]?\d+)?"
LINE = re.compile(r"^.*$", re.MULTILINE)
BETWEEN = re.compile(r"[\s=-]*|\s*ion\s+\d+.*")


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
