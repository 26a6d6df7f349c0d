"""Ionic ε0 of real crystals, from ⟨P⟩ in small fields and from phonons: docs/howto/dynamics.md.

    python benchmarks/finite_field.py            # all; about 15 minutes on one core
    python benchmarks/finite_field.py MgO        # only some crystals

Forces are SevenNet-0's, Z* those of the model `universal`, in both. Near 0 K the two must agree,
for the phonons are those of the same cell, at Γ; what 300 K changes is anharmonicity, of which
the phonons know nothing. Every run keeps its checkpoints in runs/finite_field, and is gone on with.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import infrared_modes, static_dielectric
from ase_equivar.dynamics.experiments.finite_field import finite_field_dielectric
from ase_equivar.dynamics.experiments.thermal_run import MDSettings
from ase_equivar.phonons import apply_nac, force_constants, relax
from ase_equivar.units import MV_PER_CM

CRYSTALS = {
    "MgO": bulk("MgO", "rocksalt", a=4.21),
    "ZnO": bulk("ZnO", "wurtzite", a=3.25, c=5.21),
}
AXES = {"x": 0, "z": 2}
TEMPERATURES = (5.0, 300.0)  # K
STRENGTH = 1.0 * MV_PER_CM
EQUILIBRATION, DURATION = 500.0, 1000.0  # fs
TIMESTEP, FRICTION = 2.0, 0.04  # fs, 1/fs
RUNS = Path(__file__).resolve().parent.parent / "runs" / "finite_field"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of crystals; default: all")
    chosen = parser.parse_args().names or list(CRYSTALS)
    if unknown := set(chosen) - set(CRYSTALS):
        parser.error(f"unknown crystals {', '.join(unknown)}; there are {', '.join(CRYSTALS)}")
    warnings.simplefilter("ignore")
    from sevenn.calculator import SevenNetCalculator

    forces = SevenNetCalculator("7net-0", device="cpu")
    print("ionic part of ε0, fixed cell")
    columns = "".join(f"| ⟨P⟩ in ±1 MV/cm, {kelvin:.0f} K " for kelvin in TEMPERATURES)
    print(f"| crystal | axis | phonons {columns}|")
    print("|---|---|---|" + "---|" * len(TEMPERATURES))
    for name in chosen:
        for row in rows(name, forces):
            print(row, flush=True)


def rows(name: str, forces: BaseCalculator) -> list[str]:
    """Return a row of the table for each axis of a crystal that differs from the others."""
    atoms = relax(CRYSTALS[name], forces, fmax=1e-4)
    phonon = force_constants(atoms, forces, (1, 1, 1))
    apply_nac(phonon, EquivarCalculator(device="cpu"))
    expected: NDArray[np.float64] = static_dielectric(infrared_modes(phonon)).ionic
    atoms.calc = EquivarCalculator(forces, device="cpu")
    found = [
        finite_field_dielectric(
            atoms,
            STRENGTH,
            DURATION,
            equilibration=EQUILIBRATION,
            md_settings=MDSettings(temperature=kelvin, timestep=TIMESTEP, friction=FRICTION),
            folder=RUNS / f"{name}-{kelvin:.0f}K",
        )
        for kelvin in TEMPERATURES
    ]
    table = []
    for axis, k in AXES.items():
        if k == 2 and np.allclose(expected[2, 2], expected[0, 0], rtol=1e-3):
            continue
        values = [f"{one.ionic[k, k]:.3f} ± {one.ionic_error[k, k]:.3f}" for one in found]
        table.append(f"| {name} | {axis} | {expected[k, k]:.3f} | " + " | ".join(values) + " |")
    return table


if __name__ == "__main__":
    main()
