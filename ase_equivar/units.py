"""Units and constants, each once.

Public functions take and give lengths in Å, energies in eV, charges in |e|, times in fs,
frequencies in THz, fields in V/Å, polarizations in µC/cm², current densities in A/cm² and
mobilities in cm²/(V s). A name ``X`` below is the size of one such unit in the unit that its line
names: ``0.5 * MV_PER_CM`` is a field in V/Å, and ``field / MV_PER_CM`` a field of V/Å in MV/cm. A
name ``X_TO_Y`` is what a number of X is multiplied with to be one of Y.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from ase import units

# exact by the definition of the SI; SciPy has them too, but takes long to import
SPEED_OF_LIGHT = 299_792_458.0
"""In m/s."""
ELEMENTARY_CHARGE = 1.602176634e-19
"""In C."""
PLANCK = 6.62607015e-34
"""h in J s."""

MV_PER_CM = 1e-2
"""One megavolt per centimeter, in V/Å."""
PICOSECOND = 1000.0
"""One picosecond, in fs."""
CYCLES_PER_FS: float = 1e-3
"""One terahertz, in cycles per fs."""
UC_PER_CM2 = 1e-6 * units.C / 1e16
"""One microcoulomb per square centimeter, of polarization, in |e|/Å²."""
C_PER_M2 = 100 * UC_PER_CM2
"""One coulomb per square meter, of a polarization or a piezoelectric tensor, in |e|/Å²."""
A_PER_CM2 = units.C / 1e15 / 1e16
"""One ampere per square centimeter, in |e|/(Å² fs)."""
CM2_PER_VS = 1e16 / 1e15
"""One cm²/(V s), of a mobility, in Å²/(V fs)."""
VACUUM_PERMITTIVITY = 1 / (4 * np.pi * units.Hartree * units.Bohr)
"""ε0 in |e|/(V·Å): from e²/(4πε0) = Hartree · Bohr."""
THZ_TO_CM: float = 1e10 / SPEED_OF_LIGHT
"""cm⁻¹ per THz."""
CONDUCTIVITY = ELEMENTARY_CHARGE * 1e25
"""1 e²/(Å fs eV) in S/m."""
DEBYE = ELEMENTARY_CHARGE * SPEED_OF_LIGHT * 1e11
"""1 e·Å in debye."""


class FrequencyUnit(StrEnum):
    """A unit of frequency; 1 THz is `per_thz` of them."""

    CM = "cm"
    THZ = "THz"
    MEV = "meV"

    @property
    def per_thz(self) -> float:
        """How many of this unit make 1 THz."""
        return {
            FrequencyUnit.CM: THZ_TO_CM,
            FrequencyUnit.THZ: 1.0,
            FrequencyUnit.MEV: 1e15 * PLANCK / ELEMENTARY_CHARGE,
        }[self]

    @property
    def label(self) -> str:
        """The unit as it is written in a table or on an axis."""
        return "cm⁻¹" if self is FrequencyUnit.CM else self.value

    @property
    def axis_label(self) -> str:
        """What an axis in this unit shows, with the unit, such as "energy (meV)"."""
        kinds = {FrequencyUnit.CM: "wavenumber", FrequencyUnit.MEV: "energy"}
        return f"{kinds.get(self, 'frequency')} ({self.label})"
