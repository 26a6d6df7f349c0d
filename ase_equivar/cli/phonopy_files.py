"""What the commands read of phonopy: its yaml, and the files of forces and Z* that go with it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_equivar.arguments import positive_number
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC, warn_if_nearly_symmetric
from ase_equivar.warning_types import InputWarning

if TYPE_CHECKING:
    from phonopy import Phonopy
    from phonopy.interface.phonopy_yaml import PhonopyYaml

    from ase_equivar.io.phonopy_yaml import YamlContent

CONSTANTS = ("FORCE_CONSTANTS", "force_constants.hdf5")
OF_SECOND_ORDER = ("phonon_supercell", "phonon_displacement", "phonon_primitive")

BornFile = Annotated[
    Path | None,
    typer.Option(
        "--born",
        help="BORN file with Z* and ε∞, for a phonopy.yaml, whose own they replace. One that lies "
        "beside the yaml is not read unless it is named here.",
    ),
]


@dataclass(frozen=True)
class PhonopyFile:
    """What was read, and from which files.

    Attributes
    ----------
    phonon : phonopy.Phonopy
        With Z* and ε∞ if they were given.
    forces_from, born_from : pathlib.Path or None
        The files of the force constants, or of the forces that make them, and of Z* and ε∞.
    """

    phonon: Phonopy
    forces_from: Path | None
    born_from: Path | None


def is_phonopy_file(path: Path) -> bool:
    """Tell phonopy.yaml, phonopy_params.yaml.xz and the like from structures, by their name."""
    return any(suffix in (".yaml", ".yml") for suffix in path.suffixes)


def read_phonopy(
    path: Path, *, with_force_constants: bool, born: Path | None = None, symprec: float = SYMPREC
) -> PhonopyFile:
    """Return what a phonopy.yaml holds, in Å and eV, with its own Z* and ε∞ if there are any.

    The program that the file names (qe, abinit, …) tells the units of lengths and forces. Forces
    that are not in it are looked for in its folder, in the order of phonopy: FORCE_CONSTANTS,
    force_constants.hdf5, the yaml's own forces, FORCE_SETS.

    Parameters
    ----------
    path : pathlib.Path
        The yaml.
    with_force_constants : bool
        Whether force constants, Z* and ε∞ are needed, not the cells alone.
    born : pathlib.Path, optional
        BORN file whose Z* and ε∞ are taken.
    symprec : float
        Symmetry tolerance, Å.

    Raises
    ------
    FileNotFoundError, ValueError
        When a file is not there or damaged, states units that are not those of the program that it
        names, has forces neither in it nor beside it, or is one of phono3py with a supercell of its
        own for second order.

    Warns
    -----
    UserWarning
        When a BORN file lies beside the yaml and is not read.
    """
    from ase_equivar.io.input_files import check_file
    from ase_equivar.io.phonopy_yaml import load_phonon, read_yaml
    from ase_equivar.io.read_errors import reading
    from ase_equivar.phonons.read_cell import converted

    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    for needed in (path, born):
        if needed is not None:
            check_file(needed)
    content = read_yaml(path)
    source: Path | None = None
    if with_force_constants:
        _refuse_second_order(path, content.keys)
        with reading(path, "phonopy"):
            source = _forces_from(path, content.parsed)
    phonon = load_phonon(content, symprec, forces=source)
    phonon = converted(phonon, with_masses=with_force_constants)
    lattice, positions, kinds, *_ = phonon.unitcell.totuple(distinguish_symbol_index=True)
    warn_if_nearly_symmetric((lattice, positions, kinds), symprec)
    if not with_force_constants:
        return PhonopyFile(phonon, None, None)
    if phonon.force_constants is None:
        raise ValueError(
            f"{path} has no force constants or forces, nor is there a FORCE_SETS, "
            f"{' or '.join(CONSTANTS)} beside it, in {path.parent}"
        )
    born_from = _set_born(phonon, content, born)
    return PhonopyFile(phonon, source, born_from)


def _forces_from(path: Path, held: PhonopyYaml) -> Path | None:
    """Return the file that phonopy takes forces from: the first of those in `read_phonopy`."""
    if held.force_constants is not None:
        return path
    for name in CONSTANTS:
        if (path.parent / name).exists():
            return path.parent / name
    dataset: Any = held.dataset or {}
    if "forces" in dataset or any("forces" in one for one in dataset.get("first_atoms", ())):
        return path
    sets = path.parent / "FORCE_SETS"
    return sets if sets.exists() else None


def _set_born(phonon: Phonopy, content: YamlContent, born: Path | None) -> Path | None:
    """Give the Phonopy object Z* and ε∞, and return the file that they are from."""
    from ase_equivar.io.phonopy_yaml import read_born
    from ase_equivar.phonons.gamma import NAC_FACTOR

    own = content.parsed.nac_params
    if born is not None:
        params = read_born(born, phonon, content.path)
        phonon.nac_params = {**params, "factor": NAC_FACTOR}  # which the file need not hold
        return born
    beside = content.path.parent / "BORN"
    if beside.exists():
        warnings.warn(
            f"{beside} is not read; --born {beside} takes Z* and ε∞ of it",
            InputWarning,
            stacklevel=4,
        )
    if own is None:
        return None
    phonon.nac_params = {**own, "factor": NAC_FACTOR}  # of our units
    return content.path


def _refuse_second_order(path: Path, content: dict[str, Any]) -> None:
    """Refuse a file of phono3py whose second order has a supercell of its own."""
    if any(key.startswith(OF_SECOND_ORDER) and content[key] for key in content):
        raise ValueError(
            f"{path} is one of phono3py with a supercell of its own for the second order, which "
            "phonopy does not read: the supercell of the third order would be taken. Give a "
            "phonopy.yaml of that supercell, with its FORCE_SETS or, made of phono3py's "
            "fc2.hdf5, force_constants.hdf5 beside it"
        )
