"""MD in a field against exact motion: order in the time step, work, reversal, caches, refusals."""

import warnings

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.constraints import FixCom
from ase.io import read
from ase.md.andersen import Andersen
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.melchionna import MelchionnaNPT
from ase.md.nose_hoover_chain import IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.nptberendsen import NPTBerendsen
from ase.md.nvtberendsen import NVTBerendsen
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, FIRE, LBFGS, BFGSLineSearch, MDMin
from polar_crystal import (
    CHARGES,
    MASSES,
    N,
    PolarCrystal,
    exact_displacements,
    ions,
    static_displacements,
)
from toy_network import ToyNetwork

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import FieldTrajectory, drive, save_checkpoint
from ase_equivar.dynamics.field_calculator import FieldCalculator
from ase_equivar.fields import THZ, field_forces
from ase_equivar.fields.waveforms import (
    ConstantField,
    GaussianPulse,
    SineField,
    StepField,
    TabulatedField,
)

AMPLITUDE = np.array([0.11, -0.07, 0.16])  # V/Å
FREQUENCY = 0.14  # per ASE unit of time: 14 THz
DURATION = 12.0  # ASE's unit: 120 fs
SINE = SineField(AMPLITUDE, frequency=FREQUENCY, phase=0.6)
HUGE = 1e30

INTEGRATORS = {
    # Each set up so that its thermostat and barostat do nothing: then the exact motion is known.
    "VelocityVerlet": lambda atoms, dt: VelocityVerlet(atoms, dt),
    "Langevin": lambda atoms, dt: Langevin(
        atoms, dt, temperature_K=0, friction=1e-14, fixcm=False
    ),
    "LangevinBAOAB": lambda atoms, dt: LangevinBAOAB(atoms, dt),
    "Andersen": lambda atoms, dt: Andersen(
        atoms, dt, temperature_K=1, andersen_prob=0.0, fixcm=False
    ),
    "Bussi": lambda atoms, dt: Bussi(atoms, dt, temperature_K=1, taut=HUGE),
    "NoseHooverChainNVT": lambda atoms, dt: NoseHooverChainNVT(
        atoms, dt, temperature_K=300, tdamp=1e9
    ),
    "NVTBerendsen": lambda atoms, dt: NVTBerendsen(
        atoms, dt, temperature_K=300, taut=HUGE, fixcm=False
    ),
    "NPTBerendsen": lambda atoms, dt: NPTBerendsen(
        atoms, dt, temperature_K=300, taut=HUGE, fixcm=False, pressure_au=0.0, taup=1.0,
        compressibility_au=1e-20,
    ),
    "IsotropicMTKNPT": lambda atoms, dt: IsotropicMTKNPT(
        atoms, dt, temperature_K=300, pressure_au=0.0, tdamp=1e9, pdamp=1e9
    ),
    "MelchionnaNPT": lambda atoms, dt: MelchionnaNPT(
        atoms, dt, temperature_K=300, externalstress=0.0, ttime=None, pfactor=None
    ),
}  # fmt: skip
FROM_REST = sorted(set(INTEGRATORS) - {"Bussi", "NVTBerendsen", "NPTBerendsen"})


def crystal(velocities=True, **settings):
    atoms = ions(velocities)
    atoms.calc = PolarCrystal(**settings)
    return atoms


def error_after(integrator, dt, field, expected, velocities):
    atoms = crystal(velocities)
    dyn = INTEGRATORS[integrator](atoms, dt)
    drive(dyn, field, stress_without_field=True)
    dyn.run(round(DURATION / dt))
    return np.abs(atoms.positions - ions().positions - expected).max()


@pytest.mark.parametrize("name", INTEGRATORS)
def test_second_order_against_the_exact_motion_in_a_sine(name):
    expected = exact_displacements(ions(), [DURATION], AMPLITUDE, FREQUENCY, phase=0.6)[0]
    coarse, fine = (error_after(name, dt, SINE, expected, True) for dt in (0.08, 0.04))
    assert fine < 3e-3 < 0.05 < np.abs(expected).max()
    assert coarse / fine == pytest.approx(4, abs=0.4)


