"""Molecular dynamics of a polar crystal in a static electric field.

What it shows, for MgO:

1. VelocityVerlet from rest. The field is switched on at once, the sublattices are pulled apart
   and swing about their new places: with the macroscopic field held fixed, at the frequency of
   the transverse optical mode. The energy that the wrapped calculator sees, plus the kinetic one,
   grows by exactly the work of the field, Σ ∫ F_field·v dt: ASE's energy has no field in it.
   `drive` keeps the account of that work.
2. Langevin at 30 K. Friction brings the sublattices to rest, on average, where the restoring
   force balances Z*ᵀE.

Forces without field come from SevenNet-0 if `sevenn` is installed (pip install
"ase-equivar[sevennet]"), else from springs that tie each atom to its site.

Run: python examples/field_md.py
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet

from ase_equivar import EquivarCalculator, field_forces
from ase_equivar.dynamics import drive

FIELD = np.array([0.0, 0.0, 0.1])  # V/Å
SPRING = 8.0  # eV/Å², of the springs used without SevenNet
TEMPERATURE = 30  # K; thermal motion stays smaller than what the field does
LATTICE_CONSTANT = 4.212  # Å
FS_PER_CM = 33356.4  # period in fs times wave number in cm⁻¹


@dataclass(frozen=True)
class Run:
    """What a run recorded at each step, from step 0 on.

    times in fs; separation: mean z of Mg minus that of O, Å; energy: potential and kinetic, without
    the field's part, eV; work: done by the field since step 0, eV.
    """

    times: np.ndarray
    separation: np.ndarray
    energy: np.ndarray
    work: np.ndarray


def main() -> None:
    atoms = bulk("MgO", "rocksalt", a=LATTICE_CONSTANT, cubic=True)
    wrapped = force_calculator(atoms)
    atoms.calc = EquivarCalculator(wrapped)
    print(f"MgO, {len(atoms)} atoms, forces from {wrapped.name}, E = {FIELD[2]} V/Å along z")
    z_star = atoms.get_property("born_charges")
    force = field_forces(z_star, FIELD)
    for symbol in ("Mg", "O"):
        mine = atoms.symbols == symbol
        print(
            f"  {symbol:2s} Z*_zz = {z_star[mine, 2, 2].mean():+.3f} e, "
            f"force of the field {force[mine, 2].mean():+.4f} eV/Å"
        )

    ideal = separation(atoms)
    swing = run(atoms, VelocityVerlet(atoms, timestep=1.0 * units.fs), steps=100)
    drift = np.abs(swing.energy - swing.energy[0] - swing.work).max()
    apart = swing.separation - ideal
    print("VelocityVerlet from rest, 100 fs")
    print(
        f"  sublattices pulled apart by up to {apart.max():.4f} Å, {apart.mean():.4f} Å on average"
    )
    print(f"  period {period(swing):.0f} fs, that is {FS_PER_CM / period(swing):.0f} cm⁻¹")
    print(f"  work of the field up to {swing.work.max():.4f} eV, balance within {drift:.1e} eV")

    atoms.set_constraint(FixCom())
    dynamics = Langevin(
        atoms,
        timestep=2.0 * units.fs,
        temperature_K=TEMPERATURE,
        friction=0.05 / units.fs,
        fixcm=False,  # FixCom does it, and samples the right ensemble
        rng=np.random.default_rng(1),
    )
    warm = run(atoms, dynamics, steps=150)
    apart = warm.separation[50:] - ideal
    print(f"Langevin at {TEMPERATURE} K, 300 fs, the first 100 left out")
    print(f"  sublattices apart by {apart.mean():.4f} ± {apart.std():.4f} Å (mean, fluctuation)")


def force_calculator(atoms: Atoms) -> BaseCalculator:
    """Return SevenNet-0 where it is installed, else an Einstein crystal about `atoms`."""
    try:
        from sevenn.calculator import SevenNetCalculator
    except ModuleNotFoundError:
        hessian = SPRING * np.eye(3 * len(atoms))
        return HarmonicCalculator(HarmonicForceField(atoms.copy(), hessian_x=hessian))
    return SevenNetCalculator("7net-0")


def run(atoms: Atoms, dynamics: MolecularDynamics, steps: int, field: np.ndarray = FIELD) -> Run:
    """Run MD in the field, recording separation, energy and the work of the field."""
    driven = drive(dynamics, field)
    rows = []
    for _ in dynamics.irun(steps):
        time = dynamics.get_time() / units.fs
        rows.append((time, separation(atoms), atoms.get_total_energy(), driven.work))
    driven.release()
    return Run(*np.array(rows).T)


def separation(atoms: Atoms) -> float:
    cations = atoms.symbols == "Mg"
    return float(atoms.positions[cations, 2].mean() - atoms.positions[~cations, 2].mean())


def period(swing: Run) -> float:
    """Return the time from rest to rest, fs: twice that to the first largest separation."""
    first_fall = int(np.flatnonzero(np.diff(swing.separation) < 0)[0])
    return 2 * float(swing.times[first_fall])


if __name__ == "__main__":
    main()
