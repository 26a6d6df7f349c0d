"""phonopy: the unit cell of a phonopy.yaml with its Z* and ε∞, or those of a BORN file beside it.

A BORN file holds the symmetry-inequivalent atoms of the primitive cell, row = field (phonopy
manual, input files); phonopy itself generates the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_equivar.io.label_files.labels import with_labels
from ase_equivar.io.phonopy_yaml import load_phonon, read_born, read_yaml
from ase_equivar.structures.symmetry import SYMPREC


def read_phonopy_born(path: Path) -> Atoms:
    """Return the unit cell of a phonopy.yaml (or phonopy_disp.yaml, ...) in Å, with its labels.

    Raises
    ------
    ValueError
        If it has no Z* and there is no file BORN in its folder, if phonopy cannot read one of them,
        or if they do not match the primitive cell.
    """
    content = read_yaml(path)
    phonon = load_phonon(content, SYMPREC)
    source = path.parent / "BORN"
    if content.parsed.nac_params is not None:
        params: Any = content.parsed.nac_params
    elif source.is_file():
        params = read_born(source, phonon, path)
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
        cell.symbols,
        cell=cell.cell * content.length,
        scaled_positions=cell.scaled_positions,
        pbc=True,
    )
    return with_labels(atoms, born[in_primitive], params["dielectric"], str(path))
