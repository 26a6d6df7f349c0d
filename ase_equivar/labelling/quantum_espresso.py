"""Inputs and outputs of Quantum ESPRESSO's pw.x and ph.x.

The linear response to three fields (``epsil``) gives ε∞ and, through the forces that the fields
exert on the atoms (``zeu``), Z*: Baroni et al., Rev. Mod. Phys. 73, 515 (2001). The 3N responses to
atomic displacements are not needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_masses
from ase.units import Bohr, Ry
from numpy.typing import NDArray

from ase_equivar.io.label_files.espresso import complaint
from ase_equivar.labelling.mesh import Mesh
from ase_equivar.labelling.pseudopotentials import Pseudopotential

NUMBER = r"[-+]?\d+\.\d+(?:[EeDd][-+]?\d+)?"


@dataclass(frozen=True)
class GroundState:
    """Results of pw.x: energy in eV, forces in eV/Å (N, 3), gap in eV, number of k-points."""

    energy: float
    forces: NDArray[np.float64]
    gap: float
    n_points: int


def n_electrons(atoms: Atoms, pseudopotentials: dict[str, Pseudopotential]) -> int:
    """Return the number of valence electrons."""
    return sum(pseudopotentials[symbol].valence for symbol in atoms.get_chemical_symbols())


def pw_input(
    atoms: Atoms,
    pseudopotentials: dict[str, Pseudopotential],
    mesh: Mesh,
    *,
    cutoff: float,
    mixing: float,
    symmetry: bool = True,
) -> str:
    """Return the input of pw.x for the ground state of an insulator.

    Parameters
    ----------
    atoms : ase.Atoms
    pseudopotentials : dict
        Pseudopotentials by element.
    mesh : Mesh
    cutoff : float
        Ry.
    mixing : float
        Fraction of the new density in each self-consistency step.
    symmetry : bool
        False: use no rotations, only the equivalence of k and −k.
    """
    symbols = atoms.get_chemical_symbols()
    kinds = sorted(set(symbols))
    occupied = n_electrons(atoms, pseudopotentials) // 2
    lines = [
        "&control",
        "  calculation = 'scf', prefix = 'x', outdir = './o', pseudo_dir = './'",
        "  tprnfor = .true., disk_io = 'low', verbosity = 'high'",
        "/",
        "&system",
        f"  ibrav = 0, nat = {len(atoms)}, ntyp = {len(kinds)}, ecutwfc = {cutoff}",
        f"  occupations = 'fixed', nbnd = {occupied + max(2, occupied // 10)}",
        *([] if symmetry else ["  nosym = .true."]),
        "/",
        "&electrons",
        f"  conv_thr = {1e-11 * len(atoms):g}, mixing_beta = {mixing}, electron_maxstep = 100",
        "/",
        "ATOMIC_SPECIES",
    ]
    for kind in kinds:
        path = pseudopotentials[kind].path
        mass = atomic_masses[atoms.numbers[symbols.index(kind)]]
        lines.append(f"{kind} {mass:.4f} {path.name}")
    lines.append("CELL_PARAMETERS angstrom")
    lines += ["{:.10f} {:.10f} {:.10f}".format(*vector) for vector in atoms.cell[:]]
    lines.append("ATOMIC_POSITIONS angstrom")
    for symbol, position in zip(symbols, atoms.positions, strict=True):
        lines.append("{} {:.10f} {:.10f} {:.10f}".format(symbol, *position))
    lines.append("K_POINTS automatic")
    lines.append(" ".join(map(str, (*mesh.numbers, *mesh.shifts))))
    return "\n".join(lines) + "\n"


def ph_input(*, threshold: float, mixing: float) -> str:
    """Return the input of ph.x for the response to electric fields, without phonons."""
    return f"""response to electric fields
&inputph
  prefix = 'x', outdir = './o', epsil = .true., zeu = .true., zue = .false., trans = .false.
  tr2_ph = {threshold:g}, alpha_mix(1) = {mixing}, niter_ph = 60
/
0. 0. 0.
"""


def read_ground_state(text: str, n_atoms: int) -> GroundState:
    """Read the output of pw.x.

    Raises
    ------
    ValueError
        If pw.x did not finish, with its error message.
    """
    if "convergence has been achieved" not in text:
        raise ValueError("pw.x found no ground state" + complaint(text))
    rows = re.findall(rf"^\s*atom\s+\d+ type\s+\d+\s+force =\s+{_three()}", text, re.MULTILINE)
    energies = re.findall(rf"^!\s+total energy\s+=\s+({NUMBER}) Ry", text, re.MULTILINE)
    points = re.search(r"number of k points=\s*(\d+)", text)
    if len(rows) < n_atoms or not energies or points is None:
        raise ValueError("the output of pw.x is not complete" + complaint(text))
    levels = re.findall(rf"highest occupied, lowest unoccupied level \(ev\):\s+{_two()}", text)
    gap = _float(levels[-1][1]) - _float(levels[-1][0]) if levels else float("nan")
    # the total forces come first, then their contributions
    forces = np.array([[_float(x) for x in row] for row in rows[:n_atoms]]) * Ry / Bohr
    return GroundState(_float(energies[-1]) * Ry, forces, gap, int(points[1]))


def _three() -> str:
    return r"\s+".join([f"({NUMBER})"] * 3)


def _two() -> str:
    return r"\s+".join([f"({NUMBER})"] * 2)


def _float(text: str) -> float:
    return float(text.replace("D", "e").replace("d", "e"))
