"""Structures that still carry a constraint give what they give without: only runs obey them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixSymmetry
from helpers.polar_crystal import PolarCrystal

from ase_equivar.dielectric import polarization_change
from ase_equivar.dielectric.strain_response import _calculate
from ase_equivar.labelling.mesh import compact_cell
from ase_equivar.phonons import make_phonon
from ase_equivar.structures.lattice import compact_atoms

SITES = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
CHARGES = {"Ba": 2, "Ti": 4, "O": -2}


def cubic(vectors=((4, 0, 0), (0, 4, 0), (0, 0, 4))):
    """A perovskite whose symmetry does not allow what is asked of it."""
    atoms = Atoms("BaTiO3", scaled_positions=SITES, cell=4 * np.eye(3), pbc=True)
    atoms.set_cell(vectors, scale_atoms=False)
    return atoms


def held(atoms):
    copy = atoms.copy()
    copy.set_constraint(FixSymmetry(copy))
    return copy


def change(start):
    end = cubic()
    end.set_cell([3.9, 3.95, 4.3], scale_atoms=True)
    end.positions[1] += [0.01, 0.0, 0.06]
    end.positions[3:, 2] -= 0.05
    ions = np.array([CHARGES[symbol] for symbol in start.symbols])
    # charges that depend on the cell, as those of a model do
    return polarization_change(
        start, end, lambda atoms: ions * (atoms.cell.cellpar()[2] / 4) ** 2
    ).change


def strained_forces(atoms):
    forces, _ = _calculate(atoms, np.array([0.01, 0, 0.02, 0, 0.01, 0]), Stretched(), False)
    return forces


class Stretched(PolarCrystal):
    """Forces that tell in which cell they were asked for."""

    def calculate(self, atoms=None, properties=("forces",), system_changes=()):
        self.atoms = atoms.copy()
        self.results = {"forces": atoms.positions @ atoms.cell.array}


SKEWED = ((4, 0, 0), (80, 4, 0), (0, 120, 4))


@pytest.mark.parametrize(
    ("value", "vectors"),
    [
        (change, None),
        (strained_forces, None),
        (lambda atoms: compact_atoms(atoms).cell.array, SKEWED),
        (lambda atoms: compact_cell(atoms).cell.array, SKEWED),
        (lambda atoms: compact_cell(atoms).cell.array, ((0, 4, 0), (4, 0, 0), (0, 0, 4))),
        (lambda atoms: make_phonon(atoms).unitcell.cell, SKEWED),
    ],
)
def test_the_same_with_and_without(value, vectors):
    atoms = cubic() if vectors is None else cubic(vectors)
    np.testing.assert_array_equal(value(held(atoms)), value(atoms))


def test_a_constraint_is_still_on_the_structure_afterwards():
    atoms = held(cubic())
    change(atoms)
    assert len(atoms.constraints) == 1
