"""Ferroelectric hysteresis of tetragonal BaTiO3: forces from SevenNet-0, Z* from the bundled model.

One unit cell at fixed shape (the measured one, rounded), so all dipoles switch at once: the
coercive field is that of a crystal without domain walls. Takes some 20 minutes on one core, keeps
its checkpoints in runs/batio3_hysteresis, and goes on from them if it is started again.

Writes batio3_hysteresis.png. Needs pip install "ase-equivar[sevennet]".

Run: python examples/batio3_hysteresis.py
"""

import warnings
from pathlib import Path

from ase import Atoms

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics.experiments.hysteresis_loop import hysteresis
from ase_equivar.dynamics.experiments.thermal_run import MDSettings
from ase_equivar.plotting import plot_hysteresis
from ase_equivar.units import MV_PER_CM

AMPLITUDE = 20.0  # MV/cm
PERIOD = 3.0  # ps
BATH = MDSettings(temperature=50.0, timestep=2.0, friction=0.03)
FOLDER = Path("runs/batio3_hysteresis")
PICTURE = Path("batio3_hysteresis.png")


def main() -> None:
    atoms = Atoms(
        "BaTiO3",
        scaled_positions=[
            (0, 0, 0), (0.5, 0.5, 0.522), (0.5, 0.5, -0.024), (0.5, 0, 0.489), (0, 0.5, 0.489),
        ],
        cell=[3.99, 3.99, 4.03],
        pbc=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SevenNet: about accelerators that need not be there
        from sevenn.calculator import SevenNetCalculator

        atoms.calc = EquivarCalculator(SevenNetCalculator("7net-0", device="cpu"), device="cpu")
    loop = hysteresis(
        atoms,
        [0, 0, AMPLITUDE * MV_PER_CM],
        1000 * PERIOD,
        md_settings=BATH,
        folder=FOLDER,
    )
    print(f"BaTiO3, {BATH.temperature:.0f} K, triangular wave of {PERIOD} ps")
    print(f"remanent polarization: {loop.remanent_polarization:.0f} µC/cm²")
    print(f"coercive field: {loop.coercive_field / MV_PER_CM:.1f} MV/cm")
    title = f"BaTiO3, {BATH.temperature:.0f} K, one period in {PERIOD:g} ps"
    plot_hysteresis(loop, title=title).savefig(PICTURE)
    print(f"loop: {PICTURE}")


if __name__ == "__main__":
    main()