@pytest.mark.parametrize("name", FROM_REST)
def test_second_order_from_rest_when_the_field_jumps_up_later(name):
    # At rest no position tells the beginning of a step from its end.
    start = DURATION / 3
    omega_t = exact_displacements(ions(False), [DURATION - start], AMPLITUDE, 1e-9, np.pi / 2)
    field = StepField(AMPLITUDE, start=start)
    coarse, fine = (error_after(name, dt, field, omega_t[0], False) for dt in (0.08, 0.04))
    assert fine < 3e-3 < 0.05 < np.abs(omega_t).max()
    assert coarse / fine == pytest.approx(4, abs=0.4)


@pytest.mark.parametrize("optimizer", [BFGS, LBFGS, FIRE, MDMin])
def test_optimizers_find_the_displacements_in_a_static_field(optimizer):
    atoms = crystal(velocities=False)
    dyn = optimizer(atoms, logfile=None)
    driven = drive(dyn, AMPLITUDE)
    assert dyn.run(fmax=1e-7, steps=3000)
    expected = static_displacements(AMPLITUDE)
    np.testing.assert_allclose(atoms.positions - ions().positions, expected, atol=1e-6)
    assert np.abs(expected).max() > 0.1
    assert driven.time == 0


def test_friction_brings_the_crystal_to_the_displacements_in_a_static_field():
    atoms = crystal()
    dyn = Langevin(atoms, 0.1, temperature_K=0, friction=0.3, fixcm=False)
    drive(dyn, AMPLITUDE)
    dyn.run(3000)
    found = atoms.positions - ions().positions
    np.testing.assert_allclose(
        found - found.mean(axis=0), static_displacements(AMPLITUDE), atol=1e-8
    )


def test_centre_of_mass_stays_with_neutral_charges():
    atoms = crystal(quadratic=0.4, rotational=0.3)
    before = atoms.get_center_of_mass()
    dyn = VelocityVerlet(atoms, 0.1)
    drive(dyn, SINE)
    dyn.run(500)
    np.testing.assert_allclose(atoms.get_center_of_mass(), before, atol=1e-10)
    assert np.abs(atoms.positions - ions().positions).max() > 0.1


def test_reversed_velocities_and_field_bring_the_trajectory_back():
    atoms = crystal(quadratic=0.4)
    start = ions()
    dyn = VelocityVerlet(atoms, 0.1)
    forward = drive(dyn, SINE)
    dyn.run(200)
    end, work = forward.time, forward.work
    forward.release()
    assert np.abs(atoms.positions - start.positions).max() > 0.02
    atoms.set_momenta(-atoms.get_momenta())
    backward = VelocityVerlet(atoms, 0.1)
    reversed_drive = drive(backward, lambda time: SINE(end - time))
    backward.run(200)
    np.testing.assert_allclose(atoms.positions, start.positions, atol=1e-9)
    np.testing.assert_allclose(atoms.get_momenta(), -start.get_momenta(), atol=1e-9)
    assert reversed_drive.work == pytest.approx(-work, abs=1e-9)


def test_negative_time_step_goes_back_too():
    atoms = crystal(quadratic=0.4)
    dyn = VelocityVerlet(atoms, 0.1)
    forward = drive(dyn, SINE)
    dyn.run(200)
    forward.release()
    back = VelocityVerlet(atoms, -0.1)
    drive(back, SINE, start_time=forward.time)
    back.run(200)
    np.testing.assert_allclose(atoms.positions, ions().positions, atol=1e-9)


