"""How far the labels of the BaTiO3 trajectory are from DFPT of the same crystal with dense meshes.

    python benchmarks/trajectory_labels.py --pbe FOLDER --pbesol FOLDER [--data ../shared/data]

The labels are forces in small fields, PBE, with the point Γ of 3×3×3 cells (github
mir-group/allegro-pol, scripts/1.CalculatorQE). In the first frame all 27 cells are alike up to
0.012 Å. Their mean, made to have its space group P4mm, is calculated by DFPT (norm-conserving
PseudoDojo pseudopotentials in the folders), and compared with the mean of the labels, and with the
bundled models. Mean absolute differences of all components of Z*, e.

Each calculation takes some minutes and is kept in the folder of results.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.io.output_files import write_text
from ase_equivar.labelling import Settings, label
from ase_equivar.labelling.pseudopotentials import read_pseudopotentials

MODELS = ("universal", "universal-ensemble", "universal-polar", "batio3")
PERIODS = (12.5, 20.0)  # Å, of the k-point meshes
N_CELLS = 3  # along each axis
SITES = {  # fractional, with Ba at the origin and heights free
    "Ba": [(0.0, 0.0)],
    "Ti": [(0.5, 0.5)],
    "O": [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5)],
}

Array = NDArray[np.float64]


def mean_cell(frame: Atoms) -> tuple[Atoms, Array]:
    """Return the mean of all cells of a frame, in P4mm, and the mean of their labels."""
    labels = frame.arrays["born_charges"].reshape(-1, 3, 3)
    symbols = np.array(frame.get_chemical_symbols())
    scaled = frame.get_scaled_positions(wrap=False) * N_CELLS
    scaled -= scaled[symbols == "Ba"][0]
    names: list[str] = []
    sites: list[tuple[float, float, float]] = []
    charges: list[Array] = []
    for symbol, places in SITES.items():
        for x, y in places:
            away = scaled[:, :2] - (x, y)
            chosen = (symbols == symbol) & (np.abs(away - np.round(away)).max(axis=1) < 0.1)
            assert chosen.sum() == N_CELLS**3
            heights = scaled[chosen, 2]
            heights -= np.round(heights - heights[0])
            names.append(symbol)
            sites.append((x, y, float(heights.mean())))
            charges.append(labels[chosen].mean(axis=0))
    positions = np.array(sites)
    positions[:, 2] -= positions[0, 2]
    positions[2:4, 2] = positions[2:4, 2].mean()
    cell = frame.cell[:] / N_CELLS
    return Atoms(names, cell=cell, scaled_positions=positions, pbc=True), np.array(charges)


def calculated(atoms: Atoms, pseudopotentials: Path, period: float, file: Path) -> Array:
    """Return Z* of DFPT, calculated or read from the file."""
    if not file.exists():
        settings = Settings(
            pseudopotentials=pseudopotentials,
            periods=(period,),
            max_violation=1.0,
            cpu_limit=36000.0,
        )
        potentials = read_pseudopotentials(pseudopotentials, set(atoms.get_chemical_symbols()))
        found = label(atoms, settings, potentials, file.parent)
        write_text(file, json.dumps(found.born_charges.tolist()) + "\n")
    return np.array(json.loads(file.read_text()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pbe", type=Path, required=True, help="folder of pseudopotentials")
    parser.add_argument("--pbesol", type=Path, required=True, help="folder of pseudopotentials")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folder", type=Path, default=Path("runs/trajectory_labels"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.folder.mkdir(parents=True, exist_ok=True)
    frame = read(options.data / "trajectories/BaTiO3.extxyz.gz", 0)
    atoms, labels = mean_cell(frame)
    found = {"labels": labels}
    for name, folder in (("PBE", options.pbe), ("PBEsol", options.pbesol)):
        for period in PERIODS:
            file = options.folder / f"{name}_{period:g}.json"
            found[f"DFPT, {name}, {period:g} Å"] = calculated(atoms, folder, period, file)
    reference = found[f"DFPT, PBE, {PERIODS[-1]:g} Å"]
    for model in MODELS:
        found[f"`{model}`"] = EquivarCalculator(model=model).get_property("born_charges", atoms)
    print("| Z* of | from labels | from DFPT, PBE, dense | Ti xx | Ti zz |\n|---|---|---|---|---|")
    for name, charges in found.items():
        differences = " | ".join(f"{np.abs(charges - z).mean():.4f}" for z in (labels, reference))
        print(f"| {name} | {differences} | {charges[1, 0, 0]:.2f} | {charges[1, 2, 2]:.2f} |")


if __name__ == "__main__":
    main()
