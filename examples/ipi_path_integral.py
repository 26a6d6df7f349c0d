"""Quantum nuclei in a terahertz field: i-PI moves the replicas, clients give forces and Z*.

MgO at 100 K in a field that oscillates near its transverse optical mode. The script writes i-PI's
input, starts the real i-PI and two clients that share the replicas, and prints how far the
sublattices swing (mean over the replicas), beside the same run with classical nuclei.

For clients on other machines, use mode="inet" in input.xml, and start there::

    ase-equivar ipi start.extxyz --host NAME --port 31415

Needs i-PI (pip install "ase-equivar[ipi]"). Forces without field come from SevenNet-0 if `sevenn`
is installed, else from springs.

Run: python examples/ipi_path_integral.py
"""

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from field_md import force_calculator

from ase_equivar import EquivarCalculator
from ase_equivar.engines.ipi import run_ipi_client

REPLICAS = 4
CLIENTS = 2
STEPS = 100  # of 1 fs
FIELD = (0.0, 0.0, 0.05)  # V/Å
FREQUENCY = 11.0  # THz
TEMPERATURE = 100  # K

INPUT = """
<simulation verbosity="low" safe_stride="{steps}">
  <output prefix="run">
    <properties stride="1" filename="out">
      [ time{{femtosecond}}, Efield{{v/ang}}, {columns} ]
    </properties>
  </output>
  <total_steps>{steps}</total_steps>
  <prng><seed>1</seed></prng>
  <ffsocket mode="unix" name="driver" pbc="false">
    <address>{address}</address> <latency>0.001</latency>
  </ffsocket>
  <system>
    <initialize nbeads="{replicas}">
      <file mode="ase">start.extxyz</file>
      <velocities mode="thermal" units="kelvin">{temperature}</velocities>
    </initialize>
    <forces> <force forcefield="driver"/> </forces>
    <ensemble> <temperature units="kelvin">{temperature}</temperature> </ensemble>
    <motion mode="driven_dynamics">
      <driven_dynamics mode="eda-nvt">
        <timestep units="femtosecond">1.0</timestep>
        <thermostat mode="pile_g"> <tau units="femtosecond">100</tau> </thermostat>
        <bec mode="driver"/>
        <efield>
          <amp units="v/ang">{field}</amp> <freq units="thz">{frequency}</freq>
          <phase>-1.5707963</phase>
        </efield>
      </driven_dynamics>
    </motion>
  </system>
</simulation>
"""


def main() -> None:
    if shutil.which("i-pi", path=str(Path(sys.executable).parent)) is None:
        raise SystemExit('i-PI is not installed: pip install "ase-equivar[ipi]"')
    for replicas, name in ((1, "classical nuclei"), (REPLICAS, f"{REPLICAS} replicas")):
        times, swing = driven_run(replicas)
        print(
            f"{name:16s} sublattices swing between {swing.min():+.4f} and {swing.max():+.4f} Å "
            f"in {times[-1]:.0f} fs"
        )


def driven_run(replicas: int, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Return times in fs, and how far the sublattices are apart along the field, Å."""
    atoms = crystal()
    address = f"ase_equivar_{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as folder:
        atoms.copy().write(Path(folder) / "start.extxyz")
        (Path(folder) / "input.xml").write_text(
            INPUT.format(
                columns=", ".join(f"atom_x{{angstrom}}({i})" for i in range(len(atoms))),
                steps=steps,
                address=address,
                replicas=replicas,
                temperature=TEMPERATURE,
                field=list(FIELD),
                frequency=FREQUENCY,
            )
        )
        command = [str(Path(sys.executable).parent / "i-pi"), "input.xml"]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        while not Path(f"/tmp/ipi_{address}").exists():
            if server.poll() is not None:
                raise SystemExit("i-PI did not start")
            time.sleep(0.1)
        start = get_context("spawn").Process
        clients = [start(target=serve, args=(address,)) for _ in range(min(CLIENTS, replicas))]
        for client in clients:
            client.start()
        server.wait()
        for client in clients:
            client.join()
        table = np.loadtxt(Path(folder) / "run.out")
    z = table[:, 4:].reshape(len(table), len(atoms), 3)[:, :, 2]
    apart = z[:, atoms.symbols == "Mg"].mean(axis=1) - z[:, atoms.symbols == "O"].mean(axis=1)
    return table[:, 0], apart - apart[0]


def crystal() -> Atoms:
    return bulk("MgO", "rocksalt", a=4.212, cubic=True)


def serve(address: str) -> None:
    """Give forces and Z* to i-PI until it is done; runs in a process of its own."""
    atoms = crystal()
    atoms.calc = EquivarCalculator(force_calculator(atoms))
    run_ipi_client(atoms, unixsocket=address)


if __name__ == "__main__":
    main()