@pytest.mark.parametrize("name", ["VelocityVerlet", "LangevinBAOAB", "MelchionnaNPT"])
def test_two_runs_equal_one(name):
    states = []
    for parts in ((40,), (17, 23)):
        atoms = crystal(quadratic=0.4)
        dyn = INTEGRATORS[name](atoms, 0.1)
        driven = drive(dyn, SINE, update_interval=3)
        for steps in parts:
            dyn.run(steps)
        states.append((atoms.positions, atoms.get_momenta(), driven.work, driven.time))
    for one, two in zip(*states, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_new_drive_continues_at_its_start_time():
    whole, halves = crystal(), crystal()
    dyn = VelocityVerlet(whole, 0.1)
    expected = drive(dyn, SINE)
    dyn.run(40)
    work = 0.0
    for time in (0.0, 2.0):
        dyn = VelocityVerlet(halves, 0.1)
        driven = drive(dyn, SINE, start_time=time)
        driven.work = work
        dyn.run(20)
        driven.release()
        work = driven.work
    np.testing.assert_allclose(halves.positions, whole.positions, atol=1e-12)
    assert work == pytest.approx(expected.work, abs=1e-12)


def test_changed_time_step_keeps_the_time():
    atoms = crystal()
    dyn = Langevin(atoms, 0.05, temperature_K=0, friction=1e-14, fixcm=False)
    driven = drive(dyn, SINE)
    dyn.run(100)
    dyn.set_timestep(0.025)
    dyn.updatevars()
    dyn.run(280)
    assert driven.time == pytest.approx(DURATION)
    expected = exact_displacements(ions(), [DURATION], AMPLITUDE, FREQUENCY, phase=0.6)[0]
    np.testing.assert_allclose(atoms.positions - ions().positions, expected, atol=3e-3)


class Leapfrog(MolecularDynamics):
    """Moves the atoms before it asks for forces, with those of the step before."""

    forces = None

    def step(self):
        if self.forces is None:
            self.forces = self.atoms.get_forces()
        momenta = self.atoms.get_momenta() + 0.5 * self.dt * self.forces
        self.atoms.set_positions(self.atoms.positions + self.dt * momenta / self.masses)
        self.forces = self.atoms.get_forces()
        self.atoms.set_momenta(momenta + 0.5 * self.dt * self.forces)


def times_asked_for(dyn, steps):
    """Return the times of which a dynamics wants the field in each of its steps."""
    times = []
    drive(dyn, lambda time: times.append(time) or AMPLITUDE, stress_without_field=True)
    found = []
    for _ in range(steps):
        times.clear()
        dyn.step()
        found.append(times[1:-1])  # without those before and after, for the work
    return found


def test_integrator_of_ones_own_may_remember_forces():
    dyn = Leapfrog(crystal(), 0.1)
    first, second = times_asked_for(dyn, 2)
    np.testing.assert_allclose(first, [0.0, 0.1])
    np.testing.assert_allclose(second, [0.2])


def test_scaling_of_the_cell_is_not_taken_for_the_motion_of_the_step():
    atoms = crystal()
    dyn = NPTBerendsen(atoms, 0.1, temperature_K=300, pressure_au=0.02, taut=HUGE, taup=1.0,
                       compressibility_au=1.0)  # fmt: skip
    volume = atoms.get_volume()
    first, second = times_asked_for(dyn, 2)
    assert abs(atoms.get_volume() / volume - 1) > 1e-4
    np.testing.assert_allclose(first, [0.0, 0.1])
    np.testing.assert_allclose(second, [0.1, 0.2])


# Work


def balance(dt, quadratic, rotational=0.0):
    """Return E_total − W against its start, eV, and what it is exactly for velocity Verlet."""
    atoms = crystal(quadratic=quadratic, rotational=rotational)
    dyn = VelocityVerlet(atoms, dt)
    driven = drive(dyn, SINE)
    rows = []
    for _ in dyn.irun(round(4 * DURATION / dt)):
        squares = ((atoms.get_forces() ** 2).sum(axis=1) / MASSES).sum()
        rows.append((atoms.get_total_energy(), driven.work, dt**2 / 8 * squares))
    energy, work, expected = np.array(rows).T
    return energy - energy[0] - work, expected - expected[0], work


@pytest.mark.parametrize(
    ("quadratic", "rotational"), [(0, 0), (0.4, 0), (0.2, 0.3)], ids=["fixed", "moving", "curl"]
)
def test_energy_minus_work_is_conserved_to_second_order(quadratic, rotational):
    coarse, expected, work = balance(0.1, quadratic, rotational)
    np.testing.assert_allclose(coarse, expected, atol=1e-11)
    assert np.abs(work).max() > 0.05 > 10 * np.abs(coarse).max()
    fine = balance(0.05, quadratic, rotational)[0]
    assert np.abs(coarse).max() / np.abs(fine).max() == pytest.approx(4, abs=0.3)


def test_work_against_the_integral_along_the_exact_motion():
    times = np.linspace(0, DURATION, 4001)
    path = exact_displacements(ions(), times, AMPLITUDE, FREQUENCY, phase=0.6).reshape(-1, 3 * N)
    force = np.array([SINE(time) for time in times]) @ CHARGES
    power = (force * np.gradient(path, times, axis=0, edge_order=2)).sum(axis=1)
    exact = np.trapezoid(power, times)
    found = []
    for dt in (0.08, 0.04):
        dyn = VelocityVerlet(crystal(), dt)
        driven = drive(dyn, SINE)
        dyn.run(round(DURATION / dt))
        found.append(driven.work)
    assert abs(exact) > 0.1
    assert found[1] == pytest.approx(exact, rel=1e-2)
    assert (found[0] - exact) / (found[1] - exact) == pytest.approx(4, abs=0.3)


def test_work_in_a_static_field_is_field_times_change_of_polarization():
    atoms = crystal(quadratic=0.4)
    dyn = Langevin(atoms, 0.05, temperature_K=200, friction=0.05, fixcm=False,
                   rng=np.random.default_rng(1))  # fmt: skip
    driven = drive(dyn, AMPLITUDE)
    dyn.run(300)
    u = (atoms.positions - ions().positions).ravel()
    polarization = CHARGES @ u + 0.5 * atoms.calc.calculator.gradient @ u @ u
    assert driven.work == pytest.approx(AMPLITUDE @ polarization, abs=2e-5)
    assert abs(driven.work) > 0.01


# Calculators, caches, cost


def test_forces_follow_the_field_though_atoms_stand_still():
    atoms = crystal(velocities=False)
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, SINE)
    z_star = atoms.calc.calculator.born_charges(atoms.positions)
    for time in (0.0, 1.3):
        driven._clock._offset = time
        np.testing.assert_allclose(atoms.get_forces(), field_forces(z_star, SINE(time)), atol=1e-12)
        np.testing.assert_allclose(driven.field_forces, field_forces(z_star, SINE(time)))
        np.testing.assert_array_equal(driven.electric_field, SINE(time))


