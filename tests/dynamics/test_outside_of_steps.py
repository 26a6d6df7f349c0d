"""Forces that others than the driven dynamics ask for: finite differences, a second dynamics."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from helpers.driven_crystal import AMPLITUDE, SINE, crystal
from helpers.harmonic_runs import ELECTRONIC
from helpers.polar_crystal import (
    CHARGES,
    HESSIAN,
    PER_E,
    KnowsItsPolarization,
    N,
    static_displacements,
)
from scipy import constants

from ase_equivar.dynamics import drive
from ase_equivar.fields import ConstantDisplacement, ConstantField, GaussianPulse
from ase_equivar.warning_types import FieldWarning

VACUUM = constants.epsilon_0 / constants.e * 1e-10  # ε0 in e/(V Å)


def force_constants(atoms):
    """By central differences of whatever calculator the atoms have, eV/Å²."""
    columns, home = [], atoms.positions.copy()
    for atom in range(N):
        for axis in range(3):
            ends = []
            for step in (1e-4, -1e-4):
                atoms.positions[:] = home
                atoms.positions[atom, axis] += step
                ends.append(atoms.get_forces().ravel())
            columns.append((ends[1] - ends[0]) / 2e-4)
    atoms.positions[:] = home
    return np.array(columns).T


@pytest.mark.parametrize("source", ["path", "polarization"])
@pytest.mark.parametrize("steps", [0, 7])
def test_finite_differences_at_constant_d_are_longitudinal(steps, source):
    """They were those at constant E: the field stayed that of where the run had left the atoms."""
    atoms = crystal(velocities=False)
    atoms.calc = KnowsItsPolarization()
    settings = {"source": "polarization"} if source == "polarization" else {}
    field = ConstantDisplacement([0, 0, 0], [0, 0, 0], ELECTRONIC, **settings)
    opt = BFGS(atoms, logfile=None)
    driven = drive(opt, field)
    opt.run(fmax=0, steps=steps)
    held = CHARGES.T @ np.linalg.inv(VACUUM * ELECTRONIC) @ CHARGES / atoms.get_volume()
    found = force_constants(atoms)
    np.testing.assert_allclose(found, HESSIAN + held, atol=1e-5)
    assert np.abs(held).max() > 1
    driven.release()
    np.testing.assert_allclose(force_constants(atoms), HESSIAN, atol=1e-5)


def test_field_at_constant_d_is_that_of_the_positions_asked_for():
    """With Z* that change on the way, from a run that has moved, and over the faces of the cell."""
    atoms = crystal(quadratic=0.4)
    atoms.calc = KnowsItsPolarization(quadratic=0.4)
    dyn = VelocityVerlet(atoms, 0.2 * units.fs)
    driven = drive(dyn, ConstantDisplacement([9, -4, 3], [0, 0, 0], ELECTRONIC))
    dyn.run(30)
    polarization = atoms.calc.calculator.get_property
    before, start = driven.electric_field, polarization("polarization", atoms)
    atoms.positions += np.random.default_rng(2).normal(scale=0.05, size=(N, 3))
    change = (polarization("polarization", atoms) - start) / PER_E
    expected = before - np.linalg.solve(VACUUM * ELECTRONIC, change)
    np.testing.assert_allclose(driven.electric_field, expected, atol=1e-9)
    assert np.abs(expected - before).max() > 0.1
    atoms.positions[1] += atoms.cell[0] - atoms.cell[2]
    charges = driven.born_charges  # of the image, which this crystal tells from the atom
    atoms.positions[1] -= atoms.cell[0] - atoms.cell[2]
    assert np.abs(charges - driven.born_charges).max() > 0.1
    np.testing.assert_allclose(driven.electric_field, expected, atol=1e-9)


def others(atoms):
    second = VelocityVerlet(atoms, 1.0 * units.fs)
    copied = copy.deepcopy(atoms)
    return {
        "dynamics": lambda: second.run(3),
        "optimizer": lambda: BFGS(atoms, logfile=None).run(steps=3),
        "differences": lambda: force_constants(atoms),
        "copy": lambda: VelocityVerlet(copied, 1.0 * units.fs).run(3),
    }


@pytest.mark.parametrize("other", ["dynamics", "optimizer", "differences", "copy"])
def test_a_field_that_stands_still_is_told_once(other):
    """A field of 14 THz became a static one, without a word."""
    atoms = crystal()
    driven = drive(VelocityVerlet(atoms, 1.0 * units.fs), SINE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FieldWarning)
        driven.dynamics.run(10)
    told = "outside of the steps of the driven run.* the field stands still at 10 fs.* release"
    with pytest.warns(FieldWarning, match=told) as warned:
        others(atoms)[other]()
    assert len(warned) == 1


@pytest.mark.parametrize(
    "field",
    [
        AMPLITUDE,
        2 * ConstantField(AMPLITUDE),
        GaussianPulse(AMPLITUDE, center=2.0, width=1.0),
    ],
    ids=["static", "twice a static one", "pulse that is over"],
)
def test_fields_that_do_not_change_any_more_are_not_told(field):
    atoms = crystal()
    driven = drive(VelocityVerlet(atoms, 0.1 * units.fs), field)
    driven.dynamics.run(600)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FieldWarning)
        VelocityVerlet(atoms, 1.0 * units.fs).run(3)


def test_optimizers_take_sums_and_multiples_of_static_fields():
    atoms = crystal(velocities=False)
    opt = BFGS(atoms, logfile=None)
    field = 2 * ConstantField(AMPLITUDE / 4) + ConstantField(AMPLITUDE / 2)
    sites = atoms.positions.copy()
    drive(opt, field)
    opt.run(fmax=1e-6)
    np.testing.assert_allclose(atoms.positions - sites, static_displacements(AMPLITUDE), atol=1e-6)
    for varying in (2 * SINE, ConstantField(AMPLITUDE) + SINE):
        with pytest.raises(ValueError, match="BFGS has no time"):
            drive(BFGS(crystal(), logfile=None), varying)


class AnyAtoms(Calculator):
    implemented_properties = ("energy", "forces", "born_effective_charges")

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        charges = np.outer([1, -1] * len(atoms), np.eye(3))[: len(atoms)].reshape(-1, 3, 3)
        self.results = {
            "energy": 0.0,
            "forces": np.zeros((len(atoms), 3)),
            "born_effective_charges": charges,
        }


def test_other_atoms_with_the_calculator_of_a_run_are_none_that_moved():
    atoms = crystal()[:2]
    atoms.calc = AnyAtoms()
    driven = drive(VelocityVerlet(atoms, 1.0 * units.fs), SINE)
    driven.dynamics.run(2)
    one = atoms[:1]
    one.calc = atoms.calc
    with warnings.catch_warnings():
        warnings.simplefilter("error", FieldWarning)
        assert one.get_forces().any()
