"""What drive refuses, before a step or after the first, and what it warns about."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.fd import FiniteDifferenceCalculator
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.calculators.loggingcalc import LoggingCalculator
from ase.calculators.mixing import SumCalculator
from ase.calculators.qmmm import RescaledCalculator, SimpleQMMM
from ase.constraints import FixAtoms, FixCom
from ase.md.andersen import Andersen
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.switch_langevin import SwitchLangevin
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS, FIRE, BFGSLineSearch
from helpers.driven_crystal import AMPLITUDE, FREQUENCY, INTEGRATORS, SINE, crystal
from helpers.polar_crystal import N, PolarCrystal
from helpers.told_warnings import IGNORED, told
from helpers.toy_network import ToyNetwork

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive
from ase_equivar.dynamics.field_calculator import FieldCalculator
from ase_equivar.fields import (
    ConstantField,
    GaussianPulse,
    SineField,
    StepField,
    TabulatedField,
)
from ase_equivar.phonons.finite_displacement import refuse_field


def test_calculator_without_charges_is_refused():
    atoms = crystal(with_charges=False)
    dyn = VelocityVerlet(atoms, 0.1)
    with pytest.raises(NotImplementedError, match="PolarCrystal does not give 'born_effective_ch"):
        drive(dyn, AMPLITUDE)
    assert isinstance(atoms.calc, PolarCrystal)


@pytest.mark.filterwarnings("error", IGNORED)
def test_field_without_effect_is_reported_after_the_first_step():
    dyn = VelocityVerlet(crystal(), 0.1)
    drive(dyn, AMPLITUDE, born_charges=np.zeros((N, 3, 3)))
    with pytest.raises(UserWarning, match="exerts no force on any atom: check that Z"):
        dyn.run(2)
    with pytest.raises(UserWarning, match="field is zero at all times"):
        drive(VelocityVerlet(crystal(), 0.1), 0 * SINE)


LATE = StepField(AMPLITUDE, start=1e7)


@pytest.mark.parametrize(
    "field",
    [
        lambda time: np.zeros(3),
        LATE,
        GaussianPulse(AMPLITUDE, center=-2000.0, width=200.0),
        LATE + (lambda time: np.zeros(3)),
    ],
    ids=["function", "late step", "pulse long ago", "sum"],
)
def test_field_that_was_never_on_is_reported_as_the_run_ends(field):
    atoms = crystal()
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, field)
    with told() as caught:
        for _ in dyn.irun(20):
            assert bool(caught) == (dyn.nsteps == 20)
        dyn.run(20)  # once is enough
    (warning,) = caught
    expected = f"zero (never above 1e-09 V/Å) throughout this run, which ends at {2 / units.fs:.4g}"
    assert expected in str(warning.message)
    assert abs(driven.work) < 1e-9


@pytest.mark.filterwarnings("error", IGNORED)
@pytest.mark.parametrize("in_python", [False, True])
def test_field_that_starts_later_is_no_reason_to_warn(in_python):
    dyn = VelocityVerlet(crystal(), 0.1)
    field = StepField(AMPLITUDE, start=10.0)
    drive(dyn, (lambda time: field(time)) if in_python else field)
    dyn.run(20)


def test_time_step_too_long_for_the_field_is_refused():
    longest = 1000 * units.fs / (10 * FREQUENCY)
    with pytest.raises(ValueError, match=rf"at most {longest / units.fs:.4g} fs resolves"):
        drive(VelocityVerlet(crystal(), 1.01 * longest), SINE)
    atoms = crystal()
    dyn = Langevin(atoms, 0.99 * longest, temperature_K=0, friction=0.1, fixcm=False)
    drive(dyn, SINE + ConstantField(AMPLITUDE))
    dyn.set_timestep(1.01 * longest)
    with pytest.raises(ValueError, match="too long for this field"):
        dyn.run(1)


@pytest.mark.parametrize("dt", [0.1 / units.fs, 100 / FREQUENCY, 1.0, 0.7])
def test_time_step_that_just_resolves_the_field_is_taken(dt):
    rows = [[0, 0, 0.1 * (i % 2)] for i in range(2000)]
    for field in (SineField(AMPLITUDE, frequency=100 / dt),
                  TabulatedField(np.arange(2000) * dt, rows)):  # fmt: skip
        drive(VelocityVerlet(crystal(), dt * units.fs), field)
        with pytest.raises(ValueError, match="too long for this field"):
            drive(VelocityVerlet(crystal(), 1.001 * dt * units.fs), field)


def test_thermostat_that_is_switched_off_stops_no_charged_cell():
    charged = {"net_charge": 0.5}
    with pytest.raises(ValueError, match="Langevin, as set up, does not stop it"):
        drive(
            Langevin(crystal(**charged), 0.1, temperature_K=300, friction=0, fixcm=False), AMPLITUDE
        )
    with pytest.raises(ValueError, match="Andersen, as set up, does not stop it"):
        drive(INTEGRATORS["Andersen"](crystal(**charged), 0.1), AMPLITUDE)
    some = np.array([[0.0], [0.1], [0.0]])
    drive(
        Langevin(crystal(**charged), 0.1, temperature_K=300, friction=some, fixcm=False), AMPLITUDE
    )
    atoms = crystal(**charged)
    dyn = Andersen(atoms, 0.1, temperature_K=300, andersen_prob=0.0, fixcm=True)
    before = atoms.get_center_of_mass()
    drive(dyn, AMPLITUDE)
    dyn.run(20)
    np.testing.assert_allclose(atoms.get_center_of_mass(), before, atol=1e-10)


def test_charged_cell_needs_something_that_stops_it():
    for make in (VelocityVerlet, lambda atoms, dt: BFGS(atoms)):
        for held in ([], [FixAtoms(mask=[False, False, False])]):
            atoms = crystal(net_charge=0.5)
            atoms.set_constraint(held)
            with pytest.raises(ValueError, match=r"Z\* sum to 0\.5 e, [^;]* does not stop it"):
                drive(make(atoms, 0.1), AMPLITUDE)
    atoms = crystal(net_charge=0.5)
    drive(Langevin(atoms, 0.1, temperature_K=300, friction=0.1, fixcm=False), AMPLITUDE)
    with pytest.warns(UserWarning, match="Bussi may control the kinetic energy, but does not stop"):
        drive(Bussi(crystal(net_charge=0.5), 0.1, 300, taut=10), AMPLITUDE)
    with pytest.warns(UserWarning, match="NoseHooverChainNVT may control the kinetic energy"):
        drive(INTEGRATORS["NoseHooverChainNVT"](crystal(net_charge=0.5), 0.1), AMPLITUDE)
    with pytest.raises(ValueError, match="LangevinBAOAB, as set up, does not stop it"):
        drive(LangevinBAOAB(crystal(net_charge=0.5), 0.1), AMPLITUDE)
    thermal = LangevinBAOAB(
        crystal(net_charge=0.5), 0.1, temperature_K=300, T_tau=10, rng=np.random.default_rng(0)
    )
    drive(thermal, AMPLITUDE)
    atoms = crystal(net_charge=0.5)
    atoms.set_constraint(FixCom())
    dyn = VelocityVerlet(atoms, 0.1)
    drive(dyn, AMPLITUDE)
    before = atoms.get_center_of_mass()
    dyn.run(20)
    np.testing.assert_allclose(atoms.get_center_of_mass(), before, atol=1e-10)


def test_stress_in_a_field_is_refused_unless_allowed():
    atoms = crystal()
    drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)
    with pytest.raises(NotImplementedError, match="'stress' in an electric field is not defined"):
        atoms.get_stress()
    atoms = crystal()
    drive(VelocityVerlet(atoms, 0.1), AMPLITUDE, stress_without_field=True)
    np.testing.assert_array_equal(atoms.get_stress(), 0)


def test_optimizers_are_refused_what_they_cannot_have():
    with pytest.raises(ValueError, match="BFGS has no time: give three numbers"):
        drive(BFGS(crystal()), SINE)
    for optimizer in (BFGSLineSearch(crystal()), FIRE(crystal(), downhill_check=True)):
        with pytest.raises(ValueError, match="relies on forces alone: BFGS"):
            drive(optimizer, AMPLITUDE)


class Holding(Calculator):
    """Keeps others in a list of its own."""

    implemented_properties = ("forces",)

    def __init__(self, members):
        super().__init__()
        self.members = members


def test_two_fields_at_once_are_refused():
    atoms = crystal()
    drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)
    with pytest.raises(ValueError, match="already driven by a field; add the two"):
        drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)
    atoms = crystal()
    atoms.calc.electric_field = AMPLITUDE
    with pytest.raises(ValueError, match="set it to None"):
        drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)
    inner = atoms.calc
    wrapped = [
        FiniteDifferenceCalculator(inner, eps_disp=None),
        SimpleQMMM([0], inner, PolarCrystal(), PolarCrystal()),
        RescaledCalculator(inner, 4.0, 1.0, 4.0, 1.0),
        SumCalculator([PolarCrystal(), LoggingCalculator(inner)]),
        Holding([PolarCrystal(), inner]),
    ]
    for atoms.calc in wrapped:
        with pytest.raises(ValueError, match="set it to None"):
            drive(VelocityVerlet(atoms, 0.1), AMPLITUDE, born_charges=PolarCrystal())
        with pytest.raises(ValueError, match="electric field on"):
            refuse_field(atoms.calc)


def test_replaced_calculator_is_noticed():
    atoms = crystal()
    dyn = VelocityVerlet(atoms, 0.1)
    drive(dyn, AMPLITUDE)
    atoms.calc = PolarCrystal()
    with pytest.raises(RuntimeError, match="calculator was replaced after drive"):
        dyn.run(1)


def test_calculator_without_forces_is_refused():
    atoms = bulk("MgO", "rocksalt", a=4.2)
    atoms.calc = EquivarCalculator(model=ToyNetwork())
    with pytest.raises(NotImplementedError, match="EquivarCalculator does not give forces"):
        drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)


def test_other_bad_input_is_named():
    atoms = crystal()
    dyn = VelocityVerlet(atoms, 0.1)
    with pytest.raises(TypeError, match="needs an ASE dynamics, not a Atoms"):
        drive(atoms, AMPLITUDE)
    with pytest.raises(ValueError, match="a scalar envelope"):
        drive(dyn, ConstantField(1.0))
    with pytest.raises(ValueError, match=r"field has shape \(2,\)"):
        drive(dyn, lambda time: [time, 0])
    with pytest.raises(ValueError, match=r"born_charges of shape \(2, 3, 3\) do not fit 3 atoms"):
        drive(dyn, AMPLITUDE, born_charges=np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="not finite"):
        drive(dyn, AMPLITUDE, born_charges=np.full((N, 3, 3), np.nan))
    with pytest.raises(ValueError, match="update_interval is 0"):
        drive(dyn, AMPLITUDE, update_interval=0)
    with pytest.raises(ValueError, match="max_displacement has no effect"):
        drive(dyn, AMPLITUDE, max_displacement=0.1)
    assert not isinstance(atoms.calc, FieldCalculator)
    atoms.calc = None
    with pytest.raises(ValueError, match="no calculator"):
        drive(dyn, AMPLITUDE)


def springs_and(**settings):
    atoms = bulk("MgO", "rocksalt", a=4.2)
    springs = HarmonicCalculator(HarmonicForceField(atoms.copy(), hessian_x=5 * np.eye(6)))
    return atoms, EquivarCalculator(springs, model=ToyNetwork(scale=0.5), **settings)


@pytest.mark.parametrize(
    "outer", [lambda one: EquivarCalculator(one), lambda one: SumCalculator([one])]
)
def test_a_field_within_the_calculator_is_a_second_one(outer):
    atoms, inner = springs_and(electric_field=AMPLITUDE)
    atoms.calc = outer(inner)
    with pytest.raises(ValueError, match="V/Å of its own, whose work would not be counted"):
        drive(VelocityVerlet(atoms, 0.1), AMPLITUDE, born_charges={"Mg": 2, "O": -2})


def test_a_field_that_the_calculator_is_given_later_is_a_second_one():
    atoms, atoms.calc = springs_and()
    calculator = atoms.calc
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, AMPLITUDE)
    dyn.run(2)
    work = driven.work
    calculator.electric_field = AMPLITUDE
    with pytest.raises(ValueError, match="V/Å of its own, whose work would not be counted"):
        dyn.run(2)
    assert driven.work == work
    calculator.electric_field = None
    dyn.run(2)
    assert driven.work > work


def test_dynamics_that_switches_between_calculators_is_refused():
    atoms = crystal()
    dyn = SwitchLangevin(
        atoms,
        PolarCrystal(),
        PolarCrystal(),
        0.1,
        temperature_K=100,
        friction=0.1,
        n_eq=1,
        n_switch=2,
    )
    with pytest.raises(TypeError, match="SwitchLangevin sets the weights"):
        drive(dyn, AMPLITUDE)
    assert "FieldCalculator" not in type(atoms.calc).__name__


def test_a_band_of_structures_is_refused_by_name():
    images = [springs_and()[0] for _ in range(3)]
    for image in images:
        image.calc = springs_and()[1]
    with pytest.raises(TypeError, match=r"a NEB is moved, not one ase\.Atoms"):
        drive(FIRE(NEB(images), logfile=None), AMPLITUDE)
