"""phonopy: the unit cell of a phonopy.yaml with its Z* and ε∞, or those of a BORN file beside it.

A BORN file holds the symmetry-inequivalent atoms of the primitive cell, row = field (phonopy
manual, input files); phonopy itself generates the others.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_equivar.io.label_files.labels import with_labels
from ase_equivar.io.read_errors import reading
from ase_equivar.structures.symmetry import SYMPREC


def read_phonopy_born(path: Path) -> Atoms:
    """Return the unit cell of a phonopy.yaml (or phonopy_disp.yaml, ...) in Å, with its labels.

    Raises
    ------
    ValueError
        If it has no Z* and there is no file BORN in its folder, if phonopy cannot read one of them,
        or if they do not match the primitive cell.
    """
    import phonopy
    from phonopy.file_IO import parse_BORN
    from phonopy.interface.phonopy_yaml import load_phonopy_yaml, load_yaml
    from phonopy.physical_units import get_calculator_physical_units

    with reading(path, "phonopy"):
        held: Any = load_phonopy_yaml(load_yaml(path))
        length = get_calculator_physical_units(held.calculator).distance_to_A
        with contextlib.chdir(path.parent):  # phonopy also looks for files in the current folder
            phonon = phonopy.load(
                path.name, is_nac=False, produce_fc=False, symprec=SYMPREC / length, log_level=0
            )
    source = path.parent / "BORN"
    if held.nac_params is not None:
        params: Any = held.nac_params
    elif source.is_file():
        with reading(source, f"phonopy, for the primitive cell of {path},"):
            params = parse_BORN(
                phonon.primitive, symprec=phonon.symmetry.tolerance, filename=source
            )
    else:
        raise ValueError(f"{path} has no Z* (nac_params), and there is no file {source}")
    primitive, cell = phonon.primitive, phonon.unitcell
    in_supercell = primitive.s2p_map[phonon.supercell.u2s_map]
    in_primitive = [primitive.p2p_map[index] for index in in_supercell]
    born = np.asarray(params["born"])
    if len(born) != len(primitive):
        raise ValueError(
            f"{path} has Z* of {len(born)} atoms for a primitive cell of {len(primitive)}"
        )
    atoms = Atoms(
        cell.symbols, cell=cell.cell * length, scaled_positions=cell.scaled_positions, pbc=True
    )
    return with_labels(atoms, born[in_primitive], params["dielectric"], str(path))
