"""Labels with tensors that are not symmetric, as VASP writes them; outputs of other programs."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from ase import Atoms

from helpers.paths import REPOSITORY
from helpers.structures import triclinic

LABELS = REPOSITORY / "tests/data/labels"
RECORDED = REPOSITORY / "tests/labelling/recorded"


def asymmetric_label() -> tuple[Atoms, np.ndarray, np.ndarray]:
    """Return a crystal without symmetry, Z* that sum to zero, and ε∞."""
    atoms = triclinic()
    rng = np.random.default_rng(7)
    charges = rng.normal(size=(len(atoms), 3, 3))
    charges -= charges.mean(axis=0)
    assert np.abs(charges - charges.transpose(0, 2, 1)).max() > 0.5
    half = rng.normal(size=(3, 3)) * 0.2
    return atoms, charges, 3.0 * np.eye(3) + half + half.T


def vasp_tensor(tensor: np.ndarray) -> str:
    """Return the lines of a 3×3 tensor with numbered rows."""
    return "".join(
        f"{row:5d}" + "".join(f"{x:12.5f}" for x in numbers) + "\n"
        for row, numbers in enumerate(tensor, 1)
    )


def outcar(atoms: Atoms, charges: np.ndarray, dielectric: np.ndarray, *, version: int = 6) -> str:
    """Return what VASP writes of a calculation with LEPSILON and IBRION = 8, as far as it is read.

    The layout is that of pymatgen's test file OUTCAR.lepsilon (VASP 5.3.5), and for version 6 that
    of the VASP wiki. Other tables with like names stand around those that are asked for.
    """
    kinds = [next(iter(atoms.symbols))]
    counts = [0]
    for symbol in atoms.symbols:
        if symbol != kinds[-1]:
            kinds.append(symbol)
            counts.append(0)
        counts[-1] += 1
    zeros = np.zeros((len(atoms), 3))
    cell = np.hstack([atoms.cell.array, np.linalg.inv(atoms.cell.array).T])
    places = np.hstack([atoms.positions, zeros])
    rule = " " + "-" * 80 + "\n"
    field = "including local field effects) (in |e|" if version == 6 else "in e"
    tensors = "".join(
        f" ion {ion:4d}\n{vasp_tensor(tensor)}" for ion, tensor in enumerate(charges, 1)
    )
    by_displacement = "".join(f"{x:9.3f}" for x in charges[1, :, 0])
    return (
        " vasp.6.4.2 20Jul23 (build Oct 13 2023 11:41:49) complex\n"
        + "".join(f" POTCAR:    PAW_PBE {kind} 08Apr2002\n" for kind in kinds)
        + "".join(
            f" POTCAR:    PAW_PBE {kind} 08Apr2002\n   VRHFIN ={kind}: s2p4\n" for kind in kinds
        )
        + f"   ions per type =          {'   '.join(map(str, counts))}\n"
        + "      direct lattice vectors                 reciprocal lattice vectors\n"
        + "".join("".join(f"{x:13.9f}" for x in row) + "\n" for row in cell)
        + " POSITION                                       TOTAL-FORCE (eV/Angst)\n"
        + rule
        + "".join("".join(f"{x:13.5f}" for x in row) + "\n" for row in places)
        + rule
        + " POSITION                   FORCE-CONSTANT FOR ION    2 DIRECTION 1 (eV/Angst/Angst)\n"
        + rule
        + "".join("".join(f"{x:13.5f}" for x in row) + "\n" for row in places[::-1])
        + rule
        + f"\n BORN EFFECTIVE CHARGE FOR ION    2 DIRECTION 1 :{by_displacement}\n"
        + " MACROSCOPIC STATIC DIELECTRIC TENSOR (excluding local field effects)\n"
        + rule
        + _rows(7 * dielectric)
        + " MACROSCOPIC STATIC DIELECTRIC TENSOR (including local field effects in RPA (Hartree))\n"
        + rule
        + _rows(6 * dielectric)
        + " MACROSCOPIC STATIC DIELECTRIC TENSOR (including local field effects in DFT)\n"
        + rule
        + _rows(dielectric)
        + rule
        + " BORN EFFECTIVE CHARGES (excluding local field effects) (in |e|, cummulative output)\n"
        + rule
        + "".join(f" ion {ion:4d}\n{vasp_tensor(np.eye(3))}" for ion in range(1, len(atoms) + 1))
        + f"\n BORN EFFECTIVE CHARGES ({field}, cummulative output)\n"
        + rule
        + tensors
        + "\n INTERNAL STRAIN TENSOR FOR ION    1 for displacements in x,y,z  (eV/Angst):\n"
        + "          X           Y           Z          XY          YZ          ZX\n"
        + rule
        + _rows(np.ones((3, 6)))
        + " MACROSCOPIC STATIC DIELECTRIC TENSOR IONIC CONTRIBUTION\n"
        + rule
        + _rows(5 * dielectric)
    )


def write_vaspout(
    path: Path, atoms: Atoms, charges: np.ndarray, dielectric: np.ndarray | None
) -> None:
    """Write what VASP 6 puts into vaspout.h5, the displacement first, as far as it is read."""
    kinds = list(dict.fromkeys(atoms.symbols))
    assert [k for k in atoms.symbols] == sorted(atoms.symbols, key=kinds.index)
    with h5py.File(path, "w") as file:
        poscar = file.create_group("input/poscar")
        poscar["scale"] = 2.0
        poscar["lattice_vectors"] = atoms.cell.array / 2.0
        poscar["position_ions"] = atoms.get_scaled_positions()
        poscar["direct_coordinates"] = 1
        poscar["ion_types"] = np.array([f"{kind:2s}".encode() for kind in kinds])
        poscar["number_ion_types"] = [list(atoms.symbols).count(kind) for kind in kinds]
        file["intermediate/ion_dynamics/position_ions"] = atoms.get_scaled_positions()[None]
        response = file.create_group("results/linear_response")
        response["born_charges"] = charges.transpose(0, 2, 1)
        if dielectric is not None:
            response["electron_dielectric_tensor"] = dielectric


def _rows(matrix: np.ndarray) -> str:
    return "".join("".join(f"{x:13.6f}" for x in row) + "\n" for row in matrix)
