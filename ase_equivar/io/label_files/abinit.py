"""ABINIT: Z* and ε∞ from a derivative database (DDB).

A DDB holds second derivatives of the energy with respect to reduced coordinates of atoms and
reduced components of the field, without the charge of the ions. The results of this module agree
with those printed by ABINIT's own anaddb to the last digit (``test_abinit.py``). The output of
anaddb itself (rows = displacement, columns = field) lacks the structure.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Bohr
from numpy.typing import NDArray

from ase_equivar.io.compressed_files import read_text
from ase_equivar.io.label_files.labels import with_labels

ELEMENT = re.compile(r"^\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+\S+\s*$", re.MULTILINE)
BLOCK = re.compile(r"^(?=\s*\d\w* .*derivatives|\s*Total energy\s)", re.MULTILINE)
POINT = re.compile(r"^\s*qpt\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", re.MULTILINE)
NUMBERS = r"((?:\s+[-+]?\d[\d.]*(?:[DE][-+]\d+)?)+)"


def read_ddb(path: Path) -> Atoms:
    """Return the structure of a DDB with its labels.

    Raises
    ------
    ValueError
        If the derivatives with respect to all atoms and the field are missing.
    """
    text = read_text(path)
    n_atoms = int(_header(text, "natom", 1, path)[0])
    cell = _header(text, "rprim", 9, path).reshape(3, 3)
    cell = cell * _header(text, "acell", 3, path)[:, None]
    kinds = _header(text, "typat", n_atoms, path).astype(int) - 1
    nuclei = _header(text, "znucl", kinds.max() + 1, path).round().astype(int)
    ions = _header(text, "zion", kinds.max() + 1, path)
    places = _header(text, "xred", 3 * n_atoms, path).reshape(n_atoms, 3)
    atoms = Atoms(nuclei[kinds], scaled_positions=places, cell=cell * Bohr, pbc=True)

    derivatives = _second_derivatives(text, n_atoms)
    field = n_atoms + 1
    mixed = derivatives[:n_atoms, :, field]
    if np.isnan(mixed).any():  # the derivatives commute
        mixed = derivatives[field, :, :n_atoms].transpose(1, 2, 0)
    if np.isnan(mixed).any():
        raise ValueError(
            f"{path} has no second derivatives with respect to the field and all atoms at Γ: "
            "ABINIT calculates them with rfelfd 3 and rfphon 1, rfatpol 1 natom, rfdir 1 1 1"
        )
    born = np.einsum("bk,ikl,la->iab", np.linalg.inv(cell), mixed, cell) / (2 * np.pi)
    born += ions[kinds][:, None, None] * np.eye(3)
    by_field = cell.T @ derivatives[field, :, field] @ cell / (2 * np.pi) ** 2
    dielectric = np.eye(3) - 4 * np.pi / abs(np.linalg.det(cell)) * by_field
    return with_labels(atoms, born, None if np.isnan(dielectric).any() else dielectric, str(path))


def _header(text: str, name: str, n: int, path: Path) -> NDArray[np.float64]:
    found = re.search(rf"^\s*{name}{NUMBERS}", text, re.MULTILINE)
    values = [] if found is None else [_number(word) for word in found[1].split()]
    if len(values) < n:
        raise ValueError(
            f"the header of {path} should have {n} numbers after {name!r}: is it truncated?"
        )
    return np.array(values[:n])


def _second_derivatives(text: str, n_atoms: int) -> NDArray[np.float64]:
    """Return second derivatives at Γ, [perturbation, direction, perturbation, direction].

    Perturbations are the atoms, the wavevector and the field. Missing elements are NaN.
    """
    n = n_atoms + 2
    found = np.full((n, 3, n, 3), np.nan)
    for block in BLOCK.split(text)[1:]:
        point = POINT.search(block)
        if point is None or any(_number(point[i]) for i in (1, 2, 3)):
            continue
        for *indices, value in ELEMENT.findall(block):
            direction, first, other, second = (int(index) - 1 for index in indices)
            if max(first, second) < n:
                found[first, direction, second, other] = _number(value)
    return found


def _number(word: str) -> float:
    return float(word.replace("D", "e"))
