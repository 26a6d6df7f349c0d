"""What the commands read of phonopy: its yaml, and the files of forces and Z* that go with it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
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
    import phonopy
    from phonopy.interface.phonopy_yaml import load_phonopy_yaml, load_yaml
    from phonopy.physical_units import get_calculator_physical_units

    from ase_equivar.io.input_files import check_file
    from ase_equivar.phonons.read_cell import converted

    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    for needed in (path, born):
        if needed is not None:
            check_file(needed)
    with _reading(str(path)):
        content: Any = load_yaml(path)
        held = load_phonopy_yaml(content)
        source = _forces_from(path, held) if with_force_constants else None
        length = get_calculator_physical_units(held.calculator).distance_to_A
    if with_force_constants:
        _refuse_second_order(path, content)
    # phonopy looks for files in the current folder alone.
    with (
        _reading(str(path) if source in (None, path) else f"{path} with {source}"),
        contextlib.chdir(path.parent),
    ):
        phonon = phonopy.load(
            path.name,
            is_nac=False,
            produce_fc=with_force_constants,
            symprec=symprec / length,
            log_level=0,
        )
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
    born_from = _set_born(phonon, path, held, born)
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


def _set_born(phonon: Phonopy, path: Path, held: PhonopyYaml, born: Path | None) -> Path | None:
    """Give the Phonopy object Z* and ε∞, and return the file that they are from."""
    from ase_equivar.phonons.gamma import NAC_FACTOR

    if born is not None:
        from phonopy.file_IO import parse_BORN

        with _reading(f"{born} for the primitive cell of {path}"):
            tolerance = phonon.symmetry.tolerance
            params = parse_BORN(phonon.primitive, symprec=tolerance, filename=born)
        params["factor"] = NAC_FACTOR  # which the file need not hold
        phonon.nac_params = params
        return born
    beside = path.parent / "BORN"
    if beside.exists():
        warnings.warn(
            f"{beside} is not read; --born {beside} takes Z* and ε∞ of it",
            InputWarning,
            stacklevel=4,
        )
    if held.nac_params is None:
        return None
    phonon.nac_params = {**held.nac_params, "factor": NAC_FACTOR}  # of our units
    return path


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file can raise anything
        from ase_equivar.io.read_errors import reason

        raise ValueError(f"phonopy cannot read {what}: {reason(error, 'phonopy')}") from error


def _refuse_second_order(path: Path, content: dict[str, Any]) -> None:
    """Refuse a file of phono3py whose second order has a supercell of its own."""
    if any(key.startswith(OF_SECOND_ORDER) and content[key] for key in content):
        raise ValueError(
            f"{path} is one of phono3py with a supercell of its own for the second order, which "
            "phonopy does not read: the supercell of the third order would be taken. Give a "
            "phonopy.yaml of that supercell, with its FORCE_SETS or, made of phono3py's "
            "fc2.hdf5, force_constants.hdf5 beside it"
        )
