"""CPU time of a client of i-PI per replica and step: replicas sent one by one, or together.

Runs the real i-PI with 16 replicas of MgO in a static field, and one client whose forces come from
springs, so that what is measured is Z* and the exchange. Needs the extra ipi.

Run: OMP_NUM_THREADS=1 python benchmarks/ipi_replicas.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField

from ase_equivar import EquivarCalculator
from ase_equivar.engines.ipi import run_ipi_client

REPLICAS = 16
STEPS = 20
SPRING = 8.0  # eV/Å²
INPUT = """
<simulation verbosity="quiet" safe_stride="100000">
  <output prefix="run"><properties stride="1" filename="out"> [ step ] </properties></output>
  <total_steps>{steps}</total_steps>
  <ffsocket mode="unix" name="driver" pbc="false">
    <address>{address}</address> <latency>0.0001</latency> <batch_size>{batch_size}</batch_size>
  </ffsocket>
  <system>
    <initialize nbeads="{replicas}">
      <file mode="ase">start.extxyz</file>
      <velocities mode="thermal" units="kelvin">100</velocities>
    </initialize>
    <forces> <force forcefield="driver"/> </forces>
    <ensemble> <temperature units="kelvin">100</temperature> </ensemble>
    <motion mode="driven_dynamics">
      <driven_dynamics mode="eda-nvt">
        <timestep units="femtosecond">1.0</timestep>
        <thermostat mode="pile_g"> <tau units="femtosecond">100</tau> </thermostat>
        <bec mode="driver"/>
        <efield> <amp units="v/ang">[0, 0, 0.05]</amp> <freq units="thz">0</freq> </efield>
      </driven_dynamics>
    </motion>
  </system>
</simulation>
"""


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=1, help="cubic cells along each axis")
    parser.add_argument("--model", default="universal")
    options = parser.parse_args()
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(options.repeat)
    springs = HarmonicForceField(ref_atoms=atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    calculator = EquivarCalculator(HarmonicCalculator(springs), model=options.model)
    for batch_size in (1, 4, REPLICAS):
        seconds, served = client_time(atoms.copy(), calculator, batch_size)
        print(
            f"{len(atoms)} atoms, {batch_size:2d} replicas at a time: "
            f"{1000 * seconds / served:.2f} CPU ms per replica and step"
        )


def client_time(atoms: Atoms, calculator: EquivarCalculator, batch_size: int) -> tuple[float, int]:
    """Return the CPU seconds of a client, after a first call, and its number of structures."""
    address = f"ase_equivar_{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as folder:
        atoms.write(Path(folder) / "start.extxyz")
        (Path(folder) / "input.xml").write_text(
            INPUT.format(steps=STEPS, address=address, batch_size=batch_size, replicas=REPLICAS)
        )
        server = subprocess.Popen(
            [str(Path(sys.executable).parent / "i-pi"), "input.xml"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        while not Path(f"/tmp/ipi_{address}").exists():
            if server.poll() is not None:
                raise SystemExit("i-PI did not start")
            time.sleep(0.1)
        atoms.calc = calculator
        calculator.get_property("born_charges", atoms)
        start = time.process_time()
        served = run_ipi_client(atoms, unixsocket=address)
        seconds = time.process_time() - start
        server.wait()
    return seconds, served


if __name__ == "__main__":
    main()
