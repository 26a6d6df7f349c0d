"""Which program wrote a file with labels, and the reader of its format."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from ase import Atoms
from ase.io.formats import string2index

from ase_equivar.io.extxyz import Frame, read_apart, read_extxyz
from ase_equivar.io.label_files import abinit, castep, espresso, phonopy_born, vasp
from ase_equivar.io.label_files.labels import read_head

HEAD = 65536  # bytes; CP2K and MPI may write pages before the program's name
YAML = re.compile(r"\.ya?ml(\.(gz|xz|bz2|lzma))?$")
BORN = re.compile(r"BORN([._-](?!.*xyz).*)?")
VASPRUN = "vasprun.xml"
KNOWN = (
    "extended XYZ; vasprun.xml, OUTCAR and vaspout.h5 of VASP; the output of Quantum ESPRESSO's "
    "ph.x; a DDB of ABINIT; .castep of CASTEP; a phonopy.yaml with Z* in it or a BORN beside it"
)


def label_frames(path: str | Path, selection: str = ":") -> list[Frame]:
    """Read structures with labels, or the reasons why there are none.

    Parameters
    ----------
    path : str or pathlib.Path
        An output of a program, told by what is in it, or any file that ASE reads.
    selection : str
        Which structures, as ASE writes slices. Outputs other than vasprun.xml have one.

    Returns
    -------
    list of Frame
        Where ``program`` is not empty, a structure has ``born_effective_charges``, field first, and
        ``dielectric_tensor`` among its results. In other files they have names of their own.

    Raises
    ------
    ValueError
        If nothing can be read, or an output of a known program holds no Z*.
    """
    path = Path(path)
    program, reader = _recognized(path)
    if program == VASPRUN:
        frames = read_apart(path, selection, "vasp-xml")
        return [replace(frame, program="VASP") for frame in frames]
    if reader is None:
        return read_apart(path, selection)
    frame = Frame(0, reader(path), total=1, program=program)
    chosen = string2index(selection)
    if isinstance(chosen, slice):
        return [frame][chosen]
    if chosen not in (0, -1):
        raise ValueError(f"{path} has 1 structure, so none of number {chosen}")
    return [frame]


def read_labels(filename: str | Path, index: str = ":") -> list[Atoms]:
    """Read structures with Z* and ε∞ out of whatever program calculated them.

    Parameters
    ----------
    filename : str or pathlib.Path
        Extended XYZ as `write_extxyz` writes it; ``vasprun.xml``, ``OUTCAR`` or ``vaspout.h5``
        (VASP); an output of ph.x (Quantum ESPRESSO), whose structure is exact if an input or output
        of pw.x lies beside it; a DDB (ABINIT); ``.castep`` (CASTEP); a ``phonopy.yaml`` with Z* in
        it or a ``BORN`` beside it. The content tells which.
    index : str
        Which structures, as ASE writes slices; default all.

    Returns
    -------
    list of ase.Atoms
        Their calculators hold ``born_effective_charges``, |e|, field first, displacement second,
        shape=(N, 3, 3), as the program gave them; and ``dielectric_tensor``, ε∞, shape=(3, 3),
        where it did.

    Raises
    ------
    ValueError
        If the format has no labels, or the file lacks them or is cut off.
    """
    path = Path(filename)
    program, _ = _recognized(path)
    if not program:
        try:
            return read_extxyz(path, index)
        except ValueError as error:
            raise ValueError(f"{error}; files with labels are {KNOWN}") from error
    found = []
    for frame in label_frames(path, index):
        labels: Any = frame.atoms and frame.atoms.calc and frame.atoms.calc.results
        if labels and labels.get("born_effective_charges") is not None:
            found.append(frame.atoms)
    if not found:
        raise ValueError(f"{path} {vasp.NO_LABELS}")
    return found


def _recognized(path: Path) -> tuple[str, Callable[[Path], Atoms] | None]:
    """Return the program that wrote a file and what reads it; "" and None for any other file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if YAML.search(path.name):
        return "phonopy", phonopy_born.read_phonopy_born
    if BORN.fullmatch(path.name):
        return "phonopy", _refusing(
            "is a BORN file, without a structure: give the phonopy.yaml beside it"
        )
    head = read_head(path, HEAD)
    if head.startswith(b"\x89HDF\r\n"):
        return "VASP", vasp.read_vaspout
    text = head.decode("utf-8", errors="replace")
    if "<modeling>" in text:
        return VASPRUN, None
    for mark, program, reader in MARKS:
        if re.search(mark, text, re.MULTILINE):
            return program, reader
    return "", None


def _refusing(reason: str) -> Callable[[Path], Atoms]:
    def refuse(path: Path) -> NoReturn:
        raise ValueError(f"{path} {reason}")

    return refuse


MARKS: tuple[tuple[str, str, Callable[[Path], Atoms]], ...] = (
    (r"^ vasp\.\d", "VASP", vasp.read_outcar),
    (r"Program PHONON v", "Quantum ESPRESSO", espresso.read_ph),
    (
        r"Program PWSCF v",
        "Quantum ESPRESSO",
        _refusing("is an output of pw.x, which has no Z*: give the output of ph.x"),
    ),
    (r"DERIVATIVE DATABASE", "ABINIT", abinit.read_ddb),
    (
        r"^\.Version .* of ANADDB",
        "ABINIT",
        _refusing("is an output of anaddb, which names no atoms: give the DDB that anaddb read"),
    ),
    (
        r"^\.Version .* of ABINIT",
        "ABINIT",
        _refusing("is the main output of ABINIT: give its DDB, which holds all digits"),
    ),
    (r"\|\s+CCC\s+AA\s+SSS\s+TTTTT\s+EEEEE\s+PPPP\s+\|", "CASTEP", castep.read_castep),
    (
        r"^ BEGIN header\s*\n Number of ions",
        "CASTEP",
        _refusing("is a .phonon file, without Z*: give the .castep file"),
    ),
    (
        r"^ CP2K\| version string",
        "CP2K",
        _refusing(
            "is an output of CP2K, whose atomic polar tensors are not read: write them as a column "
            "of extended XYZ and say their order"
        ),
    ),
)
"""What the first page of a file says, the program, and what reads or refuses the file."""
