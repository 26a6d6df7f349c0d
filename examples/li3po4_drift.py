"""Drift of Li ions in γ-Li3PO4 under a bias: Born charges beside nominal ones.

32 atoms at 1000 K and 30 MV/cm along b, 2 ps: a field that strong pulls Li over its barriers within
picoseconds, far from the linear regime of a battery. Forces from SevenNet-0, Z* from the bundled
model at every step. Takes some 30 minutes on one core, keeps its checkpoints in runs/li3po4_drift,
and goes on from them if it is started again.

Writes li3po4_drift.png. Needs pip install "ase-equivar[sevennet]".

Run: python examples/li3po4_drift.py
"""

import warnings
from pathlib import Path

from ase import units
from ase.spacegroup import crystal

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics.ion_drift import ion_drift
from ase_equivar.dynamics.thermal_run import Bath
from ase_equivar.fields import MV_PER_CM
from ase_equivar.plotting import plot_ion_drift

FIELD = (0.0, 30.0, 0.0)  # MV/cm
PICOSECOND = 1000 * units.fs
BATH = Bath(temperature=1000.0, timestep=2.0 * units.fs, friction=0.001 / units.fs)
CHARGES = {"Born charges": None, "nominal charges": {"Li": 1.0, "P": 5.0, "O": -2.0}}
FOLDER = Path("runs/li3po4_drift")
PICTURE = Path("li3po4_drift.png")


def main() -> None:
    atoms = crystal(
        ["Li", "Li", "P", "O", "O", "O"],
        [
            (0.164, 0.501, 0.301), (0.424, 0.750, 0.206), (0.412, 0.250, 0.308),
            (0.342, 0.043, 0.206), (0.050, 0.250, 0.294), (0.090, 0.750, 0.122),
        ],
        spacegroup=62,
        cellpar=[10.49, 6.12, 4.927, 90, 90, 90],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SevenNet: about accelerators that need not be there
        from sevenn.calculator import SevenNetCalculator

        atoms.calc = EquivarCalculator(SevenNetCalculator("7net-0", device="cpu"), device="cpu")
    drifts = {}
    for name, nominal in CHARGES.items():
        found = ion_drift(
            atoms,
            [component * MV_PER_CM for component in FIELD],
            "Li",
            2.0 * PICOSECOND,
            nominal_charges=nominal,
            equilibration=0.5 * PICOSECOND,
            bath=BATH,
            folder=FOLDER / name.replace(" ", "-"),
        )
        drifts[name] = found
        print(f"{name}: Li {found.mean_charge:+.2f} e along b, mobility {found.mobility_text}")
    title = f"Li₃PO₄, {BATH.temperature:.0f} K, {FIELD[1]:g} MV/cm along b"
    plot_ion_drift(drifts, title=title).savefig(PICTURE)
    print(f"displacements: {PICTURE}")


if __name__ == "__main__":
    main()
