"""Low-symmetry crystals, and Z* and ε∞ that are simply given."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.spacegroup import crystal

from ase_equivar.phonons import force_constants
from ase_equivar.phonons.operations import cartesian_operations, symmetrized
from helpers.springs import Springs

NACL_BORN = np.array([1.086 * np.eye(3), -1.086 * np.eye(3)])
NACL_DIELECTRIC = 2.43 * np.eye(3)
DIRECTIONS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -2, 3))


class GivenCharges(Calculator):
    """Z* by species, and ε∞ if there is one."""

    def __init__(self, by_symbol, dielectric=None):
        super().__init__()
        self.by_symbol, self.dielectric = by_symbol, dielectric
        names = ["born_effective_charges"]
        self.implemented_properties = names + ["dielectric_tensor"] * (dielectric is not None)

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        charges = np.array([self.by_symbol[s] * np.eye(3) for s in self.atoms.symbols])
        self.results = {"born_effective_charges": charges}
        if self.dielectric is not None:
            self.results["dielectric_tensor"] = self.dielectric


def random_charges(n_atoms, seed=0):
    """Z* without any symmetry, neutral, and asymmetric as tensors."""
    rng = np.random.default_rng(seed)
    charges = rng.normal(scale=1.5, size=(n_atoms, 3, 3))
    return charges - charges.mean(axis=0)


def random_dielectric(seed=1):
    a = np.random.default_rng(seed).normal(size=(3, 3))
    return 2.0 * np.eye(3) + 0.5 * a @ a.T


def symmetric_dielectric(phonon):
    """A random ε∞ with the symmetry of the crystal."""
    return symmetrized(random_dielectric(), cartesian_operations(phonon))


def triclinic_pair():
    return Atoms(
        "LiBr",
        cell=[[3.1, 0.1, 0.2], [0.7, 3.6, -0.3], [-0.4, 0.9, 4.2]],
        scaled_positions=[[0, 0, 0], [0.43, 0.37, 0.55]],
        pbc=True,
    )


def triclinic_four(symbols="LiLiBrBr"):
    return Atoms(
        symbols,
        cell=[[3.9, 0.1, 0.2], [0.7, 4.6, -0.3], [-0.4, 0.9, 4.4]],
        scaled_positions=[[0, 0, 0], [0.52, 0.41, 0.07], [0.43, 0.05, 0.55], [0.11, 0.61, 0.49]],
        pbc=True,
    )


def quartz():
    return crystal(
        "SiO",
        [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=154,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )


def anatase():
    return crystal(
        "TiO",
        [(0, 0, 0), (0, 0, 0.208)],
        spacegroup=141,
        setting=1,
        cellpar=[3.785, 3.785, 9.514, 90, 90, 90],
    )


def rutile():
    return crystal(
        "TiO",
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    )


def fluorite():
    cell = bulk("CaF2", "fluorite", a=5.46)
    return force_constants(cell, Springs(cell, 3.0), (2, 2, 2), progress=False)
