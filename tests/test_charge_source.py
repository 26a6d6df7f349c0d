"""One rule for where Z* come from: every kind of source, in every function that takes one."""

import copy
import pickle

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet
from helpers.driven_crystal import SINE, crystal
from helpers.harmonic_runs import STEP, harmonic_run
from helpers.polar_crystal import PolarCrystal, ions

from ase_equivar.charge_source import read_charges
from ase_equivar.dielectric import polarization_change, trajectory_current
from ase_equivar.dynamics import drive

CALCULATOR = PolarCrystal(quadratic=0.4)
BORN = CALCULATOR.born_charges(ions().positions)
NOMINAL = {"Ti": 3.0, "B": -1.0, "O": -2.0}
EACH = np.array([3.0, -1.0, -2.0])


def from_atoms(atoms):
    return CALCULATOR.born_charges(atoms.positions)


def moved():
    atoms = ions(velocities=False)
    atoms.positions += np.random.default_rng(1).normal(scale=0.05, size=(3, 3))
    return atoms


def test_each_kind_of_source_by_hand():
    atoms = moved()
    assert np.abs(from_atoms(atoms) - BORN).max() > 1e-3
    np.testing.assert_allclose(read_charges(CALCULATOR)(atoms), from_atoms(atoms))
    np.testing.assert_allclose(read_charges(from_atoms)(atoms), from_atoms(atoms))
    np.testing.assert_array_equal(read_charges(BORN)(atoms), BORN)
    for nominal in (NOMINAL, EACH, EACH.tolist(), lambda atoms: EACH):
        found = read_charges(nominal)(atoms)
        np.testing.assert_array_equal(found, EACH[:, None, None] * np.eye(3))


class Named(Calculator):
    """Gives Z* as another program does: under its name, in its shape and order."""

    def __init__(self, name, form):
        super().__init__()
        self.implemented_properties = ["energy", name]
        self.given, self.form = name, form

    def calculate(self, atoms=None, properties=(), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, self.given: self.form(from_atoms(self.atoms))}


FORMS = {
    "calorine's qNEP": ("born_effective_charges", lambda born: born.reshape(-1, 9)),
    "MACE-Field": ("becs", lambda born: born.reshape(-1, 9)),
    "TACE": ("born_effective_charges", lambda born: born),
    "LES": ("BEC", lambda born: born.transpose(0, 2, 1)),
    "LES, in nine columns": ("BEC", lambda born: born.transpose(0, 2, 1).reshape(-1, 9)),
}


@pytest.mark.parametrize("program", FORMS)
def test_other_calculators_are_read_in_their_own_shape_and_order(program):
    name, form = FORMS[program]
    atoms = moved()
    found = read_charges(Named(name, form))(atoms)
    np.testing.assert_array_equal(found, from_atoms(atoms))
    assert found.shape == (3, 3, 3)
    assert np.abs(found - found.transpose(0, 2, 1)).max() > 0.5


def test_names_of_no_known_order_and_other_shapes_are_refused():
    with pytest.raises(NotImplementedError, match=r"If its 'bec' are Z\*, give a function"):
        read_charges(Named("bec", lambda born: born))
    with pytest.raises(ValueError, match=r"becs of the calculator Named has shape \(9, 3\), not"):
        read_charges(Named("becs", lambda born: born.reshape(-1, 3)))(moved())


def work(source, **settings):
    atoms = crystal(quadratic=0.4)
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, SINE, born_charges=source, **settings)
    dyn.run(30)
    return driven.work


def change(source):
    return polarization_change(ions(False), moved(), source).change


def current(source):
    return trajectory_current(list(harmonic_run(8)), source, STEP).current


@pytest.mark.parametrize("use", [work, change, current])
def test_every_function_takes_every_source(use):
    np.testing.assert_allclose(use(from_atoms), use(PolarCrystal(quadratic=0.4)), rtol=1e-12)
    nominal = use(NOMINAL)
    for same in (EACH, EACH[:, None, None] * np.eye(3), lambda atoms: EACH):
        np.testing.assert_allclose(use(same), nominal, rtol=1e-12)
    assert np.abs(use(from_atoms) - use(BORN)).max() > 1e-6
    assert np.abs(nominal - use(BORN)).max() > 1e-3


def test_a_function_is_asked_as_seldom_as_a_calculator():
    calls = []
    work(lambda atoms: calls.append(1) or BORN, update_interval=10)
    assert len(calls) == 4  # at the start, and after 10, 20 and 30 steps


@pytest.mark.parametrize("use", [work, change, current])
def test_what_is_no_source_is_refused(use):
    with pytest.raises(NotImplementedError, match="Calculator does not give 'born_effective_char"):
        use(Calculator())
    for wrong, message in (
        ({"Ti": 1, "B": 2}, "born_charges has no charge for O"),
        ({"Ti": np.nan, "B": 2, "O": 1}, "the charge of Ti in born_charges is nan"),
        (BORN[:2], r"born_charges of shape \(2, 3, 3\) do not fit 3 atoms"),
        (lambda atoms: BORN * np.inf, r"born_charges\(atoms\) is not finite"),
        ("abc", "born_charges is 'abc'"),
    ):
        with pytest.raises(ValueError, match=message):
            use(wrong)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("separate", [True, False])
def test_copies_of_driven_atoms_ask_their_own_source(duplicate, separate):
    atoms = crystal()
    source = PolarCrystal(quadratic=0.4) if separate else atoms.calc
    drive(VelocityVerlet(atoms, 0.1), [0.0, 0.0, 0.1], born_charges=source)
    copied, own_source = duplicate((atoms, source))
    own_source.gradient = PolarCrystal(quadratic=0.8).gradient
    copied.positions[0] += 0.02
    atoms.positions[0] += 0.02
    both = [one.get_forces() for one in (atoms, copied)]
    assert np.abs(both[0] - both[1]).max() > 1e-5
    fresh = crystal()
    fresh.positions[:] = copied.positions
    drive(VelocityVerlet(fresh, 0.1), [0.0, 0.0, 0.1], born_charges=PolarCrystal(quadratic=0.8))
    np.testing.assert_allclose(both[1], fresh.get_forces(), atol=1e-12)


@pytest.mark.parametrize("source", [CALCULATOR, BORN, NOMINAL, EACH])
def test_what_is_read_can_be_pickled(source):
    atoms = moved()
    read = pickle.loads(pickle.dumps(read_charges(source)))
    np.testing.assert_array_equal(read(atoms), read_charges(source)(atoms))
