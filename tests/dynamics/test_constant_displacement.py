"""Constant D: LO modes of phonopy and on paper, exact motion, and the energy that is conserved."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.nptberendsen import NPTBerendsen
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, FIRE
from helpers import random_networks
from helpers.driven_crystal import INTEGRATORS, crystal
from helpers.harmonic_runs import ELECTRONIC
from helpers.polar_crystal import (
    CHARGES,
    HESSIAN,
    MASSES,
    KnowsItsPolarization,
    N,
    PolarCrystal,
    ions,
)
from helpers.polar_phonons import triclinic
from helpers.springs import Springs, stiffness_matrix
from scipy import constants
from scipy.linalg import expm

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive, restore_checkpoint, save_checkpoint
from ase_equivar.fields import ConstantDisplacement, ConstantField

VACUUM = constants.epsilon_0 / constants.e * 1e-10  # ε0 in e/(V Å)
PER_E = constants.e * 1e22  # µC/cm² of one e/Å²
START = np.array([3.0, -5.0, 8.0])  # µC/cm², of the crystal with its atoms at their sites
HELD = np.array([40.0, 25.0, -60.0])
NORMAL = np.array([1.0, -2.0, 0.5]) / np.sqrt(5.25)


def quarter_of_a_period(atoms, field, mode, frequency, born, steps=20):
    """Start at rest in a mode, and return where it is, and how fast, after T/4, by its size."""
    amplitude = 1e-4
    sites = atoms.positions.copy()
    atoms.positions += amplitude * mode
    if isinstance(field, ConstantDisplacement):
        dipole = amplitude * np.einsum("iab,ib->a", born, mode)
        field = replace(field, polarization=dipole / atoms.get_volume() * PER_E)
    dyn = VelocityVerlet(atoms, 250.0 / frequency / steps * units.fs)
    drive(dyn, field, born_charges=born)
    dyn.run(steps)
    omega = 2 * np.pi * frequency * 1e-3 / units.fs
    return (atoms.positions - sites) / amplitude, atoms.get_velocities() / amplitude / omega


@pytest.fixture(scope="module")
def phonon():
    return triclinic()


@pytest.mark.parametrize("direction", [(0, 0, 1), (1, -2, 3)])
@pytest.mark.parametrize("branch", [4, 11])
def test_modes_of_phonopy_with_its_non_analytical_correction(phonon, direction, branch):
    """A crystal without symmetry; D = 0 along q, E = 0 across it."""
    cell = phonon.primitive.cell
    born, tensor = phonon.nac_params["born"], phonon.nac_params["dielectric"]
    phonon.run_qpoints([[0, 0, 0]])
    plain = phonon.qpoints.frequencies[0]
    phonon.run_qpoints([[0, 0, 0]], nac_q_direction=direction, with_eigenvectors=True)
    frequency = phonon.qpoints.frequencies[0, branch]
    mode = phonon.qpoints.eigenvectors[0][:, branch].real.reshape(4, 3)
    mode /= np.sqrt(phonon.primitive.masses)[:, None]
    mode /= np.abs(mode).max()
    assert np.abs(plain - frequency).min() > 0.01 * frequency

    masses = phonon.primitive.masses
    atoms = Atoms(phonon.primitive.symbols, phonon.primitive.positions, cell=cell, pbc=True,
                  masses=masses)  # fmt: skip
    atoms.calc = Springs(atoms, 4.5)
    normal = np.linalg.inv(cell) @ direction
    field = ConstantDisplacement(0.0, dielectric_tensor=tensor, normal=normal)
    place, speed = quarter_of_a_period(atoms, field, mode, frequency, born)
    np.testing.assert_allclose(place, 0, atol=3e-3)
    np.testing.assert_allclose(speed, -mode, atol=3e-3)


CHARGE, TENSOR = 1.086, 2.43
BORN = CHARGE * np.array([np.eye(3), -np.eye(3)])
SALT_FIELDS = {
    "D along z": (ConstantDisplacement(0.0, normal=(0, 0, 2)), "z", "longitudinal"),
    "D in all directions": (ConstantDisplacement((0, 0, 0)), "x", "longitudinal"),
    "D along z, motion along x": (ConstantDisplacement(0.0, normal=(0, 0, 1)), "x", "transverse"),
    "E = 0": (ConstantField((0, 0, 0)), "z", "transverse"),
}


class Salt(Springs):
    implemented_properties = ("energy", "forces", "dielectric_tensor")

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["dielectric_tensor"] = TENSOR * np.eye(3)


@pytest.mark.filterwarnings("ignore:the field")
@pytest.mark.parametrize("name", SALT_FIELDS)
def test_longitudinal_and_transverse_frequencies_of_rock_salt_on_paper(name):
    field, axis, kind = SALT_FIELDS[name]
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    masses = atoms.get_masses()
    reduced = masses.prod() / masses.sum()
    squared = stiffness_matrix(atoms, 4.5)[2, 2] / reduced
    if kind == "longitudinal":
        squared += CHARGE**2 / (VACUUM * TENSOR * atoms.get_volume() * reduced)
    frequency = np.sqrt(squared) / (2 * np.pi) * units.fs * 1e3
    mode = np.zeros((2, 3))
    mode[:, "xyz".index(axis)] = [1, -masses[0] / masses[1]]
    atoms.calc = Salt(atoms, 4.5)
    place, speed = quarter_of_a_period(atoms, field, mode, frequency, BORN)
    np.testing.assert_allclose(place, 0, atol=3e-3)
    np.testing.assert_allclose(speed, -mode, atol=3e-3)


# A crystal of three ions with Z* and ε∞ of no symmetry: exact motion


DURATION = 24.0  # fs


def stiff(normal):
    """(ε0 ε∞)⁻¹ for all directions, or for one."""
    if normal is None:
        return np.linalg.inv(VACUUM * ELECTRONIC)
    return np.outer(normal, normal) / (normal @ ELECTRONIC @ normal * VACUUM)


def exact_positions(duration, normal, held):
    """Solve M u'' = −Φ u + Z*ᵀ (ε0 ε∞)⁻¹ (D − P0 − Z* u/Ω) by a matrix exponential."""
    atoms = ions()
    inverse_mass = np.repeat(1 / np.array(MASSES), 3)[:, None]
    matrix = HESSIAN + CHARGES.T @ stiff(normal) @ CHARGES / atoms.get_volume()
    push = CHARGES.T @ stiff(normal) @ ((held - START) / PER_E)
    n = 3 * N
    system = np.zeros((2 * n + 1, 2 * n + 1))
    system[:n, n : 2 * n] = np.eye(n)
    system[n : 2 * n, :n] = -inverse_mass * matrix
    system[n : 2 * n, -1] = inverse_mass[:, 0] * push
    state = np.concatenate([np.zeros(n), atoms.get_velocities().ravel(), [1]])
    return (expm(duration * units.fs * system) @ state)[:n].reshape(N, 3)


def held_field(normal=None):
    held = HELD if normal is None else HELD @ normal
    return ConstantDisplacement(held, START, ELECTRONIC, normal)


@pytest.mark.parametrize(
    ("integrator", "normal"),
    [("VelocityVerlet", None), ("VelocityVerlet", NORMAL), ("LangevinBAOAB", None)],
    ids=["all", "one direction", "integrator that remembers forces"],
)
def test_second_order_against_the_exact_motion(integrator, normal):
    expected = exact_positions(DURATION, normal, HELD)
    errors = []
    for dt in (0.4, 0.2):
        atoms = crystal()
        dyn = INTEGRATORS[integrator](atoms, dt)
        drive(dyn, held_field(normal))
        dyn.run(round(DURATION / dt))
        errors.append(np.abs(atoms.positions - ions().positions - expected).max())
    assert errors[1] < 3e-3 < 0.1 < np.abs(expected).max()
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.4)


@pytest.mark.parametrize("normal", [None, NORMAL], ids=["all", "one direction"])
def test_energy_with_that_of_the_field_is_conserved_and_the_work_is_its_loss(normal):
    """Z* that change on the way: P is their integral."""
    drifts = []
    for dt in (0.4, 0.2):
        atoms = crystal(quadratic=0.4)
        dyn = VelocityVerlet(atoms, dt * units.fs)
        driven = drive(dyn, held_field(normal))
        rows = []
        for _ in dyn.irun(round(DURATION / dt)):
            rows.append((atoms.get_total_energy(), driven.field_energy, driven.work))
        energy, field, work = (np.array(rows) - rows[0]).T
        drifts.append([np.ptp(energy + field), np.ptp(energy - work)])
        assert np.ptp(field) > 0.3
    assert np.max(drifts[1]) < 0.01
    np.testing.assert_allclose(np.divide(*drifts), 4, atol=0.6)


def test_field_is_that_of_the_polarization_that_the_run_has_reached():
    atoms = crystal(quadratic=0.4)
    dyn = VelocityVerlet(atoms, 0.1 * units.fs)
    driven = drive(dyn, held_field())
    dyn.run(200)
    u = (atoms.positions - ions().positions).ravel()
    dipole = CHARGES @ u + 0.5 * atoms.calc.calculator.gradient @ u @ u
    polarization = START / PER_E + dipole / atoms.get_volume()
    displacement = VACUUM * ELECTRONIC @ driven.electric_field + polarization
    np.testing.assert_allclose(displacement * PER_E, HELD, atol=2e-3)
    assert np.abs(dipole / atoms.get_volume() * PER_E).max() > 5


CELL = ions().cell.lengths()


class PeriodicForces(KnowsItsPolarization):
    """Forces and Z* are those of every periodic image, P is not."""

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        inside = atoms.copy()
        inside.positions -= np.rint((atoms.positions - self.sites) / CELL) * CELL
        super().calculate(inside, properties, system_changes)
        self.atoms = atoms.copy()


def run_with_polarization(field, dt, calculator=KnowsItsPolarization):
    atoms = ions()
    atoms.calc = calculator(quadratic=0.4)
    dyn = VelocityVerlet(atoms, dt * units.fs)
    return drive(dyn, replace(field, source="polarization"))


@pytest.mark.parametrize("normal", [None, NORMAL], ids=["all", "one direction"])
def test_polarization_itself_holds_d_exactly_and_conserves_energy(normal):
    drifts = []
    for dt in (0.4, 0.2):
        driven = run_with_polarization(held_field(normal), dt)
        atoms, rows = driven.atoms, []
        start = atoms.calc.calculator.get_property("polarization", atoms)
        for _ in driven.dynamics.irun(round(DURATION / dt)):
            energy = atoms.get_total_energy()
            rows.append((energy + driven.field_energy, energy - driven.work))
            change = atoms.calc.calculator.get_property("polarization", atoms) - start
            polarization = (START + 100 * change) / PER_E
            excess = VACUUM * ELECTRONIC @ driven.electric_field * PER_E
            excess += polarization * PER_E - HELD
            along = np.eye(3) if normal is None else normal
            np.testing.assert_allclose(along @ excess, 0, atol=1e-6)
        drifts.append(np.ptp(rows, axis=0))
    assert np.abs(change).max() > 0.05
    assert np.max(drifts[1]) < 0.01
    np.testing.assert_allclose(np.divide(*drifts), 4, atol=0.6)


def test_polarization_itself_goes_on_after_a_restart(tmp_path):
    whole = run_with_polarization(held_field(), 0.3)
    whole.dynamics.run(20)
    save_checkpoint(whole, tmp_path / "run.npz")
    whole.dynamics.run(20)
    second = run_with_polarization(held_field(), 0.3)
    second.dynamics.run(1)  # so that it does not begin where the first did
    restore_checkpoint(second, tmp_path / "run.npz")
    second.dynamics.run(20)
    np.testing.assert_array_equal(second.atoms.positions, whole.atoms.positions)
    other = drive(VelocityVerlet(crystal(), 0.3), held_field())
    with pytest.raises(ValueError, match=r"source='polarization'\), but this run has"):
        restore_checkpoint(other, tmp_path / "run.npz")


def test_atoms_wrapped_between_steps_do_not_change_the_polarization(tmp_path):
    """An image of an atom has another dipole: the field jumped to volts per ångström."""
    whole, wrapped = (run_with_polarization(held_field(), 0.3, PeriodicForces) for _ in range(2))
    for _ in range(4):
        whole.dynamics.run(5)
        wrapped.dynamics.run(5)
        np.testing.assert_allclose(wrapped.electric_field, whole.electric_field, atol=1e-9)
        wrapped.atoms.positions += np.diag(CELL)
        save_checkpoint(wrapped, tmp_path / "run.npz")
    second = run_with_polarization(held_field(), 0.3, PeriodicForces)
    restore_checkpoint(second, tmp_path / "run.npz")
    for driven in (whole, second):
        driven.dynamics.run(5)
    np.testing.assert_allclose(second.electric_field, whole.electric_field, atol=1e-9)
    assert np.abs(second.atoms.positions - whole.atoms.positions).max() > 1


@pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")
def test_polar_network_conserves_energy_at_constant_d():
    """To 1e-6 eV per atom; what the field exchanges with the atoms is a hundred times as much."""
    atoms = random_networks.triclinic()[:3]
    atoms.set_masses([2000.0] * 3)
    springs = HarmonicForceField(atoms.copy(), hessian_x=8.0 * np.eye(9))
    network = random_networks.make({**random_networks.POLAR, "interactions": 2})
    atoms.calc = EquivarCalculator(HarmonicCalculator(springs), model=network, dtype="float64")
    field = ConstantDisplacement((0.6, -0.4, 1.0), (0, 0.2, 0), ELECTRONIC, source="polarization")
    dyn = VelocityVerlet(atoms, 1.5 * units.fs)
    driven = drive(dyn, field)
    rows = [
        (atoms.get_total_energy(), atoms.get_total_energy() + driven.field_energy)
        for _ in dyn.irun(40)
    ]
    alone, together = np.ptp(rows, axis=0)
    assert together < 1e-6 * len(atoms) < 0.01 * alone


@pytest.mark.parametrize("optimizer", [BFGS, FIRE])
def test_optimizer_finds_where_the_ions_rest_at_constant_d(optimizer):
    atoms = crystal(velocities=False)
    drive(dyn := optimizer(atoms, logfile=None), held_field())
    assert dyn.run(fmax=1e-7, steps=2000)
    matrix = HESSIAN + CHARGES.T @ stiff(None) @ CHARGES / atoms.get_volume()
    push = CHARGES.T @ stiff(None) @ ((HELD - START) / PER_E)
    expected = (np.linalg.pinv(matrix, rcond=1e-10) @ push).reshape(N, 3)
    np.testing.assert_allclose(atoms.positions - ions().positions, expected, atol=1e-6)
    assert np.abs(expected).max() > 0.05


class WithDielectric(PolarCrystal):
    """Whose ε∞ has other last digits each time that it is made."""

    made = 0
    implemented_properties = (*PolarCrystal.implemented_properties, "dielectric_tensor")

    def get_property(self, name, *args):
        if name == "dielectric_tensor":
            WithDielectric.made += 1
            return ELECTRONIC * (1 + 1e-7 * self.made)
        return super().get_property(name, *args)


def test_a_restored_run_goes_on_bit_by_bit(tmp_path):
    def driven_run():
        atoms = ions()
        atoms.calc = WithDielectric(quadratic=0.4)
        return drive(VelocityVerlet(atoms, 0.3), ConstantDisplacement(HELD, START))

    whole = driven_run()
    whole.dynamics.run(20)
    save_checkpoint(whole, tmp_path / "run.npz")
    whole.dynamics.run(20)
    second = driven_run()
    restore_checkpoint(second, tmp_path / "run.npz")
    second.dynamics.run(20)
    for name in ("work", "field_energy", "electric_field", "dipole_changes"):
        np.testing.assert_array_equal(getattr(second, name), getattr(whole, name))
    np.testing.assert_array_equal(second.atoms.positions, whole.atoms.positions)
    other = drive(VelocityVerlet(crystal(), 0.3), held_field())
    with pytest.raises(ValueError, match="the field of the checkpoint is ConstantDisplacement"):
        restore_checkpoint(other, tmp_path / "run.npz")


def test_what_is_refused():
    dyn = VelocityVerlet(crystal(), 0.1)
    with pytest.raises(PropertyNotImplementedError, match="a polar model; PolarCrystal does not"):
        drive(dyn, replace(held_field(), source="polarization"))
    with pytest.raises(ValueError, match="source is 'berry'; give born_charges or polarization"):
        replace(held_field(), source="berry")
    with pytest.raises(
        PropertyNotImplementedError, match=r"PolarCrystal does not provide 'dielectric_te"
    ):
        drive(dyn, ConstantDisplacement(HELD))
    barostat = NPTBerendsen(crystal(), 0.1, temperature_K=300, pressure_au=0.0,
                            compressibility_au=1.0)  # fmt: skip
    with pytest.raises(ValueError, match="a constant D requires a constant cell"):
        drive(barostat, held_field(), stress_without_field=True)
    molecule = crystal()
    molecule.cell[2] = 0
    molecule.pbc = (True, True, False)
    with pytest.raises(ValueError, match="2 cell vectors; a constant D needs three"):
        drive(VelocityVerlet(molecule, 0.1), held_field())
    with pytest.raises(ValueError, match="field_energy is defined for a ConstantDisplacement only"):
        drive(VelocityVerlet(crystal(), 0.1), [0, 0, 1]).field_energy  # noqa: B018
    with pytest.raises(ValueError, match="dielectric_tensor is None"):
        ConstantDisplacement(HELD).electric_field(START)


def test_atoms_and_cell_stay_what_the_run_made_them():
    dyn = VelocityVerlet(crystal(), 0.1)
    driven = drive(dyn, held_field())
    dyn.run(3)
    driven.atoms.positions[0] += 0.1
    with pytest.raises(RuntimeError, match="the atoms were moved between two steps"):
        dyn.run(1)
    driven.atoms.positions[0] -= 0.1
    driven.atoms.cell[0, 0] *= 1.01
    with pytest.raises(ValueError, match="the cell has changed"):
        driven.electric_field  # noqa: B018