def test_static_field_by_drive_is_that_of_the_calculators_setting():
    states = []
    for given in (True, False):
        atoms = bulk("MgO", "rocksalt", a=4.2)
        atoms.rattle(0.03, seed=1)
        springs = HarmonicForceField(atoms.copy(), hessian_x=5 * np.eye(6))
        atoms.calc = EquivarCalculator(HarmonicCalculator(springs), model=ToyNetwork(scale=0.5))
        dyn = VelocityVerlet(atoms, 0.2)
        if given:
            drive(dyn, AMPLITUDE)
        else:
            atoms.calc.electric_field = AMPLITUDE
        dyn.run(20)
        states.append(atoms.positions)
    np.testing.assert_allclose(*states, atol=1e-12)
    assert np.abs(states[0] - springs.x0.reshape(-1, 3)).max() > 0.003


def test_each_step_costs_one_evaluation():
    atoms = crystal()
    dyn = VelocityVerlet(atoms, 0.1)
    drive(dyn, SINE)
    dyn.attach(lambda: (atoms.get_potential_energy(), atoms.get_forces()))
    dyn.run(20)
    assert atoms.calc.calculator.calls == {"forces": 21, "born_effective_charges": 21}


def test_charges_kept_for_some_steps_and_the_error_of_it():
    atoms = crystal(quadratic=0.4)
    calc = atoms.calc
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, SINE, update_interval=4)
    errors, kept = [], calc.born_charges(atoms.positions)
    for step, _ in enumerate(dyn.irun(20)):
        new = calc.born_charges(atoms.positions)
        if step % 4 == 0 and step:
            errors.append(field_forces(new - kept, SINE(step * 0.1)))
        kept = new if step % 4 == 0 else kept
        np.testing.assert_allclose(driven.field_forces, field_forces(kept, SINE(step * 0.1)))
    assert calc.calls == {"forces": 21, "born_effective_charges": 6}
    report = driven.refresh_report
    assert report.refreshes == len(errors) == 5
    norms = np.linalg.norm(errors, axis=2)
    assert report.max_force_error == pytest.approx(norms.max())
    assert report.rms_force_error == pytest.approx(np.sqrt((norms**2).mean()))
    assert report.max_charge_error > 1e-3


def test_charges_are_renewed_when_an_atom_has_moved_far():
    atoms = crystal(quadratic=0.4)
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, SINE, update_interval=1000, max_displacement=0.03)
    sites, renewed = [], 0
    for _ in dyn.irun(50):
        now = atoms.positions.copy()
        sites = sites or [now]
        if np.linalg.norm(now - sites[-1], axis=1).max() > 0.03:
            sites.append(now)
            renewed += 1
    assert driven.refresh_report.refreshes == renewed
    assert 5 < renewed < 40


def test_fixed_charges_in_place_of_the_calculators():
    atoms = crystal(with_charges=False)
    given = PolarCrystal().born_charges(ions().positions)
    dyn = VelocityVerlet(atoms, 0.04)
    drive(dyn, SINE, born_charges=given)
    dyn.run(300)
    expected = exact_displacements(ions(), [DURATION], AMPLITUDE, FREQUENCY, phase=0.6)[0]
    np.testing.assert_allclose(atoms.positions - ions().positions, expected, atol=3e-3)


