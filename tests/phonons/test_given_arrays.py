"""Potentials that look at more than elements and positions see it in displaced cells too."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list
from helpers.elastic_springs import ElasticSprings
from helpers.given_charges import triclinic_four, triclinic_pair
from helpers.public_raman import zincblende
from helpers.springs import Springs

from ase_equivar.dielectric import piezoelectric
from ase_equivar.phonons import force_constants
from ase_equivar.phonons.cells import make_phonon
from ase_equivar.phonons.given_entries import as_given, places_in_supercell, primitive_as_given

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


def all_of_it(phonon, atoms):
    return as_given(phonon.supercell, atoms, places_in_supercell(phonon))


def test_a_total_charge_has_the_size_of_the_cell():
    atoms = crystal()
    phonon = make_phonon(atoms, SUPERCELL)
    assert len(phonon.supercell) == 2 * len(atoms)
    assert all_of_it(phonon, atoms).info["charge"] == 4
    large = atoms.repeat((2, 1, 1))  # whose info is that of one cell
    phonon = make_phonon(large)
    assert primitive_as_given(phonon, large).info["charge"] == 1
    large.info["charge"] = 1
    with pytest.raises(ValueError, match=r"broken charge of 0\.5 e: give the primitive cell"):
        primitive_as_given(phonon, large)


def test_force_constants_are_those_of_a_supercell_with_charges():
    atoms = crystal()
    calculator = ChargedSprings(atoms)
    phonon = force_constants(atoms, calculator, SUPERCELL, progress=False)
    supercell = all_of_it(phonon, atoms)
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


@pytest.mark.parametrize("double", [False, True])
def test_each_atom_keeps_what_is_its_own(double):
    atoms = triclinic_four("LiLiBrBr")[[2, 0, 3, 1]]
    if double:
        atoms = atoms.repeat((1, 2, 1))[[5, 2, 0, 7, 1, 3, 6, 4]]
    atoms.positions += 3 * atoms.cell.array[1]
    n = len(atoms)
    atoms.set_array("own", np.arange(n))
    atoms.set_array("vector", np.arange(3 * n).reshape(n, 3))
    atoms.info["lock"] = threading.Lock()  # what cannot be copied
    phonon = make_phonon(atoms, SUPERCELL)
    primitive = primitive_as_given(phonon, atoms)
    assert len(primitive) == 4
    for cell in (all_of_it(phonon, atoms), primitive):
        assert cell.info == atoms.info
        own = cell.arrays["own"]
        np.testing.assert_array_equal(cell.arrays["vector"], atoms.arrays["vector"][own])
        vectors = cell.cell.array if cell is primitive else atoms.cell.array
        steps = (cell.positions - atoms.positions[own]) @ np.linalg.inv(vectors)
        assert len(set(own)) == (4 if cell is primitive else n)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)


def test_the_unit_cell_is_looked_at_without_constraints_and_right_handed():
    """What it is given for the check of residual forces, in the axes of phonopy."""
    seen = []

    class Looking(ChargedSprings):
        def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
            seen.append((atoms.cell.handedness, len(atoms.constraints), "momenta" in atoms.arrays))
            super().calculate(atoms, properties, system_changes)

    atoms = crystal()
    atoms.set_cell(-atoms.cell.array)
    assert atoms.cell.handedness == -1
    atoms.set_momenta(np.ones((2, 3)))
    atoms.set_constraint(FixAtoms([0, 1]))
    force_constants(atoms, Looking(atoms), (1, 1, 1), progress=False)
    assert len(seen) > 2
    assert set(seen) == {(1, 0, False)}


def test_charges_that_break_the_symmetry_are_told():
    atoms = triclinic_pair()
    double = atoms.repeat((2, 1, 1))
    springs = Springs(atoms, 5.0)
    double.set_initial_charges([1.0, -1.0, 1.01, -1.01])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        force_constants(double, springs, (1, 1, 1), progress=False)
    double.set_initial_charges([1.0, -1.0, 1.2, -1.2])
    with pytest.warns(UserWarning, match="different initial charges, but are equivalent"):
        force_constants(double, springs, (1, 1, 1), progress=False)


def test_piezoelectric_tensors_take_all_forces_with_charges():
    """Forces and stress grow with the charges together, so that e does not depend on them."""
    atoms = zincblende()

    class Charged(ElasticSprings):
        def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            factor = 1.0 + atoms.get_initial_charges()[0] ** 2
            self.results = {name: factor * value for name, value in self.results.items()}

    found = []
    for charge in (0.0, 2.0):
        atoms.set_initial_charges([charge, -charge])
        source = (np.array([2.0, -2.0])[:, None, None] * np.eye(3), 4 * np.eye(3))
        tensors = piezoelectric(
            atoms, Charged(zincblende(), 4.0), source, clamped=np.zeros((3, 6)), progress=False
        )
        found.append(tensors.ionic)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert np.abs(found[0]).max() > 0.1
