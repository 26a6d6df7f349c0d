"""The format of a file, where ASE alone would choose a wrong one or misread the file."""

from __future__ import annotations

import re
from pathlib import Path

from ase.io.formats import ioformats

from ase_equivar.io.compressed_files import read_head

HEAD = 4096  # bytes
ESPRESSO_INPUT = re.compile(r"^\s*&(control|system)\b", re.IGNORECASE | re.MULTILINE)
LAMMPS_COLUMNS = re.compile(r"^ITEM: ATOMS(.*)$", re.MULTILINE)


def file_format(path: str | Path, given: str | None = None) -> str | None:
    """Return ASE's name of a file's format; None if ASE recognizes it itself.

    Input of Quantum ESPRESSO is recognized by its namelists even after blanks, where ASE reads no
    atoms.

    Parameters
    ----------
    path : str or pathlib.Path
    given : str, optional
        The format given by the user; returned unchanged.

    Raises
    ------
    ValueError
        If ASE has no format of the given name, or if the file is a LAMMPS dump without elements,
        whose types 1, 2 ASE would take for hydrogen and helium.
    """
    if given is not None and given not in ioformats:
        raise ValueError(
            f"ASE knows no format {given!r}; `ase info --formats` lists them all, such as "
            "extxyz, vasp, cif, espresso-in"
        )
    head = read_head(Path(path), HEAD).decode("utf-8", errors="replace")
    if head.startswith("ITEM: ") and given in (None, "lammps-dump-text"):
        columns = LAMMPS_COLUMNS.search(head)
        if columns is not None and not {"element", "mass"} & set(columns[1].split()):
            raise ValueError(
                f"the LAMMPS dump {path} names no elements (its columns:{columns[1]}): write it "
                "with the column element, and dump_modify ID element Na Cl … for its types in order"
            )
    if given is None and ESPRESSO_INPUT.search(head):
        return "espresso-in"
    return given
