"""VASP: Z* and ε∞ from an ``OUTCAR`` or a ``vaspout.h5``; ASE reads ``vasprun.xml`` but for ε∞.

In VASP's text output, rows are fields and columns displacements; vaspout.h5, and thus py4vasp,
holds the transpose "for historic reasons" (VASP wiki, Born effective charges).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.io.compressed_files import DAMAGED, open_unpacked, read_text
from ase_equivar.io.label_files.labels import table_of, with_labels
from ase_equivar.io.read_errors import reading

NO_LABELS = "has no Born effective charges: VASP gives them with LEPSILON or LCALCEPS = .TRUE."
# In all versions; "BORN EFFECTIVE CHARGE FOR ION" are contributions by displacement.
CHARGES = re.compile(
    r"^ *BORN EFFECTIVE CHARGES \((?!excluding)[^\n]*cumm?ulative output\)[^\n]*\n", re.MULTILINE
)
# Neither "(excluding local field effects)" nor the ionic tensor nor that of the RPA.
DIELECTRIC = re.compile(
    r"^ *MACROSCOPIC STATIC DIELECTRIC TENSOR \(including local field effects(?: in DFT)?\).*\n",
    re.MULTILINE,
)
KIND = re.compile(r"VRHFIN\s*=\s*([A-Z][a-z]?)\s*:")
IONS_PER_TYPE = re.compile(r"ions per type\s*=((?:\s+\d+)+)")
LATTICE = re.compile(r"^ *direct lattice vectors +reciprocal lattice vectors.*\n", re.MULTILINE)
POSITIONS = re.compile(r"^ *POSITION +TOTAL-FORCE \(eV/Angst\).*\n", re.MULTILINE)
# of LEPSILON and of LCALCEPS, with local field effects; the last is the only one that ASE looks for
EPSILONS = ("epsilon", "epsilon_scf", "dielectric_dft")
SAME_PLACE = 1e-3  # Å
RESPONSE = "results/linear_response"
DYNAMICS = "intermediate/ion_dynamics"


@dataclass(frozen=True)
class VasprunStep:
    """What ASE does not say of an ionic step of a ``vasprun.xml``.

    Attributes
    ----------
    n_charges : int
        Atoms whose Z* are written; 0 if their table has no end. To all others ASE gives zero.
    dielectric : ndarray of shape (3, 3) or None
        ε∞, which ASE does not find under the names that VASP gives it.
    """

    n_charges: int = 0
    dielectric: NDArray[np.float64] | None = None


def steps_of_vasprun(path: Path) -> list[VasprunStep]:
    """Return what was written completely of each ionic step, also of the last one if truncated."""
    charges: list[int] = []
    tensors: list[dict[str, NDArray[np.float64]]] = []
    with open_unpacked(path) as file:
        try:
            for event, element in ElementTree.iterparse(file, ("start", "end")):
                name = element.get("name", "")
                if element.tag == "calculation" and event == "start":
                    charges.append(0)
                    tensors.append({})
                elif event == "start" or not tensors:
                    continue
                elif element.tag == "calculation":
                    element.clear()
                elif element.tag == "array" and name == "born_charges":
                    charges[-1] = sum(len(one) == 3 for one in element.iter("set"))
                elif element.tag == "varray" and name in EPSILONS:
                    tensors[-1][name] = _rows_of(element)
        except (ElementTree.ParseError, *DAMAGED):  # ASE takes what is before that too
            pass
    return [
        VasprunStep(count, next((found[name] for name in EPSILONS if name in found), None))
        for count, found in zip(charges, tensors, strict=True)
    ]


def _rows_of(array: Element) -> NDArray[np.float64]:
    return np.array([[float(x) for x in (row.text or "").split()] for row in array])


def read_outcar(path: Path) -> Atoms:
    """Return the structure of an OUTCAR with its labels.

    Raises
    ------
    ValueError
        If there are no Z*, the file is truncated, or atoms or the cell move in it: then the
        structure to which Z* belong is not known.
    """
    text = read_text(path)
    charges, dielectrics = list(CHARGES.finditer(text)), list(DIELECTRIC.finditer(text))
    if not charges:
        raise ValueError(f"{path} {NO_LABELS}")
    atoms = _structure_of_outcar(text, path)
    rows = table_of(text, charges[-1].end(), 3 * len(atoms), 3, f"the table of Z* in {path}")
    dielectric = None
    if dielectrics:
        dielectric = table_of(text, dielectrics[-1].end(), 3, 3, f"ε∞ in {path}")
    return with_labels(atoms, rows.reshape(len(atoms), 3, 3), dielectric, str(path))


def read_vaspout(path: Path) -> Atoms:
    """Return the structure of a vaspout.h5 with its labels.

    Raises
    ------
    ValueError
        If there are no Z*, the file is damaged, or atoms or the cell move in it.
    """
    import h5py

    with reading(path, "h5py"), h5py.File(path) as file:
        response: Any = file.get(RESPONSE, {})
        charges = np.array(response["born_charges"]) if "born_charges" in response else None
        tensor = response.get("electron_dielectric_tensor")
        dielectric = None if tensor is None else np.array(tensor)
        atoms = _structure_of_poscar(file["input/poscar"])
        steps = np.array(file.get(f"{DYNAMICS}/position_ions", []))
        lattices = np.array(file.get(f"{DYNAMICS}/lattice_vectors", []))
    if charges is None:
        raise ValueError(f"{path} {NO_LABELS}")
    if charges.ndim != 3:
        raise ValueError(f"{path} has Z* of shape {charges.shape}, not (N, 3, 3)")
    if steps.ndim == 3:
        moves = steps - steps[0]
        _refuse_motion((moves - np.rint(moves)) @ atoms.cell.array, path)
    if lattices.ndim == 3:  # in units of the scale of the POSCAR
        unit = np.linalg.norm(atoms.cell.array) / np.linalg.norm(lattices[0])
        _refuse_motion(unit * lattices, path)
    return with_labels(atoms, charges.transpose(0, 2, 1), dielectric, str(path))


def _structure_of_outcar(text: str, path: Path) -> Atoms:
    kinds, numbers = KIND.findall(text), IONS_PER_TYPE.search(text)
    counts = [] if numbers is None else [int(word) for word in numbers[1].split()]
    if not counts or len(kinds) != len(counts):
        raise ValueError(f"{path} does not list its atoms: is its beginning missing?")
    symbols = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    # positions at the end of each ionic step
    tables = [
        table_of(text, found.end(), len(symbols), 6, f"the positions in {path}")[:, :3]
        for found in POSITIONS.finditer(text)
    ]
    lattices = [
        table_of(text, found.end(), 3, 6, f"the lattice in {path}")[:, :3]
        for found in LATTICE.finditer(text)
    ]
    if not tables or not lattices:
        raise ValueError(f"{path} has no positions: is it truncated?")
    for steps in (tables, lattices):
        _refuse_motion(np.array(steps), path)
    return Atoms(symbols, positions=tables[0], cell=lattices[0], pbc=True)


def _refuse_motion(steps: NDArray[np.float64], path: Path) -> None:
    """Refuse steps, shape (steps, n, 3), Å, that differ, because Z* may belong to any of them."""
    if np.abs(steps - steps[0]).max() > SAME_PLACE:
        raise ValueError(
            f"atoms or the cell move in {path}, so the structure to which its Z* belong is "
            "unknown: give the vasprun.xml, or a calculation with fixed atoms"
        )


def _structure_of_poscar(poscar: Any) -> Atoms:
    scale = float(poscar["scale"][()])
    lattice = np.array(poscar["lattice_vectors"], dtype=float)
    if scale < 0:  # a negative scale is a volume, as in a POSCAR
        scale = float(np.cbrt(-scale / abs(np.linalg.det(lattice))))
    kinds = [name.decode().strip().partition("_")[0] for name in poscar["ion_types"][()]]
    numbers = np.array(poscar["number_ion_types"])
    symbols = np.repeat(kinds, numbers)
    places = np.array(poscar["position_ions"], dtype=float)
    direct = bool(poscar["direct_coordinates"][()])
    atoms = Atoms(list(symbols), cell=scale * lattice, pbc=True)
    if direct:
        atoms.set_scaled_positions(places)
    else:
        atoms.positions[:] = scale * places
    return atoms
