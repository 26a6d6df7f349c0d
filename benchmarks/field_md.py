"""What field-driven dynamics costs and conserves: the numbers of docs/howto/dynamics.md.

    python benchmarks/field_md.py                # all; about 20 minutes on one core
    python benchmarks/field_md.py overhead     # or refresh, drift, loop_residual

SevenNet-0 gives the forces, the bundled models Z*. Set OMP_NUM_THREADS=1: CPU time is measured.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from ase.spacegroup import crystal

from ase_equivar import EquivarCalculator, available_models
from ase_equivar.dynamics import drive, loop_residual
from ase_equivar.fields import SineField
from ase_equivar.units import MV_PER_CM

TIMESTEP = 1.0 * units.fs
FIELD = SineField([0.0, 3 * MV_PER_CM, 8 * MV_PER_CM], frequency=5.0)
DRIFT_STEPS = 2000
REPEATS = 20
AMPLITUDE = 0.05  # Å, of the displacements around the loops of loop_residual


def structures() -> dict[str, Atoms]:
    """Crystals near their measured structures (cell and positions rounded)."""
    tetragonal = Atoms(
        "BaTiO3",
        scaled_positions=[
            (0, 0, 0), (0.5, 0.5, 0.522), (0.5, 0.5, -0.024), (0.5, 0, 0.489), (0, 0.5, 0.489),
        ],
        cell=[3.99, 3.99, 4.03],
        pbc=True,
    )  # fmt: skip
    quartz = crystal(
        ("Si", "O"), [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=154, cellpar=[4.913, 4.913, 5.405, 90, 90, 120],
    )  # fmt: skip
    return {
        "MgO": bulk("MgO", "rocksalt", a=4.212, cubic=True),
        "BaTiO3, tetragonal": tetragonal,
        "α-quartz": quartz,
    }


class Timed:
    """An ASE calculator that adds up the CPU time that another one takes."""

    def __init__(self, calculator: BaseCalculator) -> None:
        self.calculator = calculator
        self.name = calculator.name
        self.implemented_properties = calculator.implemented_properties
        self.seconds = 0.0

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> object:
        """Ask the calculator, and look at the clock."""
        start = time.process_time()
        try:
            return self.calculator.get_property(name, atoms, allow_calculation)
        finally:
            self.seconds += time.process_time() - start


def potential() -> BaseCalculator:
    """SevenNet-0 on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about accelerators
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator("7net-0", device="cpu")


def moving(
    atoms: Atoms, forces: BaseCalculator | Timed, temperature: float = 300
) -> VelocityVerlet:
    """NVE of `atoms`, with velocities of that temperature after equipartition."""
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=np.random.default_rng(0))
    Stationary(atoms)
    atoms.calc = EquivarCalculator(forces, device="cpu")
    return VelocityVerlet(atoms, TIMESTEP)


def overhead(forces: BaseCalculator) -> None:
    """Print what a step costs beside the forces of SevenNet-0, with and without a field."""
    print(f"overhead of the field at update_interval=1, median CPU time of {REPEATS} steps")
    print("| crystal | atoms | step without field (ms) | added by the field (ms) | overhead |")
    print("|---|---|---|---|---|")
    for cells in ((1, 1, 1), (2, 2, 1), (2, 2, 2)):
        added, plain_step = [], 0.0
        for with_field in (False, True):
            timed = Timed(forces)
            atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True) * cells
            dyn = moving(atoms, timed)
            if with_field:
                drive(dyn, FIELD)
            dyn.run(2)
            totals, others = [], []
            for _ in range(REPEATS):
                timed.seconds, start = 0.0, time.process_time()
                dyn.run(1)
                totals.append(time.process_time() - start)
                others.append(totals[-1] - timed.seconds)
            added.append(float(np.median(others)))
            if not with_field:
                plain_step = float(np.median(totals))
        extra = added[1] - added[0]
        print(
            f"| MgO | {len(atoms)} | {1e3 * plain_step:.0f} | {1e3 * extra:.1f} "
            f"| {extra / plain_step:.1%} |",
            flush=True,
        )


def refresh(forces: BaseCalculator) -> None:
    """Print the error of the field's forces when Z* are kept for some steps."""
    print("error of the field's forces with Z* kept for k steps, MgO, 8 atoms, 300 K, 100 fs")
    print("| k | rms (eV/Å) | largest (eV/Å) | largest force of the field (eV/Å) |")
    print("|---|---|---|---|")
    for interval in (2, 5, 10, 20):
        atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
        dyn = moving(atoms, forces)
        driven = drive(dyn, FIELD, update_interval=interval)
        largest = max(float(np.abs(driven.field_forces).max()) for _ in dyn.irun(100))
        report = driven.refresh_report
        print(
            f"| {interval} | {report.rms_force_error:.1e} | {report.max_force_error:.1e} "
            f"| {largest:.2f} |",
            flush=True,
        )


def drift(forces: BaseCalculator) -> None:
    """Print the drift of the conserved quantity in NVE, with and without the field."""
    print(f"drift of E − W, NVE at 1 fs, MgO, 8 atoms, {DRIFT_STEPS * 1e-3:.1f} ps from 300 K")
    print("| field | drift (eV/atom/ps) | rms about the line (eV/atom) | work (eV/atom) |")
    print("|---|---|---|---|")
    for name, field in (("none", None), ("5 THz, 8.5 MV/cm", FIELD)):
        atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
        dyn = moving(atoms, forces)
        driven = None if field is None else drive(dyn, field)
        rows = []
        for _ in dyn.irun(DRIFT_STEPS):
            work = 0.0 if driven is None else driven.work
            rows.append((dyn.get_time() / (1000 * units.fs), atoms.get_total_energy(), work))
        picoseconds, energy, work = np.array(rows).T
        balance = (energy - work) / len(atoms)
        line, covariance = np.polyfit(picoseconds, balance, 1, cov=True)
        spread = (balance - np.polyval(line, picoseconds)).std()
        print(
            f"| {name} | {line[0]:+.1e} ± {np.sqrt(covariance[0, 0]):.0e} | {spread:.1e} "
            f"| {work[-1] / len(atoms):.4f} |",
            flush=True,
        )


def curls() -> None:
    """Print how far the Z* of each model are from the derivative of one polarization."""
    print(f"|∮ Z* dr| / ∮ |Z* dr| for displacements of {AMPLITUDE} Å, by model and crystal")
    print("| model | " + " | ".join(structures()) + " |")
    print("|---|" + "---|" * len(structures()))
    for model in available_models():
        cells = []
        for atoms in structures().values():
            atoms.calc = EquivarCalculator(model=model, device="cpu")
            try:
                cells.append(f"{loop_residual(atoms, amplitude=AMPLITUDE, loops=8):.1e}")
            except ValueError:  # elements that the model does not know
                cells.append("–")
        print(f"| {model} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the tables asked for."""
    names = ("overhead", "refresh", "drift", "loop_residual")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(names))
    chosen = parser.parse_args().tables or names
    for name in chosen:
        if name not in names:
            parser.error(f"there is no table {name!r}; there are {', '.join(names)}")
    warnings.simplefilter("ignore")
    forces = potential() if set(chosen) - {"loop_residual"} else None
    for name in chosen:
        if name == "loop_residual":
            curls()
        else:
            {"overhead": overhead, "refresh": refresh, "drift": drift}[name](forces)
        print()


if __name__ == "__main__":
    main()
