"""Z* and caches in a field, the cost of a step, and the way back."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.io import read
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from helpers.driven_crystal import AMPLITUDE, DURATION, FREQUENCY, SINE, crystal
from helpers.polar_crystal import N, PolarCrystal, exact_displacements, ions
from helpers.toy_network import ToyNetwork

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import FieldTrajectory, drive, save_checkpoint
from ase_equivar.fields import field_forces
from ase_equivar.fields.waveforms import SineField


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


@pytest.mark.parametrize("interval", [1, 5])
def test_a_look_at_other_positions_does_not_change_the_run(interval):
    """Of these or of a copy: Z* of another place took the place of those kept."""
    positions, reports = [], []
    for looks in (False, True):
        atoms = crystal(quadratic=0.4)
        dyn = VelocityVerlet(atoms, 0.1)
        driven = drive(dyn, SINE, update_interval=interval)

        def look(atoms=atoms):
            atoms.positions[0] += 0.3
            atoms.get_forces()
            atoms.positions[0] -= 0.3
            other = atoms.copy()
            other.calc = atoms.calc
            other.positions[1] -= 0.3
            other.get_forces()

        if looks:
            dyn.attach(look)
        dyn.run(20)
        positions.append(atoms.positions)
        reports.append((driven.refresh_report.refreshes, driven.work))
    np.testing.assert_allclose(*positions, atol=1e-12)
    np.testing.assert_allclose(*reports, rtol=1e-9)


def test_charges_kept_for_some_steps_and_the_error_of_it():
    atoms = crystal(quadratic=0.4)
    calc = atoms.calc
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, SINE, update_interval=4)
    errors, kept = [], calc.born_charges(atoms.positions)
    for step, _ in enumerate(dyn.irun(20)):
        new = calc.born_charges(atoms.positions)
        if step % 4 == 0 and step:
            errors.append(field_forces(new - kept, SINE(step * 0.1 / units.fs)))
        kept = new if step % 4 == 0 else kept
        np.testing.assert_allclose(
            driven.field_forces, field_forces(kept, SINE(step * 0.1 / units.fs))
        )
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
    dyn = VelocityVerlet(atoms, 0.4 * units.fs)
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
        expected = plain.get_property("forces", image) + field_forces(
            z_star, SINE(step * 0.1 / units.fs)
        )
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
    assert driven.electric_field.any()
    driven.release()
    np.testing.assert_array_equal(driven.electric_field, 0)
    np.testing.assert_array_equal(driven.field_forces, np.zeros((N, 3)))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 4
    dyn.run(3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert calls == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_energy_minus_work_is_conserved_with_sevennet_and_the_bundled_model():
    sevenn = pytest.importorskip("sevenn.calculator", reason="needs the extra sevennet")
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(0))
    Stationary(atoms)
    atoms.calc = EquivarCalculator(sevenn.SevenNetCalculator("7net-0", device="cpu"), device="cpu")
    dyn = VelocityVerlet(atoms, 1 * units.fs)
    driven = drive(dyn, SineField([0, 0.03, 0.08], frequency=9))
    rows = [(atoms.get_total_energy(), driven.work) for _ in dyn.irun(60)]
    energy, work = np.array(rows).T / len(atoms)
    assert np.ptp(work) > 2e-3  # eV/atom
    assert np.ptp(energy - work) < 0.03 * np.ptp(work)


class Bound(Calculator):
    """Ions bound to their sites, with charges by element; both scale with the setting `k`."""

    implemented_properties = ("energy", "forces", "born_effective_charges")
    default_parameters = {"k": 1.0}  # noqa: RUF012
    discard_results_on_any_change = True

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        k, positions = self.parameters["k"], self.atoms.positions
        charges = k * np.where(self.atoms.numbers == 3, 1.0, -1.0)[:, None, None] * np.eye(3)
        energy = 0.5 * k * float((positions**2).sum())
        self.results = {
            "energy": energy,
            "forces": -k * positions,
            "born_effective_charges": charges,
        }


def bound_pair():
    return Atoms(
        "LiBr", [[0.1, 0, 0.3], [2, 1, 1.2]], cell=[5, 5.5, 6], pbc=True, calculator=Bound()
    )


def swap_elements(atoms, _):
    atoms.numbers[:] = atoms.numbers[::-1].copy()


def set_stiffness(_, calculator):
    calculator.set(k=2.0)


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("asks_for_energy_first", [False, True])
@pytest.mark.parametrize("is_separate", [False, True])
@pytest.mark.parametrize("interval", [1, 10])
@pytest.mark.parametrize("change", [swap_elements, set_stiffness])
def test_changes_between_runs_act_at_once(
    change, interval, is_separate, asks_for_energy_first, moves
):
    atoms = bound_pair()
    calculator = atoms.calc
    source = Bound() if is_separate else calculator
    driven = drive(
        VelocityVerlet(atoms, 0.5 * units.fs),
        AMPLITUDE,
        update_interval=interval,
        born_charges=source if is_separate else None,
    )
    driven.dynamics.run(3)
    change(atoms, calculator)
    change(atoms.copy(), source)
    if moves:
        atoms.positions[0] += 0.01
    if asks_for_energy_first:
        atoms.get_potential_energy()
    fresh = atoms.copy()
    fresh.calc = Bound(**calculator.parameters)
    of_field = field_forces(fresh.calc.get_property("born_effective_charges", fresh), AMPLITUDE)
    np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces() + of_field, atol=1e-12)
    np.testing.assert_allclose(driven.field_forces, of_field, atol=1e-12)
    assert atoms.get_potential_energy() == fresh.get_potential_energy()


class KeepsNothing(Bound):
    """Says at all times that everything has changed, as ASE's do without a cache."""

    def check_state(self, atoms, tol=1e-15):
        return list(all_changes)


def test_a_calculator_that_keeps_nothing_is_asked_once_in_a_step(monkeypatch):
    atoms = bound_pair()
    atoms.calc = KeepsNothing()
    calls = []
    calculate = Bound.calculate
    monkeypatch.setattr(
        Bound, "calculate", lambda self, *rest: (calls.append(rest[1]), calculate(self, *rest))
    )
    drive(dyn := VelocityVerlet(atoms, 0.5 * units.fs), AMPLITUDE, update_interval=10)
    dyn.run(9)
    assert calls.count(["forces"]) == 10
    assert calls.count(["born_effective_charges"]) == 1
