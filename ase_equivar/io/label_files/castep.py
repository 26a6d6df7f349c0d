"""CASTEP: Z* and ε∞ from a ``.castep`` file.

In CASTEP, rows are displacements and columns fields. In this order its Z* and eigenvectors
reproduce the infrared intensities that it prints; in the other, they differ by up to a half
(``test_castep.py``).
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from ase import Atoms

from ase_equivar.io.compressed_files import read_text
from ase_equivar.io.label_files.labels import table_of, with_labels

BANNER = r"\|\s+CCC\s+AA\s+SSS\s+TTTTT\s+EEEEE\s+PPPP\s+\|"
"""With which the output of each run begins."""
LATTICE = re.compile(r"^\s*Real Lattice\(A\).*\n", re.MULTILINE)
N_IONS = re.compile(r"Total number of ions in cell =\s*(\d+)")
ION = re.compile(r"^\s*x\s+([A-Z][a-z]?)\S*\s+\d+((?:\s+-?\d+\.\d+){3})\s+x", re.MULTILINE)
CHARGES = re.compile(r"^\s*Born Effective Charges\s*$", re.MULTILINE)
PERMITTIVITY = re.compile(r"^\s*Optical Permittivity \(f->infinity\).*\n.*\n", re.MULTILINE)


def read_castep(path: Path) -> Atoms:
    """Return the structure to which CASTEP's last Z* belong, with its labels.

    CASTEP appends to the file of an earlier run, perhaps of another crystal, if there is one: all
    is read from the last run with Z*.

    Raises
    ------
    ValueError
        If there are no Z*, or the file is truncated.
    """
    whole = read_text(path)
    starts = [0, *(found.start() for found in re.finditer(BANNER, whole)), len(whole)]
    runs = [whole[start:end] for start, end in pairwise(starts)]
    text = next((run for run in reversed(runs) if CHARGES.search(run)), "")
    blocks = list(CHARGES.finditer(text))
    if not blocks:
        raise ValueError(
            f"{path} has no Born effective charges: CASTEP prints them in the tasks efield and "
            "phonon+efield"
        )
    atoms = _structure(text[: blocks[-1].start()], path)
    rows = table_of(text, blocks[-1].end(), 3 * len(atoms), 3, f"the table of Z* in {path}")
    return with_labels(
        atoms,
        rows.reshape(len(atoms), 3, 3).transpose(0, 2, 1),
        _permittivity(text),
        str(path),
    )


def _structure(text: str, path: Path) -> Atoms:
    """Return the last structure in a text; CASTEP repeats the cell only if it changes."""
    lattices, numbers = list(LATTICE.finditer(text)), N_IONS.search(text)
    if not lattices or numbers is None:
        raise ValueError(f"{path} has no unit cell before its Born effective charges")
    n_ions = int(numbers[1])
    ions = ION.findall(text)[-n_ions:]
    if len(ions) != n_ions:
        raise ValueError(f"{path} lists {len(ions)} of {n_ions} ions")
    lattice = table_of(text, lattices[-1].end(), 3, 6, f"the lattice in {path}")[:, :3]
    places = [[float(x) for x in place.split()] for _, place in ions]
    return Atoms([symbol for symbol, _ in ions], scaled_positions=places, cell=lattice, pbc=True)


def _permittivity(text: str) -> list[list[float]] | None:
    """Return ε∞, printed to the left of the static tensor, which may be "Infinity"."""
    blocks = list(PERMITTIVITY.finditer(text))
    if not blocks:
        return None
    rows = text[blocks[-1].end() :].splitlines()[:3]
    return [[float(x) for x in row.split()[:3]] for row in rows]
