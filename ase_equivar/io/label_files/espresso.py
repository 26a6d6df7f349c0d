"""Quantum ESPRESSO: Z* and ε∞ from an output of ph.x.

ph.x calculates Z* in up to two ways: from forces induced by fields (``zeu``), with rows Ex, Ey, Ez,
and from the polarization induced by displacements (``zue``), with rows Px, Py, Pz. In both, rows
are fields and columns displacements (subroutine summarize_zue of its source; ``test_espresso.py``).
"""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.io.espresso import label_to_symbol, read_espresso_ph
from numpy.typing import NDArray

from ase_equivar.io.compressed_files import read_head, read_text
from ase_equivar.io.formats import ESPRESSO_INPUT, HEAD
from ase_equivar.io.label_files.labels import numbers_in, with_labels
from ase_equivar.io.read_errors import reading
from ase_equivar.structures.lattice import nearest_images

logger = logging.getLogger(__name__)

PW_OUTPUT = "Program PWSCF"
N_ATOMS = re.compile(r"number of atoms/cell\s*=\s*(\d+)")
DIELECTRIC = re.compile(r"Dielectric constant in cartesian axis\s+((?:\([^)]*\)\s*){3})")
# Before the acoustic sum rule is imposed; its violation indicates the convergence of Z*.
BLOCKS = tuple(
    rf"Effective charges \({derivative}\) in cartesian axis(?!.*\b(?:with|apply) asr).*\n"
    for derivative in ("d Force / dE", "d P / du")
)
ATOM = re.compile(r"(?<=\s)(\S+)(?=\s+[\d.]+\s+tau\(\s*\d+\) =)")  # before mass and position
ROW = re.compile(r"^\s*[EP][xyz]\s+\((.*?)\)", re.MULTILINE)
LARGEST_ROUNDING = 5e-3  # Å; ph.x prints the cell with four decimals, in units of its length


@dataclass(frozen=True)
class Response:
    """Results of ph.x: uncorrected Z* (N, 3, 3), row = field, |e|; and ε∞ (3, 3)."""

    born_charges: NDArray[np.float64]
    dielectric: NDArray[np.float64]


def read_response(text: str, n_atoms: int) -> Response:
    """Read the tensors from an output of ph.x, with Z* before the acoustic sum rule is imposed.

    Parameters
    ----------
    text : str
    n_atoms : int

    Raises
    ------
    ValueError
        If the response to electric fields is incomplete, with the error message of ph.x.
    """
    tensor = DIELECTRIC.search(text)
    starts = [found for pattern in BLOCKS if (found := re.search(pattern, text)) is not None]
    if tensor is None or not starts or "End of electric fields calculation" not in text:
        raise ValueError("ph.x found no response to fields" + complaint(text))
    rows = [numbers_in(row) for row in ROW.findall(text, starts[0].end())[: 3 * n_atoms]]
    if len(rows) != 3 * n_atoms or any(len(row) != 3 for row in rows):
        raise ValueError(f"ph.x gave {len(rows)} rows of Z*, not {3 * n_atoms}")
    return Response(
        np.array(rows).reshape(n_atoms, 3, 3), np.array(numbers_in(tensor[1])).reshape(3, 3)
    )


def complaint(text: str) -> str:
    """Return the error message between a program's lines of percent signs."""
    parts = re.split(r"%{10,}", text)
    told = " ".join(parts[1].split()) if len(parts) > 1 else ""
    if not told and "convergence NOT achieved" in text:
        told = "no self-consistency"
    return f": {told[:200]}" if told else ""


def read_ph(path: Path) -> Atoms:
    """Return the structure of an output of ph.x, with its labels.

    ph.x rounds the structure to some 10⁻⁴ Å. If an input or output of pw.x in the same folder holds
    the same structure, it is taken from there exactly.

    Raises
    ------
    ValueError
        If there are no Z*, or the file is truncated.
    """
    text = read_text(path)
    number = N_ATOMS.search(text)
    if number is None:
        raise ValueError(f"{path} does not contain the number of atoms: is it truncated?")
    try:
        response = read_response(text, int(number[1]))
    except ValueError as error:
        raise ValueError(f"{path}: {error} (ph.x needs epsil and zeu or zue)") from None
    rounded = _rounded_structure(path, text)
    exact = _exact_structure(path, rounded)
    if exact is None:
        logger.warning(
            "%s: no input or output of pw.x with the same structure is in its folder, so the "
            "structure is taken as printed by ph.x, rounded to some 1e-4 Å",
            path,
        )
    return with_labels(exact or rounded, response.born_charges, response.dielectric, str(path))


def _rounded_structure(path: Path, text: str) -> Atoms:
    with reading(path):
        # ASE does not know labels of species here, such as Fe1 or O_a
        named = ATOM.sub(lambda found: label_to_symbol(found[1]), text)
        found = read_espresso_ph(io.StringIO(named))
        return next(entry["atoms"] for entry in found.values() if "atoms" in entry)


def _exact_structure(path: Path, rounded: Atoms) -> Atoms | None:
    """Return the pw.x structure in the folder of a ph.x output that is closest to its structure."""
    closest, least = None, LARGEST_ROUNDING
    for file in sorted(path.parent.iterdir()):
        if not file.is_file() or file == path:
            continue
        head = read_head(file, HEAD).decode("utf-8", errors="replace")
        format = "espresso-out" if PW_OUTPUT in head else "espresso-in"
        if format == "espresso-in" and ESPRESSO_INPUT.search(head) is None:
            continue
        try:
            atoms = ase.io.read(file, -1, format=format, do_not_split_by_at_sign=True)
        except Exception as error:  # a file that the user did not name, possibly of another run
            logger.debug("%s beside %s: %s", file, path, error)
            continue
        distance = _distance(atoms, rounded)
        if distance < least:
            closest, least = atoms, distance
    return closest


def _distance(atoms: Atoms, other: Atoms) -> float:
    """Return the largest displacement of atoms or cell vectors between two structures, Å."""
    if list(atoms.numbers) != list(other.numbers):
        return np.inf
    cell = other.cell.array
    steps = (atoms.positions - other.positions) @ np.linalg.inv(cell)
    moved = nearest_images(steps, cell) @ cell
    both = np.vstack([moved, atoms.cell.array - other.cell.array])
    return float(np.linalg.norm(both, axis=1).max())
