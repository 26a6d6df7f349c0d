"""Frames of molecular dynamics to label: LiOH, 300 and 600 K, for benchmarks/selection.py.

    python benchmarks/md_frames.py lioh.extxyz

The crystal is the LiOH of dielectric/naccarato2019 (../shared/data/README.md), 6 atoms, which no
model was trained on; forces are those of SevenNet-0. A frame every 50 fs, after 1 ps at each
temperature. ``ase-equivar label`` makes the labels, see docs/developer/one_material.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from ase_equivar.cli.potentials import named_potential
from ase_equivar.io.structure_files import read_images

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "dielectric" / "naccarato2019.extxyz.gz"
TEMPERATURES = (300.0, 600.0)  # K
FRAMES = 30  # at each temperature
TIME_STEP = 1.0  # fs


def main() -> None:
    """Run the dynamics and write the frames, those of the lower temperature first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    crystal = next(a for a in read_images(DATA) if a.get_chemical_formula() == "H2Li2O2")
    frames: list[Atoms] = []
    for number, temperature in enumerate(TEMPERATURES):
        atoms = Atoms(crystal.numbers, crystal.positions, cell=crystal.cell, pbc=True)
        atoms.calc = named_potential("sevennet-0", "cpu")
        random = np.random.default_rng(number)
        MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=random)
        dynamics = Langevin(
            atoms,
            TIME_STEP * units.fs,
            temperature_K=temperature,
            friction=0.02 / units.fs,
            fixcm=False,
            rng=random,
        )
        dynamics.run(round(1000 / TIME_STEP))
        for index in range(FRAMES):
            dynamics.run(round(50 / TIME_STEP))
            frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
            frame.info = {"temperature_K": temperature, "frame": index}
            frames.append(frame)
    ase.io.write(output, frames, format="extxyz")


if __name__ == "__main__":
    main()