def test_trajectories_hold_the_forces_in_the_field(tmp_path):
    atoms = crystal()
    dyn = VelocityVerlet(atoms, 0.1, trajectory=str(tmp_path / "run.traj"))
    drive(dyn, SINE)
    dyn.run(3)
    plain = PolarCrystal()
    for step, image in enumerate(read(tmp_path / "run.traj", ":")):
        z_star = plain.born_charges(image.positions)
        expected = plain.get_property("forces", image) + field_forces(z_star, SINE(step * 0.1))
        np.testing.assert_allclose(image.get_forces(), expected, atol=1e-12)
        np.testing.assert_allclose(image.calc.results["born_effective_charges"], z_star)
    assert image.get_potential_energy() == pytest.approx(plain.get_property("energy", image))


def test_release_leaves_things_as_they_were():
    atoms = crystal()
    calc = atoms.calc
    dyn = LangevinBAOAB(atoms, 0.1)
    drive(dyn, AMPLITUDE).release()
    assert atoms.calc is calc
    assert "step" not in vars(dyn)
    dyn.run(20)
    other = crystal()
    LangevinBAOAB(other, 0.1).run(20)
    np.testing.assert_array_equal(atoms.positions, other.positions)


def test_release_detaches_what_looks_at_the_drive(tmp_path):
    atoms = crystal()
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, AMPLITUDE, log=tmp_path / "run.log")
    dyn.attach(FieldTrajectory(driven, tmp_path / "run.extxyz"))
    dyn.attach(save_checkpoint, 1, driven, tmp_path / "run.npz")
    dyn.attach(save_checkpoint, 1, driven=driven, path=tmp_path / "other.npz")
    calls = []
    dyn.attach(lambda: calls.append(dyn.nsteps))
    dyn.run(2)
    driven.release()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 4
    dyn.run(3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert calls == [0, 1, 2, 3, 4, 5]


# Refusals and warnings


def test_calculator_without_charges_is_refused():
    atoms = crystal(with_charges=False)
    dyn = VelocityVerlet(atoms, 0.1)
    with pytest.raises(NotImplementedError, match="PolarCrystal does not give 'born_effective_ch"):
        drive(dyn, AMPLITUDE)
    assert isinstance(atoms.calc, PolarCrystal)


@pytest.mark.filterwarnings("error")
def test_field_without_effect_is_reported_after_the_first_step():
    dyn = VelocityVerlet(crystal(), 0.1)
    drive(dyn, AMPLITUDE, born_charges=np.zeros((N, 3, 3)))
    with pytest.raises(UserWarning, match="exerts no force on any atom: check that Z"):
        dyn.run(2)
    with pytest.raises(UserWarning, match="field is zero at all times"):
        drive(VelocityVerlet(crystal(), 0.1), 0 * SINE)


LATE = StepField(AMPLITUDE, start=1e6)


@pytest.mark.parametrize(
    "field",
    [
        lambda time: np.zeros(3),
        LATE,
        GaussianPulse(AMPLITUDE, center=-200.0, width=20.0),
        LATE + (lambda time: np.zeros(3)),
    ],
    ids=["function", "late step", "pulse long ago", "sum"],
)
def test_field_that_was_never_on_is_reported_as_the_run_ends(field):
    atoms = crystal()
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, field)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in dyn.irun(20):
            assert bool(caught) == (dyn.nsteps == 20)
        dyn.run(20)  # once is enough
    (warning,) = caught
    expected = (
        f"zero (never above 1e-09 V/Å) all through this run, which ends at {2 / units.fs:.4g}"
    )
    assert expected in str(warning.message)
    assert abs(driven.work) < 1e-9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("in_python", [False, True])
def test_field_that_starts_later_is_no_reason_to_warn(in_python):
    dyn = VelocityVerlet(crystal(), 0.1)
    field = StepField(AMPLITUDE, start=1.0)
    drive(dyn, (lambda time: field(time)) if in_python else field)
    dyn.run(20)


