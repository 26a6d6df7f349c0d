"""Fields that depend on the position, against the equation of motion solved by itself."""

import warnings

import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from helpers.driven_crystal import INTEGRATORS, crystal
from helpers.polar_crystal import CHARGES, HESSIAN, MASSES, N, ions
from scipy.integrate import solve_ivp

from ase_equivar.dynamics import drive, observe, restore_checkpoint, save_checkpoint
from ase_equivar.fields import (
    FieldOfPosition,
    FieldOnAtoms,
    GaussianBeam,
    PlaneWave,
    SineField,
)
from ase_equivar.warning_types import FieldWarning

CELL = np.array([[8.0, 0, 0], [0.7, 8.6, 0], [-0.4, 0.5, 9.2]])
AMPLITUDE = np.array([0.4, -0.3, 0.5])
WAVEVECTOR = 2 * np.pi * np.linalg.inv(CELL) @ [0, 1, 1]
FREQUENCY = 12.0
WAVE = PlaneWave(AMPLITUDE, WAVEVECTOR, frequency=FREQUENCY, phase=0.3)
DURATION = 40.0  # fs
Z_STAR = CHARGES.reshape(3, N, 3).transpose(1, 0, 2)


def large_crystal(**settings):
    atoms = crystal(**settings)
    atoms.set_cell(CELL)
    return atoms


def wave(positions, time):
    """The wave once more, in other words."""
    turned = np.exp(1j * (positions @ WAVEVECTOR + 0.3)) * np.exp(-2e-3j * np.pi * FREQUENCY * time)
    return turned.real[:, None] * AMPLITUDE


def solved(field):
    """Return displacements and the work after DURATION: M u'' = −Φ u + Z*ᵢᵀ E(rᵢ, t)."""
    atoms = ions()
    masses = np.repeat(MASSES, 3)

    def derivative(time, state):
        u, v = state[:9], state[9:18]
        here = atoms.positions + u.reshape(N, 3)
        push = np.array([Z_STAR[i].T @ field(here, time / units.fs)[i] for i in range(N)]).ravel()
        return [*v, *((push - HESSIAN @ u) / masses), push @ v]

    start = [*np.zeros(9), *atoms.get_velocities().ravel(), 0.0]
    found = solve_ivp(derivative, (0, DURATION * units.fs), start, rtol=1e-9, atol=1e-11)
    return found.y[:9, -1].reshape(N, 3), found.y[-1, -1]


@pytest.mark.parametrize("integrator", ["VelocityVerlet", "LangevinBAOAB"])
def test_motion_and_work_in_a_wave_to_second_order(integrator):
    expected, work = solved(wave)
    errors = []
    for dt in (0.5, 0.25):
        atoms = large_crystal()
        dyn = INTEGRATORS[integrator](atoms, dt)
        driven = drive(dyn, WAVE)
        dyn.run(round(DURATION / dt))
        moved = atoms.positions - ions().positions
        errors.append((np.abs(moved - expected).max(), abs(driven.work - work)))
    assert errors[1][0] < 3e-3 < 0.1 < np.abs(expected).max()
    assert errors[1][1] < 5e-3 < 0.05 < abs(work)
    np.testing.assert_allclose(np.divide(*errors), 4, atol=0.5)


def test_energy_minus_work_is_conserved_with_charges_that_change():
    drifts = []
    for dt in (0.5, 0.25):
        atoms = large_crystal(quadratic=0.4)
        dyn = VelocityVerlet(atoms, dt * units.fs)
        driven = drive(dyn, WAVE)
        rows = [(atoms.get_total_energy(), driven.work) for _ in dyn.irun(round(DURATION / dt))]
        energy, work = np.array(rows).T
        drifts.append(np.ptp(energy - work))
    assert 10 * drifts[1] < 0.1 < np.ptp(work)
    assert drifts[0] / drifts[1] == pytest.approx(4, abs=0.4)


def test_forces_and_fields_of_each_atom_and_their_mean_in_the_log():
    atoms = large_crystal()
    driven = drive(VelocityVerlet(atoms, 0.1), WAVE, start_time=7.0)
    field = wave(atoms.positions, 7.0)
    np.testing.assert_allclose(driven.fields_on_atoms, field, atol=1e-14)
    np.testing.assert_allclose(driven.field_forces, np.einsum("iab,ia->ib", Z_STAR, field))
    np.testing.assert_allclose(observe(driven).electric_field, field.mean(axis=0))
    driven.release()
    assert not driven.fields_on_atoms.any()


