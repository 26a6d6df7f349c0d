"""A ferroelectric of one degree of freedom: two ions in a quartic double well, with fixed Z*."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

CHARGE = 2.0  # |e|, of the first ion
CURVATURE = 1.0  # eV/Å²: V(u) = −CURVATURE u²/2 + QUARTIC u⁴/4, u along z between the ions
QUARTIC = 4.0  # eV/Å⁴
MINIMUM = np.sqrt(CURVATURE / QUARTIC)  # Å
COERCIVE = 2 / (3 * np.sqrt(3)) * CURVATURE * MINIMUM / CHARGE  # V/Å, where a well vanishes
CELL = (3.0, 3.2, 4.0)


class DoubleWell(Calculator):
    implemented_properties = ("energy", "forces", "born_effective_charges")

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        first, second = self.atoms.positions
        x, y, z = first - second
        sideways = 5.0 * np.array([x, y, 0])
        force = -sideways + [0, 0, CURVATURE * z - QUARTIC * z**3]
        self.results = {
            "energy": 2.5 * (x**2 + y**2) - CURVATURE * z**2 / 2 + QUARTIC * z**4 / 4,
            "forces": np.array([force, -force]),
            "born_effective_charges": CHARGE * np.array([np.eye(3), -np.eye(3)]),
        }


def ferroelectric() -> Atoms:
    """At rest in the well with positive polarization."""
    atoms = Atoms("TiO", positions=[[0, 0, MINIMUM], [0, 0, 0]], cell=CELL, pbc=True)
    atoms.calc = DoubleWell()
    return atoms
