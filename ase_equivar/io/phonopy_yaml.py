"""phonopy's yaml and BORN, with errors that name the file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_equivar.io.read_errors import reading

if TYPE_CHECKING:
    from phonopy import Phonopy
    from phonopy.interface.phonopy_yaml import PhonopyYaml


@dataclass(frozen=True)
class YamlContent:
    """What a phonopy.yaml (or phonopy_disp.yaml, phonopy_params.yaml.xz, …) says.

    Attributes
    ----------
    path : pathlib.Path
    keys : dict
        As it is written.
    parsed : phonopy.interface.phonopy_yaml.PhonopyYaml
    length : float
        Unit of lengths of the program that it names (qe, abinit, …), Å.
    """

    path: Path
    keys: dict[str, Any]
    parsed: PhonopyYaml
    length: float


def read_yaml(path: Path) -> YamlContent:
    """Read a phonopy.yaml; a ValueError says why that is impossible."""
    from phonopy.interface.phonopy_yaml import load_phonopy_yaml, load_yaml
    from phonopy.physical_units import get_calculator_physical_units

    with reading(path, "phonopy"):
        keys: Any = load_yaml(path)
        parsed = load_phonopy_yaml(keys)
        length = get_calculator_physical_units(parsed.calculator).distance_to_A
    return YamlContent(path, keys, parsed, length)


def load_phonon(content: YamlContent, symprec: float, *, forces: Path | None = None) -> Phonopy:
    """Return the Phonopy object of a yaml, in the units of its program, without Z* and ε∞.

    Parameters
    ----------
    content : YamlContent
    symprec : float
        Symmetry tolerance, Å.
    forces : pathlib.Path, optional
        The file that phonopy finds forces or force constants in: the yaml or one beside it. None:
        cells alone.

    Raises
    ------
    ValueError
        If phonopy cannot read one of the files.
    """
    import phonopy

    path = content.path
    files = path if forces in (None, path) else f"{path} with {forces}"
    # phonopy looks for files in the current folder alone
    with reading(files, "phonopy"), contextlib.chdir(path.parent):
        return phonopy.load(
            path.name,
            is_nac=False,
            produce_fc=forces is not None,
            symprec=symprec / content.length,
            log_level=0,
        )


def read_born(born: Path, phonon: Phonopy, yaml: Path) -> dict[str, Any]:
    """Return Z* and ε∞ of a BORN file for the primitive cell of a yaml, as ``nac_params``."""
    from phonopy.file_IO import parse_BORN

    with reading(born, f"phonopy, for the primitive cell of {yaml},"):
        return dict(parse_BORN(phonon.primitive, symprec=phonon.symmetry.tolerance, filename=born))
