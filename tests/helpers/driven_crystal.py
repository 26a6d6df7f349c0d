"""The polar crystal as the tests of dynamics drive it, and ten of ASE's integrators for it."""

import numpy as np
from ase import units
from ase.md.andersen import Andersen
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.melchionna import MelchionnaNPT
from ase.md.nose_hoover_chain import IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.nptberendsen import NPTBerendsen
from ase.md.nvtberendsen import NVTBerendsen
from ase.md.verlet import VelocityVerlet

from ase_equivar.fields.waveforms import SineField
from helpers.polar_crystal import PolarCrystal, ions

AMPLITUDE = np.array([0.11, -0.07, 0.16])  # V/Å
FREQUENCY = 14.0  # THz
DURATION = 120.0  # fs
SINE = SineField(AMPLITUDE, frequency=FREQUENCY, phase=0.6)
HUGE = 1e30

INTEGRATORS = {
    # dt is in fs. Each set up so that its thermostat and barostat do nothing: then the exact motion
    # is known.
    "VelocityVerlet": lambda atoms, dt: VelocityVerlet(atoms, dt * units.fs),
    "Langevin": lambda atoms, dt: Langevin(
        atoms, dt * units.fs, temperature_K=0, friction=1e-14, fixcm=False
    ),
    "LangevinBAOAB": lambda atoms, dt: LangevinBAOAB(atoms, dt * units.fs),
    "Andersen": lambda atoms, dt: Andersen(
        atoms, dt * units.fs, temperature_K=1, andersen_prob=0.0, fixcm=False
    ),
    "Bussi": lambda atoms, dt: Bussi(atoms, dt * units.fs, temperature_K=1, taut=HUGE),
    "NoseHooverChainNVT": lambda atoms, dt: NoseHooverChainNVT(
        atoms, dt * units.fs, temperature_K=300, tdamp=1e9
    ),
    "NVTBerendsen": lambda atoms, dt: NVTBerendsen(
        atoms, dt * units.fs, temperature_K=300, taut=HUGE, fixcm=False
    ),
    "NPTBerendsen": lambda atoms, dt: NPTBerendsen(
        atoms, dt * units.fs, temperature_K=300, taut=HUGE, fixcm=False, pressure_au=0.0, taup=1.0,
        compressibility_au=1e-20,
    ),
    "IsotropicMTKNPT": lambda atoms, dt: IsotropicMTKNPT(
        atoms, dt * units.fs, temperature_K=300, pressure_au=0.0, tdamp=1e9, pdamp=1e9
    ),
    "MelchionnaNPT": lambda atoms, dt: MelchionnaNPT(
        atoms, dt * units.fs, temperature_K=300, externalstress=0.0, ttime=None, pfactor=None
    ),
}  # fmt: skip
FROM_REST = sorted(set(INTEGRATORS) - {"Bussi", "NVTBerendsen", "NPTBerendsen"})


def crystal(velocities=True, **settings):
    atoms = ions(velocities)
    atoms.calc = PolarCrystal(**settings)
    return atoms
