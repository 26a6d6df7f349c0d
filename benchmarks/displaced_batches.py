"""Forces of displaced cells with SevenNet on a CPU: one after the other, and in one call.

    python benchmarks/displaced_batches.py --potential 7net-l3i5 --threads 1

Of a crystal without symmetry (Na, Cl and O, strained and rattled), 8 cells with displaced atoms are
evaluated, as `ase_equivar.phonons.force_constants` does. The two ways take turns. Printed are the
CPU time for each cell, graphs included, as the median of some rounds, and the largest difference of
forces.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from ase_equivar.phonons import cell_forces

CELLS = 8
CELL = np.array([[4.1, 0.2, -0.3], [0.7, 4.6, 0.4], [-0.5, 0.9, 5.2]])
REPEATS = {2: (1, 1, 1), 4: (2, 1, 1), 8: (2, 2, 1), 16: (2, 2, 2), 24: (3, 2, 2), 54: (3, 3, 3)}

Forces = list[NDArray[np.float64]]


def displaced(n_atoms: int) -> list[Atoms]:
    """Return cells of that many atoms, each with an atom displaced by 0.01 Å."""
    crystal = Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.48, 0.51]], cell=CELL, pbc=True)
    crystal = crystal.repeat(REPEATS[n_atoms])
    crystal.rattle(0.1, seed=1)
    if n_atoms > 2:
        crystal.symbols[3] = "O"
    cells = []
    for k in range(CELLS):
        cell = crystal.copy()
        cell.positions[k % n_atoms, k % 3] += 0.01
        cells.append(cell)
    return cells


def one_by_one(calc: Calculator, cells: list[Atoms]) -> Forces:
    """Ask the ASE calculator for the forces of each cell."""
    found = []
    for cell in cells:
        cell.calc = calc
        found.append(cell.get_forces())
    return found


def together(calc: Calculator, cells: list[Atoms]) -> Forces:
    """Evaluate all cells in one call of the network, whatever their size."""
    with mock.patch.object(cell_forces, "SHARED_ATOMS", 10**6):
        return list(cell_forces.forces_of_cells(cells, calc))


def measured(function: Callable[[], Forces]) -> tuple[float, Forces]:
    """Return the CPU time (ms) for each cell, and the forces."""
    began = time.process_time()
    found = function()
    return 1000 * (time.process_time() - began) / CELLS, found


def main() -> None:
    """Print a line for each size of the cell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--potential", default="7net-l3i5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--atoms", type=int, nargs="+", default=list(REPEATS))
    options = parser.parse_args()
    from sevenn.calculator import SevenNetCalculator

    torch.set_num_threads(options.threads)
    calc = SevenNetCalculator(options.potential, device="cpu")
    print("atoms | one by one, CPU ms a cell | 8 together | ratio | difference of forces, eV/Å")
    for n_atoms in options.atoms:
        times: list[tuple[float, float]] = []
        for number in range(options.rounds + 1):
            # cells of their own, so that ASE does not remember results
            single, alone = measured(partial(one_by_one, calc, displaced(n_atoms)))
            batch, shared = measured(partial(together, calc, displaced(n_atoms)))
            if number:  # the first round compiles
                times.append((single, batch))
        off = max(float(np.abs(a - b).max()) for a, b in zip(alone, shared, strict=True))
        a, b = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(batch / single for single, batch in times)
        print(f"{n_atoms} | {a:.0f} | {b:.0f} | {ratio:.2f} | {off:.1e}", flush=True)


if __name__ == "__main__":
    main()
