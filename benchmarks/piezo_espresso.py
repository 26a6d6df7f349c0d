"""Clamped-ion piezoelectric tensors by Berry phases, with Quantum ESPRESSO's pw.x.

    python benchmarks/piezo_espresso.py AlN ZnO BaTiO3 --pseudopotentials FOLDER

The cell is strained by ±1 %, the ions keep their fractional coordinates, and pw.x gives p_i, the
polarization along each lattice vector R_i in units of e R_i/Ω. The proper tensor is

    e_aj = (e/Ω) Σ_i R_ia ∂p_i/∂η_j

with R_i and Ω of the unstrained crystal: p_i does not change when the cell is only turned or
stretched with its charges, so that no term with the spontaneous polarization is left (Vanderbilt,
J. Phys. Chem. Solids 61, 147 (2000)). Three strains are enough for 6mm and 4mm with the axis along
z: zz, xx and yy together, xz. The last one needs one sign only, because a mirror plane turns it
into the other.

PBEsol, norm-conserving PseudoDojo pseudopotentials, the structure of `piezo_crystals.py`. AlN is a
check, as its tensor is known from DFPT; of BaTiO3 only e33 and e31 are calculated. Each calculation
is kept in runs/piezo_espresso/, so that a stopped run goes on there.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray
from piezo_crystals import CRYSTALS

from ase_equivar.io.output_files import write_text
from ase_equivar.labelling.mesh import Mesh, choose_mesh
from ase_equivar.labelling.programs import find_program, run_program
from ase_equivar.labelling.pseudopotentials import Pseudopotential, read_pseudopotentials
from ase_equivar.labelling.quantum_espresso import n_electrons, pw_input
from ase_equivar.units import C_PER_M2

ROOT = Path(__file__).resolve().parent.parent
STRAIN = 0.01
PERIOD = 12.0  # Å, of the mesh of the density
ALONG = 8  # k-points of a string, along which the Berry phase is taken
ACROSS = (6, 6, 4)  # strings along each of the other reciprocal vectors
CUTOFF = 60.0  # Ry
LIMIT = 1800.0  # s of CPU time for one run of pw.x
POLARIZATION = re.compile(r"P =\s*(\S+)\s+\(mod\s+(\S+)\)\s+\(e/Omega\)\.bohr")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BerryPhases:
    """Polarization by pw.x, with settings that are the same for all strains."""

    pseudopotentials: dict[str, Pseudopotential]
    mesh: Mesh
    cutoff: float
    folder: Path

    def along(self, atoms: Atoms, axis: int, name: str) -> tuple[float, float]:
        """Return the polarization along a lattice vector, in units of e R/Ω, and its quantum."""
        file = self.folder / f"{name}.json"
        if not file.exists():
            found, quantum, seconds = self._calculated(atoms, axis)
            write_text(file, json.dumps([found, quantum, seconds]) + "\n")
            print(f"  {name}: {found:+.6f}, {seconds:.0f} CPU s", flush=True)
        found, quantum, _ = json.loads(file.read_text(encoding="utf-8"))
        return found, quantum

    def _calculated(self, atoms: Atoms, axis: int) -> tuple[float, float, float]:
        scratch = Path(tempfile.mkdtemp(dir=self.folder))
        program, stop = find_program("pw.x"), threading.Event()
        try:
            for one in self.pseudopotentials.values():
                (scratch / one.path.name).symlink_to(one.path)
            scf = pw_input(atoms, self.pseudopotentials, self.mesh, cutoff=self.cutoff, mixing=0.7)
            bands = n_electrons(atoms, self.pseudopotentials) // 2
            scf = re.sub(r"nbnd = \d+", f"nbnd = {bands}", scf)
            text, first = run_program(program, scf, scratch, LIMIT, stop)
            if "convergence has been achieved" not in text:
                raise RuntimeError("pw.x found no ground state")
            text, second = run_program(program, berry_input(scf, axis), scratch, LIMIT, stop)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        match = POLARIZATION.search(text)
        if match is None:
            raise RuntimeError("pw.x gave no polarization")
        length = atoms.cell.lengths()[axis] / units.Bohr
        return float(match[1]) / length, float(match[2]) / length, first + second


def berry_input(scf: str, axis: int) -> str:
    """Return the input of pw.x for Berry phases along a reciprocal vector, after that of `scf`."""
    strings = list(ACROSS)
    strings[axis] = 1
    task = f"'nscf', lberry = .true., gdir = {axis + 1}, nppstr = {ALONG}"
    head = scf.replace("'scf'", task).replace("  tprnfor = .true., ", "  ").splitlines()[:-1]
    return "\n".join([*head, " ".join(map(str, [*strings, 0, 0, 0]))]) + "\n"


def strained(atoms: Atoms, voigt: tuple[float, ...]) -> Atoms:
    """Return a crystal with strain η (xx, yy, zz, yz, xz, xy; shear twice the tensor's)."""
    xx, yy, zz, yz, xz, xy = voigt
    strain = np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
    new = atoms.copy()
    new.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return new


def nearest(difference: float, quantum: float) -> float:
    """Return a difference of polarizations on the branch nearest to zero."""
    return difference - quantum * round(difference / quantum)


def clamped(
    atoms: Atoms, phases: BerryPhases, name: str, *, only_axial: bool = False
) -> dict[str, float]:
    """Return e33, e31 and, unless `only_axial`, e15 at clamped ions, C/m²."""
    charge = 1 / C_PER_M2 / atoms.get_volume()

    def slope(voigt: tuple[float, ...], axis: int, what: str) -> float:
        ends = []
        for sign in (1, -1):
            one = strained(atoms, tuple(sign * STRAIN * part for part in voigt))
            ends.append(phases.along(one, axis, f"{name}-{what}{'+' if sign > 0 else '-'}"))
        return nearest(ends[0][0] - ends[1][0], ends[0][1]) / (2 * STRAIN)

    c = atoms.cell[2, 2]
    e33 = charge * c * slope((0, 0, 1, 0, 0, 0), 2, "zz")
    e31 = charge * c * slope((1, 1, 0, 0, 0, 0), 2, "xx+yy") / 2
    found = {"e33": e33, "e31": e31}
    if not only_axial:
        sheared = strained(atoms, (0, 0, 0, 0, STRAIN, 0))
        p, quantum = phases.along(sheared, 0, f"{name}-xz+")
        # zero without strain by a mirror plane, and along the second vector with it
        found["e15"] = charge * atoms.cell[0, 0] * nearest(p, quantum / 2) / STRAIN
    return found


def main() -> None:
    """Print the tensors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("crystals", nargs="+", choices=("AlN", "ZnO", "BaTiO3"))
    parser.add_argument("--pseudopotentials", type=Path, required=True)
    parser.add_argument("--cutoff", type=float, default=CUTOFF, help="Ry")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "piezo_espresso")
    options = parser.parse_args()
    folder = options.folder / f"{options.cutoff:g}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in options.crystals:
        atoms = CRYSTALS[name].atoms()
        kinds = read_pseudopotentials(options.pseudopotentials, set(atoms.symbols))
        phases = BerryPhases(kinds, choose_mesh(atoms, PERIOD), options.cutoff, folder)
        found = clamped(atoms, phases, name, only_axial=CRYSTALS[name].only_axial)
        print(name, ", ".join(f"{one} {value:+.3f}" for one, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