def test_time_step_too_long_for_the_field_is_refused():
    longest = 1 / (10 * FREQUENCY)
    with pytest.raises(ValueError, match=rf"at most {longest / units.fs:.4g} fs resolves"):
        drive(VelocityVerlet(crystal(), 1.01 * longest), SINE)
    atoms = crystal()
    dyn = Langevin(atoms, 0.99 * longest, temperature_K=0, friction=0.1, fixcm=False)
    drive(dyn, SINE + ConstantField(AMPLITUDE))
    dyn.set_timestep(1.01 * longest)
    with pytest.raises(ValueError, match="too long for this field"):
        dyn.run(1)


@pytest.mark.parametrize("dt", [0.1, 1 / (10 * FREQUENCY), units.fs])
def test_time_step_that_just_resolves_the_field_is_taken(dt):
    rows = [[0, 0, 0.1 * (i % 2)] for i in range(2000)]
    for field in (SineField(AMPLITUDE, frequency=1 / (10 * dt)),
                  TabulatedField(np.arange(2000) * dt, rows)):  # fmt: skip
        drive(VelocityVerlet(crystal(), dt), field)
        with pytest.raises(ValueError, match="too long for this field"):
            drive(VelocityVerlet(crystal(), 1.001 * dt), field)


def test_thermostat_that_is_switched_off_stops_no_charged_cell():
    charged = {"net_charge": 0.5}
    with pytest.raises(ValueError, match="Langevin, as set up, never ends that"):
        drive(
            Langevin(crystal(**charged), 0.1, temperature_K=300, friction=0, fixcm=False), AMPLITUDE
        )
    with pytest.raises(ValueError, match="Andersen, as set up, never ends that"):
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
        with pytest.raises(ValueError, match=r"Z\* sum to 0\.5 e, [^;]* never ends that"):
            drive(make(crystal(net_charge=0.5), 0.1), AMPLITUDE)
    atoms = crystal(net_charge=0.5)
    drive(Langevin(atoms, 0.1, temperature_K=300, friction=0.1, fixcm=False), AMPLITUDE)
    with pytest.warns(UserWarning, match="Bussi may keep the kinetic energy, but does not stop"):
        drive(Bussi(crystal(net_charge=0.5), 0.1, 300, taut=10), AMPLITUDE)
    with pytest.warns(UserWarning, match="NoseHooverChainNVT may keep the kinetic energy"):
        drive(INTEGRATORS["NoseHooverChainNVT"](crystal(net_charge=0.5), 0.1), AMPLITUDE)
    with pytest.raises(ValueError, match="LangevinBAOAB, as set up, never ends that"):
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
        with pytest.raises(ValueError, match="take one that uses forces alone: BFGS"):
            drive(optimizer, AMPLITUDE)


def test_two_fields_at_once_are_refused():
    atoms = crystal()
    drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)
    with pytest.raises(ValueError, match="in a field already; add the fields"):
        drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)
    atoms = crystal()
    atoms.calc.electric_field = AMPLITUDE
    with pytest.raises(ValueError, match="set it to None"):
        drive(VelocityVerlet(atoms, 0.1), AMPLITUDE)


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
    with pytest.raises(ValueError, match="a single number, an envelope"):
        drive(dyn, ConstantField(1.0))
    with pytest.raises(ValueError, match=r"field has shape \(2,\)"):
        drive(dyn, lambda time: [time, 0])
    with pytest.raises(ValueError, match=r"Z\* have shape \(2, 3, 3\); 3 atoms need"):
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


def test_time_agrees_with_that_of_the_dynamics():
    dyn = VelocityVerlet(crystal(), 1 * units.fs)
    driven = drive(dyn, AMPLITUDE)
    dyn.run(7)
    assert driven.time == dyn.get_time() == pytest.approx(7 * units.fs)


# From end to end


def test_energy_minus_work_is_conserved_with_sevennet_and_the_bundled_model():
    sevenn = pytest.importorskip("sevenn.calculator", reason="needs the extra sevennet")
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(0))
    Stationary(atoms)
    atoms.calc = EquivarCalculator(sevenn.SevenNetCalculator("7net-0", device="cpu"), device="cpu")
    dyn = VelocityVerlet(atoms, 1 * units.fs)
    driven = drive(dyn, SineField([0, 0.03, 0.08], frequency=9 * THZ))
    rows = [(atoms.get_total_energy(), driven.work) for _ in dyn.irun(60)]
    energy, work = np.array(rows).T / len(atoms)
    assert np.ptp(work) > 2e-3  # eV/atom
    assert np.ptp(energy - work) < 0.03 * np.ptp(work)
