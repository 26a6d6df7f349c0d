"""MD in a field against exact motion: order in the time step, work, reversal, times."""

import numpy as np
import pytest
from ase import units
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nptberendsen import NPTBerendsen
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, FIRE, LBFGS, MDMin
from helpers.driven_crystal import (
    AMPLITUDE,
    DURATION,
    FREQUENCY,
    FROM_REST,
    HUGE,
    INTEGRATORS,
    SINE,
    crystal,
)
from helpers.polar_crystal import (
    CHARGES,
    MASSES,
    N,
    exact_displacements,
    ions,
    static_displacements,
)
from scipy.integrate import trapezoid

from ase_equivar.dynamics import drive
from ase_equivar.fields.waveforms import StepField


def error_after(integrator, dt, field, expected, velocities):
    atoms = crystal(velocities)
    dyn = INTEGRATORS[integrator](atoms, dt)
    drive(dyn, field, stress_without_field=True)
    dyn.run(round(DURATION / dt))
    return np.abs(atoms.positions - ions().positions - expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("name", INTEGRATORS)
def test_second_order_against_the_exact_motion_in_a_sine(name):
    expected = exact_displacements(ions(), [DURATION], AMPLITUDE, FREQUENCY, phase=0.6)[0]
    coarse, fine = (error_after(name, dt, SINE, expected, True) for dt in (0.8, 0.4))
    assert fine < 3e-3 < 0.05 < np.abs(expected).max()
    assert coarse / fine == pytest.approx(4, abs=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FROM_REST)
def test_second_order_from_rest_when_the_field_jumps_up_later(name):
    # At rest no position tells the beginning of a step from its end.
    start = DURATION / 3
    omega_t = exact_displacements(ions(False), [DURATION - start], AMPLITUDE, 1e-7, np.pi / 2)
    field = StepField(AMPLITUDE, start=start)
    coarse, fine = (error_after(name, dt, field, omega_t[0], False) for dt in (0.8, 0.4))
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


@pytest.mark.slow
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
    for time in (0.0, 2.0 / units.fs):
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
    dyn = Langevin(atoms, 0.5 * units.fs, temperature_K=0, friction=1e-14, fixcm=False)
    driven = drive(dyn, SINE)
    dyn.run(100)
    dyn.set_timestep(0.25 * units.fs)
    dyn.updatevars()
    dyn.run(280)
    assert driven.time == pytest.approx(DURATION)
    expected = exact_displacements(ions(), [DURATION], AMPLITUDE, FREQUENCY, phase=0.6)[0]
    np.testing.assert_allclose(atoms.positions - ions().positions, expected, atol=3e-3)


def test_forces_that_are_none_are_not_given():
    """A step that asks for forces itself has those of its start first."""
    works = []
    for arguments in ((), (None,)):
        dyn = VelocityVerlet(crystal(), 0.1)
        driven = drive(dyn, SINE)
        for _ in range(100):
            dyn.step(*arguments)
        works.append(driven.work)
    assert works[0] == works[1]
    assert abs(works[0]) > 1e-3


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
    dyn = Leapfrog(crystal(), 0.1 * units.fs)
    first, second = times_asked_for(dyn, 2)
    np.testing.assert_allclose(first, [0.0, 0.1])
    np.testing.assert_allclose(second, [0.2])


def test_scaling_of_the_cell_is_not_taken_for_the_motion_of_the_step():
    atoms = crystal()
    dyn = NPTBerendsen(atoms, 0.1 * units.fs, temperature_K=300, pressure_au=0.02, taut=HUGE,
                       taup=0.1, compressibility_au=1.0)  # fmt: skip
    volume = atoms.get_volume()
    first, second = times_asked_for(dyn, 2)
    assert abs(atoms.get_volume() / volume - 1) > 1e-4
    np.testing.assert_allclose(first, [0.0, 0.1])
    np.testing.assert_allclose(second, [0.1, 0.2])


# Work


def balance(dt, quadratic, rotational=0.0):
    """Return E_total − W against its start, eV, and what it is exactly for velocity Verlet."""
    atoms = crystal(quadratic=quadratic, rotational=rotational)
    dyn = VelocityVerlet(atoms, dt * units.fs)
    driven = drive(dyn, SINE)
    rows = []
    for _ in dyn.irun(round(4 * DURATION / dt)):
        squares = ((atoms.get_forces() ** 2).sum(axis=1) / MASSES).sum()
        rows.append((atoms.get_total_energy(), driven.work, dyn.dt**2 / 8 * squares))
    energy, work, expected = np.array(rows).T
    return energy - energy[0] - work, expected - expected[0], work


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quadratic", "rotational"),
    [(0, 0), (0.4, 0), (0.2, 0.3)],
    ids=["fixed", "moving", "loop_residual"],
)
def test_energy_minus_work_is_conserved_to_second_order(quadratic, rotational):
    coarse, expected, work = balance(1.0, quadratic, rotational)
    np.testing.assert_allclose(coarse, expected, atol=1e-11)
    assert np.abs(work).max() > 0.05 > 10 * np.abs(coarse).max()
    fine = balance(0.5, quadratic, rotational)[0]
    assert np.abs(coarse).max() / np.abs(fine).max() == pytest.approx(4, abs=0.3)


def test_work_against_the_integral_along_the_exact_motion():
    times = np.linspace(0, DURATION, 4001)
    path = exact_displacements(ions(), times, AMPLITUDE, FREQUENCY, phase=0.6).reshape(-1, 3 * N)
    force = np.array([SINE(time) for time in times]) @ CHARGES
    power = (force * np.gradient(path, times, axis=0, edge_order=2)).sum(axis=1)
    exact = trapezoid(power, times)
    found = []
    for dt in (0.8, 0.4):
        dyn = VelocityVerlet(crystal(), dt * units.fs)
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


def test_time_agrees_with_that_of_the_dynamics():
    dyn = VelocityVerlet(crystal(), 1 * units.fs)
    driven = drive(dyn, AMPLITUDE)
    dyn.run(7)
    assert driven.time == pytest.approx(dyn.get_time() / units.fs) == pytest.approx(7.0)
