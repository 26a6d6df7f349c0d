"""Hypothetical crystals: copies of known ones with elements exchanged, strained and rattled.

They have no labels; in `distillation` a better model labels them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from ase_equivar.training.chemistry import table_groups

EXCHANGED = 0.6  # fraction of the copies in which an element is exchanged
STRAIN = 0.015  # standard deviation of the components
RATTLE = 0.06  # Å, largest standard deviation of the displacements of a copy


def augmented_copy(atoms: Atoms, elements: Collection[int], random: np.random.Generator) -> Atoms:
    """Return a random variant of a known crystal.

    Parameters
    ----------
    atoms : ase.Atoms
        The known crystal; only elements, positions and cell are used.
    elements : collection of int
        Atomic numbers that may be inserted.
    random : numpy.random.Generator

    Returns
    -------
    ase.Atoms
        With the probability `EXCHANGED`, one element is replaced everywhere by another one of its
        group in the periodic table that is not in the crystal (never hydrogen), if there is one,
        and the cell volume is scaled with the sum of the cubes of the covalent radii. The crystal
        is then strained and rattled at random.
    """
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if random.random() < EXCHANGED:
        _exchange(copy, elements, random)
    gradient = random.normal(scale=STRAIN, size=(3, 3))
    strain = np.eye(3) + 0.5 * (gradient + gradient.T)
    copy.set_cell(copy.cell.array @ strain, scale_atoms=True)
    width = random.uniform(0.0, RATTLE)
    copy.positions += random.normal(scale=width, size=copy.positions.shape)
    return copy


def _exchange(atoms: Atoms, elements: Collection[int], random: np.random.Generator) -> None:
    """Replace one element by another of its group, if there is one."""
    present = np.unique(atoms.numbers)
    old = int(random.choice(present))
    others = np.array(sorted(set(elements) - set(present.tolist()) - {1}), dtype=int)
    alike = others[table_groups(others) == table_groups([old])]
    if old == 1 or len(alike) == 0:
        return
    volume = np.sum(covalent_radii[atoms.numbers] ** 3)
    atoms.numbers[atoms.numbers == old] = random.choice(alike)
    scale = np.cbrt(np.sum(covalent_radii[atoms.numbers] ** 3) / volume)
    atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
