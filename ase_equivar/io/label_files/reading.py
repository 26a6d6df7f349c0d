"""Recognition of the program that wrote a file with labels, and the choice of its reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from ase import Atoms

from ase_equivar.io.compressed_files import read_head
from ase_equivar.io.extxyz import read_extxyz
from ase_equivar.io.file_selection import frame_index
from ase_equivar.io.input_files import check_file
from ase_equivar.io.label_files import abinit, castep, espresso, phonopy_born, vasp
from ase_equivar.io.structure_files import Frame, read_apart

HEAD = 65536  # bytes; CP2K and MPI may write much text before the program's name
YAML = re.compile(r"\.ya?ml(\.(gz|xz|bz2|lzma))?$")
BORN = re.compile(r"BORN([._-](?!.*xyz).*)?")
VASPRUN = "vasprun.xml"
KNOWN = (
    "extended XYZ; vasprun.xml, OUTCAR and vaspout.h5 of VASP; the output of Quantum ESPRESSO's "
    "ph.x; a DDB of ABINIT; .castep of CASTEP; a phonopy.yaml with Z* in it or a BORN beside it"
)


def label_frames(path: str | Path, selection: str = ":") -> list[Frame]:
    """Read structures with labels, or the reasons why they cannot be read.

    Parameters
    ----------
    path : str or pathlib.Path
        An output of a program, recognized by its content, or any file that ASE reads.
    selection : str
        Structures to read, in ASE's slice notation. Outputs other than vasprun.xml have one.

    Returns
    -------
    list of Frame
        If ``program`` is not empty, a structure has ``born_effective_charges`` (row = field) and
        ``dielectric_tensor`` among its results. In other files their names vary.

    Raises
    ------
    ValueError
        If nothing can be read, or an output of a supported program holds no Z*.
    """
    path = Path(path)
    program, reader = _recognized(path)
    if program == VASPRUN:
        frames = read_apart(path, selection, "vasp-xml")
        steps = vasp.steps_of_vasprun(path)
        return [_of_vasprun(frame, steps) for frame in frames]
    if reader is None:
        return read_apart(path, selection)
    frame = Frame(0, reader(path), total=1, program=program)
    chosen = frame_index(selection)
    if isinstance(chosen, slice):
        return [frame][chosen]
    if chosen not in (0, -1):
        raise ValueError(f"{path} has 1 structure, so there is no structure {chosen}")
    return [frame]


def _of_vasprun(frame: Frame, steps: list[vasp.VasprunStep]) -> Frame:
    """Add ε∞, and refuse Z* that were not all written."""
    if frame.atoms is None or frame.atoms.calc is None:
        return replace(frame, program="VASP")
    results: dict[str, Any] = frame.atoms.calc.results
    step = steps[frame.number] if frame.number < len(steps) else vasp.VasprunStep()
    if "born_effective_charges" in results and step.n_charges != len(frame.atoms):
        trouble = f"its table of Z* has not all of its {len(frame.atoms)} atoms: is it truncated?"
        return replace(frame, atoms=None, trouble=trouble, program="VASP")
    if step.dielectric is not None and step.dielectric.shape == (3, 3):
        results["dielectric_tensor"] = step.dielectric
    return replace(frame, program="VASP")


def read_labels(filename: str | Path, index: str = ":") -> list[Atoms]:
    """Read structures with Z* and ε∞ from outputs of many programs.

    Parameters
    ----------
    filename : str or pathlib.Path
        Extended XYZ in the layout of `write_extxyz`; ``vasprun.xml``, ``OUTCAR`` or ``vaspout.h5``
        (VASP); an output of ph.x (Quantum ESPRESSO), whose structure is exact if an input or output
        of pw.x is in the same folder; a DDB (ABINIT); ``.castep`` (CASTEP); a ``phonopy.yaml`` with
        Z*, or with a ``BORN`` file in its folder; any other file that gives ASE the result
        ``born_effective_charges``. The format is recognized by the content.
    index : str
        Structures to read, in ASE's slice notation; default all.

    Returns
    -------
    list of ase.Atoms
        Their calculators hold ``born_effective_charges``, |e|, row = field, column = displacement,
        shape=(N, 3, 3), as calculated by the program; and ``dielectric_tensor``, ε∞, shape=(3, 3),
        if the file has it.

    Raises
    ------
    ValueError
        If the format has no labels, or the file lacks them or is truncated.
    """
    path = Path(filename)
    program, _ = _recognized(path)
    if not program:
        try:
            return read_extxyz(path, index)
        except ValueError as error:
            if found := _with_results(path, index):
                return found
            raise ValueError(f"{error}; supported files with labels are {KNOWN}") from error
    if not (found := _with_results(path, index)):
        raise ValueError(f"{path} {vasp.NO_LABELS}")
    return found


def _with_results(path: Path, index: str) -> list[Atoms]:
    """Return the structures of a file that have Z* among their results."""
    found = []
    for frame in label_frames(path, index):
        if frame.trouble:
            raise ValueError(f"{path}, structure {frame.number}: {frame.trouble}")
        calculator: Any = frame.atoms and frame.atoms.calc
        if calculator and calculator.results.get("born_effective_charges") is not None:
            found.append(frame.atoms)
    return found


def structure_of_program(path: Path) -> Atoms | None:
    """Return the structure of a complete output with Z*; None for any other file."""
    reader = _recognized(path)[1]
    try:
        return None if reader is None else reader(path)
    except ValueError:
        return None


def program_of(path: str | Path) -> str:
    """Return the name of the program that wrote a file with labels; "" for any other file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    return _recognized(Path(path))[0]


def _recognized(path: Path) -> tuple[str, Callable[[Path], Atoms] | None]:
    """Return the program that wrote a file and its reader; "" and None for any other file."""
    check_file(path)
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
    (castep.BANNER, "CASTEP", castep.read_castep),
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
