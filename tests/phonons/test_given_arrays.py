"""Potentials that look at more than elements and positions see it in displaced cells too."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from helpers.given_charges import triclinic_pair
from helpers.springs import Springs

from ase_equivar.phonons import force_constants
from ase_equivar.phonons.cells import as_given, make_phonon

SUPERCELL = [[1, 1, 0], [0, 2, 0], [0, 0, 1]]  # columns


class ChargedSprings(Calculator):
    """Springs whose stiffness comes from charges, labels, tags and a charge in `info`."""

    implemented_properties = ("energy", "forces")

    def __init__(self, reference):
        super().__init__()
        self.springs = Springs(reference, 5.0)

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        moved = self.springs.displacements(atoms)
        i, j = neighbor_list("ij", atoms, 5.2)
        kind = atoms.get_initial_charges() ** 2 + 0.1 * atoms.arrays["label"] * atoms.get_tags()
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, (kind[i] * kind[j])[:, None] * (moved[j] - moved[i]))
        self.results = {"energy": 0.0, "forces": atoms.info["charge"] * forces}


def crystal():
    atoms = triclinic_pair()
    atoms.set_initial_charges([1.5, -0.5])
    atoms.set_array("label", np.array([3, 7]))
    atoms.set_tags([1, 2])
    atoms.info["charge"] = 2
    return atoms


def test_force_constants_are_those_of_a_supercell_with_charges():
    atoms = crystal()
    calculator = ChargedSprings(atoms)
    phonon = force_constants(atoms, calculator, SUPERCELL, progress=False)
    supercell = as_given([phonon.supercell], phonon, atoms)[0]
    step, n = 1e-4, len(supercell)
    numeric = np.zeros((n, 3, 3))
    moved = int(phonon.primitive.p2s_map[1])
    for b in range(3):
        forces = []
        for sign in (1, -1):
            probe = supercell.copy()
            probe.positions[moved, b] += sign * step
            forces.append(calculator.get_forces(probe))
        numeric[:, b] = -(forces[0] - forces[1]) / (2 * step)
    np.testing.assert_allclose(phonon.force_constants[:, moved], numeric, atol=1e-6)
    assert np.abs(numeric).max() > 1


def test_each_atom_keeps_what_is_its_own():
    atoms = crystal()
    phonon = make_phonon(atoms, SUPERCELL)
    phonon.generate_displacements(distance=0.01)
    for cell in as_given(phonon.supercells_with_displacements, phonon, atoms):
        assert cell.info == atoms.info
        for name in ("initial_charges", "label", "tags"):
            own = dict(zip(atoms.numbers, atoms.arrays[name], strict=True))
            assert [own[number] for number in cell.numbers] == cell.arrays[name].tolist()
        # the same atom: its site is that of the unit cell but for a lattice vector
        steps = np.linalg.solve(atoms.cell.array.T, (cell.positions - sites(atoms, cell)).T)
        assert np.abs(steps - np.rint(steps)).max() < 0.01


def sites(atoms, cell):
    where = {number: place for number, place in zip(atoms.numbers, atoms.positions, strict=True)}
    return np.array([where[number] for number in cell.numbers])


def test_charges_that_break_the_symmetry_are_told():
    atoms = triclinic_pair()
    double = atoms.repeat((2, 1, 1))
    springs = Springs(atoms, 5.0)
    double.set_initial_charges([1.0, -1.0, 1.01, -1.01])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        force_constants(double, springs, (1, 1, 1), progress=False)
    double.set_initial_charges([1.0, -1.0, 2.0, -2.0])
    with pytest.warns(UserWarning, match="different initial charges, but are equivalent"):
        force_constants(double, springs, (1, 1, 1), progress=False)