def test_atoms_that_have_left_the_cell_are_counted_where_they_come_in():
    beam = GaussianBeam(AMPLITUDE, center=CELL.sum(axis=0) / 2, direction=CELL[2], waist=1.2)
    fields = []
    for shift in ([0, 0, 0], [3, -2, 1]):
        atoms = large_crystal()
        atoms.positions += CELL.sum(axis=0) / 2.5 + shift @ CELL
        fields.append(drive(VelocityVerlet(atoms, 0.1), beam).fields_on_atoms)
    np.testing.assert_allclose(*fields, atol=1e-12)
    assert np.abs(fields[0]).max() > 0.1


def test_a_field_on_some_atoms_pulls_no_other():
    atoms = large_crystal()
    field = SineField(AMPLITUDE, frequency=FREQUENCY, phase=0.5)
    driven = drive(dyn := VelocityVerlet(atoms, 0.2), FieldOnAtoms(field, [2, 0]))
    expected = np.einsum("iab,a->ib", Z_STAR, field(0.0)) * [[1], [0], [1]]
    np.testing.assert_allclose(driven.field_forces, expected)
    before = atoms.get_total_energy()
    dyn.run(50)
    assert atoms.get_total_energy() - before == pytest.approx(driven.work, abs=2e-3)
    assert abs(driven.work) > 0.05
    driven.release()
    both = FieldOnAtoms(WAVE, [1])
    found = drive(VelocityVerlet(atoms, 0.2), both).fields_on_atoms
    np.testing.assert_allclose(found[1], wave(atoms.positions, 0.0)[1])
    assert not found[[0, 2]].any()


def test_a_wave_that_does_not_fit_the_cell_is_told():
    broken = 0.4 * 2 * np.pi * np.linalg.inv(CELL)[:, 1]
    with pytest.warns(FieldWarning, match=r"jumps by up to .* the faces of the cell along b"):
        drive(VelocityVerlet(large_crystal(), 0.1), PlaneWave(AMPLITUDE, broken))
    slab = large_crystal()
    slab.pbc = [True, False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drive(VelocityVerlet(large_crystal(), 0.1), WAVE)
        drive(VelocityVerlet(slab, 0.1), PlaneWave(AMPLITUDE, broken))


def test_what_is_refused():
    def attempt(field, dyn=VelocityVerlet, step=0.1):
        drive(dyn(large_crystal(), step) if step else dyn(large_crystal()), field)

    for value, told in ((np.zeros(3), r"shape \(3,\), not \(3, 3\)"), (np.nan, "shape"),
                        (np.full((N, 3), np.nan), "not finite")):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            attempt(FieldOfPosition(lambda positions, time, value=value: value))
    with pytest.raises(TypeError, match=r"for E\(r, t\) give the whole field as a FieldOfPosition"):
        attempt(wave)
    with pytest.raises(ValueError, match=r"shape .*; for a field that depends on the position"):
        attempt(lambda time: np.zeros((N, 3)))
    with pytest.raises(ValueError, match="indices go up to 3, but there are 3 atoms"):
        attempt(FieldOnAtoms(AMPLITUDE, [3]))
    with pytest.raises(ValueError, match="too long for this field"):
        attempt(WAVE, step=9 * units.fs)
    with pytest.raises(ValueError, match="has no time"):
        attempt(WAVE, BFGS, step=None)


FUNCTION = FieldOfPosition(wave)
OTHERS = {
    "wave": (WAVE, PlaneWave(AMPLITUDE, WAVEVECTOR, FREQUENCY, 0.31)),
    "function": (FUNCTION, FieldOfPosition(lambda r, t: wave(r + 0.001, t))),
    "atoms": (FieldOnAtoms(WAVE, [0, 1]), FieldOnAtoms(WAVE, [0, 2])),
    "function on atoms": (FieldOnAtoms(FUNCTION, [0, 1]), FieldOnAtoms(FUNCTION, [0, 2])),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_knows_its_field(name, tmp_path):
    def driven_run(field):
        return drive(VelocityVerlet(large_crystal(), 0.2), field)

    own, other = OTHERS[name]
    whole = driven_run(own)
    whole.dynamics.run(5)
    save_checkpoint(whole, tmp_path / "run.npz")
    whole.dynamics.run(5)
    second = driven_run(own)
    restore_checkpoint(second, tmp_path / "run.npz")
    second.dynamics.run(5)
    np.testing.assert_array_equal(second.atoms.positions, whole.atoms.positions)
    assert second.work == whole.work
    with pytest.raises(ValueError, match=r"checkpoint (is|belongs)"):
        restore_checkpoint(driven_run(other), tmp_path / "run.npz")
