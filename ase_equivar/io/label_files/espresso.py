"""Quantum ESPRESSO: Z* and ε∞ of an output of ph.x.

ph.x calculates Z* in up to two ways: from the forces that fields exert (``zeu``), rows Ex, Ey, Ez,
and from the polarization that displacements cause (``zue``), rows Px, Py, Pz. In both, rows are
fields and columns displacements (subroutine summarize_zue of its source; ``test_espresso.py``).
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
from ase.io.espresso import read_espresso_ph
from numpy.typing import NDArray

from ase_equivar.io.label_files.labels import numbers_in, read_head, read_text, with_labels
from ase_equivar.io.read_errors import reading

logger = logging.getLogger(__name__)

HEAD = 4096  # bytes
PW_INPUT = re.compile(r"^\s*&(control|system)\b", re.IGNORECASE | re.MULTILINE)
PW_OUTPUT = "Program PWSCF"
N_ATOMS = re.compile(r"number of atoms/cell\s*=\s*(\d+)")
DIELECTRIC = re.compile(r"Dielectric constant in cartesian axis\s+((?:\([^)]*\)\s*){3})")
# Without the acoustic sum rule, whose violation says how well Z* are converged.
BLOCKS = tuple(
    rf"Effective charges \({derivative}\) in cartesian axis(?!.*\b(?:with|apply) asr).*\n"
    for derivative in ("d Force / dE", "d P / du")
)
ROW = re.compile(r"^\s*[EP][xyz]\s+\((.*?)\)", re.MULTILINE)
LARGEST_ROUNDING = 5e-3  # Å; ph.x prints the cell with four decimals, in units of its length


@dataclass(frozen=True)
class Response:
    """What ph.x found: Z* (N, 3, 3), field first, |e|, as calculated; and ε∞ (3, 3)."""

    born_charges: NDArray[np.float64]
    dielectric: NDArray[np.float64]


def read_response(text: str, n_atoms: int) -> Response:
    """Read the tensors of an output of ph.x, Z* without the acoustic sum rule.

    Parameters
    ----------
    text : str
    n_atoms : int

    Raises
    ------
    ValueError
        If it did not come to the end of its electric fields, saying what ph.x said.
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
    """Return what a program wrote between its lines of percent signs."""
    parts = re.split(r"%{10,}", text)
    told = " ".join(parts[1].split()) if len(parts) > 1 else ""
    if not told and "convergence NOT achieved" in text:
        told = "no self-consistency"
    return f": {told[:200]}" if told else ""


def read_ph(path: Path) -> Atoms:
    """Return the structure of an output of ph.x, with its labels.

    ph.x rounds the structure to some 10⁻⁴ Å. An input or output of pw.x in the same folder that
    holds the same structure gives it exactly.

    Raises
    ------
    ValueError
        If there are no Z*, or the file is cut off.
    """
    text = read_text(path)
    number = N_ATOMS.search(text)
    if number is None:
        raise ValueError(f"{path} does not say how many atoms there are: is it cut off?")
    try:
        response = read_response(text, int(number[1]))
    except ValueError as error:
        raise ValueError(f"{path}: {error} (ph.x needs epsil and zeu or zue)") from None
    rounded = _rounded_structure(path, text)
    exact = _exact_structure(path, rounded)
    if exact is None:
        logger.warning(
            "%s: no input or output of pw.x with the same structure lies beside it, so the "
            "structure is as ph.x prints it, rounded to some 1e-4 Å",
            path,
        )
    return with_labels(exact or rounded, response.born_charges, response.dielectric, str(path))


def _rounded_structure(path: Path, text: str) -> Atoms:
    with reading(path):
        found = read_espresso_ph(io.StringIO(text))
        return next(entry["atoms"] for entry in found.values() if "atoms" in entry)


def _exact_structure(path: Path, rounded: Atoms) -> Atoms | None:
    """Return the structure of pw.x beside an output of ph.x that is closest to what this says."""
    closest, least = None, LARGEST_ROUNDING
    for file in sorted(path.parent.iterdir()):
        if not file.is_file() or file == path:
            continue
        head = read_head(file, HEAD).decode("utf-8", errors="replace")
        format = "espresso-out" if PW_OUTPUT in head else "espresso-in"
        if format == "espresso-in" and PW_INPUT.search(head) is None:
            continue
        try:
            atoms = ase.io.read(file, -1, format=format)
        except Exception as error:  # a file that was not asked for, of another run perhaps
            logger.debug("%s beside %s: %s", file, path, error)
            continue
        distance = _distance(atoms, rounded)
        if distance < least:
            closest, least = atoms, distance
    return closest


def _distance(atoms: Atoms, other: Atoms) -> float:
    """Return the largest distance between atoms, or ends of cell vectors, of two structures, Å."""
    if list(atoms.numbers) != list(other.numbers):
        return np.inf
    steps = (atoms.positions - other.positions) @ np.linalg.inv(other.cell.array)
    moved = (steps - np.rint(steps)) @ other.cell.array
    both = np.vstack([moved, atoms.cell.array - other.cell.array])
    return float(np.linalg.norm(both, axis=1).max())
