#!/usr/bin/env python3
"""CPU time of a step in a field per atom: TorchSim with many systems, `drive` one by one.

    python benchmarks/torchsim_speed.py [systems …]     # Python 3.12, TorchSim

Rattled BaTiO3 of 5 atoms, a potential that costs nothing; one thread. Without a field, TorchSim's
own time is what remains.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
import torch_sim
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive
from ase_equivar.engines.torchsim import FieldModel, in_field
from ase_equivar.fields import SineField

FIELD = SineField([0.0, 0.0, 0.05], frequency=5.0)
STEPS = 20


class NoForces(ModelInterface):
    """A potential that is zero."""

    def __init__(self) -> None:
        super().__init__()
        self._device, self._dtype = torch.device("cpu"), torch.float64
        self._compute_forces, self._compute_stress = True, False

    def forward(self, state: SimState, **_: object) -> dict[str, torch.Tensor]:
        """Energies and forces."""
        zeros = state.positions.new_zeros(state.n_systems)
        return {"energy": zeros, "forces": torch.zeros_like(state.positions)}


class Nothing(Calculator):
    """The same for ASE."""

    implemented_properties: ClassVar = ["energy", "forces"]

    def calculate(self, *arguments: object, **named: object) -> None:
        """Set zeros."""
        super().calculate(*arguments, **named)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


def crystals(number: int) -> list[Atoms]:
    """Rattled BaTiO3."""
    places = [(0, 0, 0), (0.5, 0.5, 0.52), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    made = []
    for seed in range(number):
        atoms = Atoms("BaTiO3", scaled_positions=places, cell=[4.0, 4.0, 4.04], pbc=True)
        atoms.rattle(0.03, seed=seed)
        made.append(atoms)
    return made


def with_torchsim(structures: list[Atoms], field: bool) -> Callable[[int], None]:
    """Return a run of all structures; its argument is the number of steps."""
    state = torch_sim.io.atoms_to_state(structures, torch.device("cpu"), torch.float64)
    state.momenta = torch.zeros_like(state.positions)
    model = FieldModel(NoForces()) if field else NoForces()
    nve = torch_sim.Integrator.nve
    integrator = in_field(nve, FIELD) if field else nve

    def run(steps: int) -> None:
        torch_sim.integrate(
            state.clone(), model, integrator=integrator, n_steps=steps, timestep=1e-3,
            temperature=0.0,
        )  # fmt: skip

    return run


def with_drive(structures: list[Atoms]) -> Callable[[int], None]:
    """Return a run of all structures, one after the other."""

    def run(steps: int) -> None:
        for atoms in structures:
            moving = atoms.copy()
            moving.calc = EquivarCalculator(Nothing())
            dyn = VelocityVerlet(moving, units.fs)
            drive(dyn, FIELD)
            dyn.run(steps)

    return run


def per_step(run: Callable[[int], None]) -> float:
    """CPU seconds of a step, without those of the start."""
    times = []
    for steps in (1, 1, 1 + STEPS):
        start = time.process_time()
        run(steps)
        times.append(time.process_time() - start)
    return (times[2] - times[1]) / STEPS


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'systems':>8}{'atoms':>7}  CPU ms per atom and step: TorchSim, without field, drive")
    for number in [int(one) for one in sys.argv[1:]] or [1, 16, 128]:
        structures = crystals(number)
        n_atoms = sum(map(len, structures))
        some = structures[:16]
        row = [
            per_step(with_torchsim(structures, True)) / n_atoms,
            per_step(with_torchsim(structures, False)) / n_atoms,
            per_step(with_drive(some)) / sum(map(len, some)),
        ]
        print(f"{number:8d}{n_atoms:7d}  " + "  ".join(f"{1e3 * x:.3f}" for x in np.array(row)))


if __name__ == "__main__":
    main()
