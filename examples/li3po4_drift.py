"""Drift of Li through β-Li3PO4 with one Li vacancy, with Born and with nominal charges.

Forces are SevenNet-0's, Z* the bundled model's. One unit cell (structure after Keffer, Mighell,
Mauer, Swanson and Block, Inorg. Chem. 6, 119 (1967), rounded), from which a Li ion is missing: its
cell has the charge −1 e, to which Z* sum. The field is far above what a battery sees, so that ions
hop within picoseconds. Takes some 20 minutes on one core, keeps its checkpoints in
runs/li3po4_drift, and goes on from them if it is started again.

Writes li3po4_drift.png. Needs pip install "ase-equivar[sevennet]".

Run: python examples/li3po4_drift.py
"""

import warnings
from pathlib import Path

from ase import Atoms
from ase.spacegroup import crystal

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics.experiments.drift import ion_drift
from ase_equivar.dynamics.experiments.thermal_run import MDSettings
from ase_equivar.plotting import plot_ion_drift
from ase_equivar.units import MV_PER_CM

FIELD = 30.0  # MV/cm, along z
DURATION = 4.0  # ps, after EQUILIBRATION
EQUILIBRATION = 0.4
BATH = MDSettings(temperature=1000.0, timestep=2.0, friction=0.01)
CHARGES = {"Born charges": None, "nominal charges": {"Li": 1.0, "P": 5.0, "O": -2.0}}
FOLDER = Path("runs/li3po4_drift")
PICTURE = Path("li3po4_drift.png")


def lithium_phosphate() -> Atoms:
    """β-Li3PO4 without one of the six Li of its cell."""
    atoms = crystal(
        ["Li", "Li", "P", "O", "O", "O"],
        [
            (0.248, 0.328, 0.986), (0.5, 0.843, 0.989), (0, 0.824, 0),
            (0.208, 0.687, 0.893), (0, 0.105, 0.897), (0.5, 0.185, 0.819),
        ],
        spacegroup=31,
        cellpar=[6.115, 5.239, 4.855, 90, 90, 90],
    )  # fmt: skip
    del atoms[0]
    return Atoms(atoms)  # without the record of the space group, which no longer holds


def main() -> None:
    atoms = lithium_phosphate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SevenNet: about accelerators that need not be there
        from sevenn.calculator import SevenNetCalculator

        forces = SevenNetCalculator("7net-0", device="cpu")
    atoms.calc = EquivarCalculator(forces, device="cpu", total_charge=-1.0)
    drifts = {}
    for name, charges in CHARGES.items():
        drifts[name] = ion_drift(
            atoms,
            [0, 0, FIELD * MV_PER_CM],
            "Li",
            1000 * DURATION,
            born_charges=charges,
            equilibration=1000 * EQUILIBRATION,
            md_settings=BATH,
            folder=FOLDER / name.replace(" ", "-"),
        )
        displacement = drifts[name].displacement[-1]
        print(f"{name}: {drifts[name].mean_charge:.2f} e per Li along the field")
        print(f"  displacement in {DURATION:g} ps: {displacement[2]:.1f} Å")
        print(f"  mobility {drifts[name].mobility_text}")
    title = f"Li3PO4, one Li vacancy, {BATH.temperature:.0f} K, {FIELD:.0f} MV/cm"
    plot_ion_drift(drifts, title=title).savefig(PICTURE)
    print(f"picture: {PICTURE}")


if __name__ == "__main__":
    main()
