"""Ready experiments in a field, each against what is known exactly for a small toy system."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from helpers.double_well import CHARGE, COERCIVE, CURVATURE, MINIMUM, QUARTIC, ferroelectric
from helpers.polar_crystal import CHARGES, HESSIAN, MASSES, N, PolarCrystal, ions
from helpers.told_warnings import IGNORED
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from scipy.integrate import solve_ivp, trapezoid

from ase_equivar import dielectric as di
from ase_equivar.dynamics.experiments.drift import BLOCKS, IonDrift, _rate, ion_drift
from ase_equivar.dynamics.experiments.finite_field import finite_field_dielectric
from ase_equivar.dynamics.experiments.hysteresis_loop import HysteresisLoop, hysteresis
from ase_equivar.dynamics.experiments.pulse import pulse_response
from ase_equivar.dynamics.experiments.thermal_run import MDSettings, field_run
from ase_equivar.fields.waveforms import GaussianPulse, TriangleField
from ase_equivar.phonons import apply_nac
from ase_equivar.units import CM2_PER_VS, VACUUM_PERMITTIVITY

EPSILON_INFINITY = np.array([[3.1, 0.2, -0.1], [0.2, 2.7, 0.3], [-0.1, 0.3, 4.2]])


def crystal():
    atoms = ions(velocities=False)
    atoms.calc = PolarCrystal()
    return atoms


def exact_ionic(volume):
    return CHARGES @ np.linalg.pinv(HESSIAN, rcond=1e-10) @ CHARGES.T / volume / VACUUM_PERMITTIVITY


def phonopy_of_the_crystal():
    atoms = ions()
    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell.array,
        masses=MASSES,
    )  # fmt: skip
    phonon = Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=np.eye(3), is_symmetry=False)
    phonon.force_constants = HESSIAN.reshape(N, 3, N, 3).swapaxes(1, 2)
    return apply_nac(phonon, (PolarCrystal().born_charges(atoms.positions), EPSILON_INFINITY))


# Hysteresis

COLD = MDSettings(temperature=0.0, timestep=5.0, friction=0.02)
MICROCOULOMB = 1602.176634  # µC/cm² in 1 |e|/Å²


PERIOD = 6000.0  # fs


def exact_loop(amplitude, period):
    """Coercive field and work per period, from the equation of motion of the distance, to 1e-9."""
    wave = TriangleField(amplitude, period=period)
    inverse_mass = (1 / ferroelectric().get_masses()).sum() * units.fs**2  # times in fs

    def rates(time, state):
        u, speed, _ = state
        force = CURVATURE * u - QUARTIC * u**3 + CHARGE * float(wave(time))
        work_rate = CHARGE * float(wave(time)) * speed
        return [speed, inverse_mass * force - COLD.friction * speed, work_rate]

    times = np.linspace(period, 2 * period, 6001)
    motion = solve_ivp(
        rates, (0, 2 * period), [MINIMUM, 0, 0], t_eval=times, rtol=1e-9, atol=1e-9, max_step=10.0
    )
    crossings = np.flatnonzero(np.diff(np.sign(motion.y[0])))
    coercive = np.abs([float(wave(times[i])) for i in crossings]).mean()
    return coercive, motion.y[2, -1] - motion.y[2, 0]


@pytest.mark.slow
def test_hysteresis_of_a_double_well():
    loop = hysteresis(ferroelectric(), [0, 0, 2 * COERCIVE], PERIOD, periods=1, md_settings=COLD)
    volume = ferroelectric().get_volume()
    assert loop.remanent_polarization == pytest.approx(
        MICROCOULOMB * CHARGE * MINIMUM / volume, rel=1e-2
    )
    expected, work = exact_loop(2 * COERCIVE, PERIOD)
    assert loop.coercive_field == pytest.approx(expected, rel=0.01)
    assert COERCIVE < expected < 1.4 * COERCIVE  # at any finite speed it comes late
    assert loop.loss * volume == pytest.approx(work, rel=3e-4)
    enclosed = trapezoid(loop.field, loop.polarization) / MICROCOULOMB  # of the points kept
    assert loop.loss == pytest.approx(enclosed, rel=1e-3)
    np.testing.assert_allclose([loop.field[0], loop.field[-1]], 0, atol=1e-12)
    assert loop.field.max() == pytest.approx(2 * COERCIVE)


@pytest.mark.slow
@pytest.mark.parametrize("period", [2010.0, 3000.0, 3330.0, 214.0])
def test_tips_of_the_wave_are_observed(period):
    loop = hysteresis(ferroelectric(), [0, 0, 2 * COERCIVE], period, periods=1, md_settings=COLD)
    assert loop.field.max() == pytest.approx(2 * COERCIVE, rel=1e-9)
    assert loop.field.min() == pytest.approx(-2 * COERCIVE, rel=1e-9)
    taken = loop.run.times[-1] / 2
    assert -1e-8 <= taken - period < 4 * COLD.timestep
    assert period != 3000.0 or taken == pytest.approx(period)


@pytest.mark.slow
def test_noise_does_not_widen_a_loop() -> None:
    """The last zero of a noisy P was always on the side that adds to the coercive field."""
    phase = np.arange(401) / 400
    field = 0.2 * (1 - np.abs((4 * phase + 1) % 4 - 2))
    rng = np.random.default_rng(0)
    run = None  # not looked at
    for half_width in (0.0, 0.05):  # of a loop that is a parallelogram, V/Å
        rising = np.gradient(field) >= 0
        clean = 100 * np.clip(field + np.where(rising, -half_width, half_width), -0.1, 0.1)
        found = [
            HysteresisLoop(field, clean + rng.normal(scale=2, size=401), 0.0, run).coercive_field
            for _ in range(200)
        ]
        assert abs(np.mean(found) - half_width) < 4 * np.std(found) / np.sqrt(200) + 1e-3
        assert np.std(found) < 0.02


@pytest.mark.slow
def test_loop_below_the_coercive_field_does_not_switch():
    loop = hysteresis(ferroelectric(), [0, 0, 0.7 * COERCIVE], 3000.0, md_settings=COLD)
    volume = ferroelectric().get_volume()
    assert loop.remanent_polarization < 0.1 * MICROCOULOMB * CHARGE * MINIMUM / volume
    assert loop.loss < 0.05 * COERCIVE * CHARGE * MINIMUM / volume


# Drift

BORN = {"Li": np.diag([1.1, 0.9, 1.3]), "O": np.diag([-1.1, -0.9, -1.3]), "P": np.zeros((3, 3))}
BORN["Li"][2, 0] = 0.25  # a field along z pulls along x
BORN["O"][2, 0] = -0.25


class FreeIons(Calculator):
    implemented_properties = ("energy", "forces", "born_effective_charges")

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {
            "energy": 0.0,
            "forces": np.zeros((len(self.atoms), 3)),
            "born_effective_charges": np.array([BORN[s] for s in self.atoms.symbols]),
        }


def free_ions(pairs=1):
    atoms = Atoms("LiO" * pairs, positions=np.zeros((2 * pairs, 3)), cell=[9, 9, 9], pbc=True)
    atoms.calc = FreeIons()
    return atoms


FRICTION = 0.02  # 1/fs
TO_FS = units.fs**2  # of an acceleration, from ASE's unit to Å/fs²
BY_DRAG = TO_FS * (1 / free_ions().get_masses()).sum() / FRICTION  # Å²/(V fs)


def test_drift_is_that_against_the_rest_of_the_crystal():
    # No friction and no thermostat: each ion is accelerated by its own force.
    atoms = Atoms("Li3PO", positions=np.zeros((5, 3)), cell=[9, 9, 9], pbc=True)
    atoms.calc = FreeIons()
    charges = {"Li": 1.0, "P": -2.0, "O": -1.0}
    md_settings = MDSettings(temperature=0.0, timestep=1.0, friction=0.0)
    found = ion_drift(
        atoms, [0, 0, 0.02], "Li", 200.0, born_charges=charges, md_settings=md_settings
    )
    li, p, o = atoms.get_masses()[[0, 3, 4]]
    relative = TO_FS * 0.02 * (1.0 / li + 3.0 / (p + o))
    np.testing.assert_allclose(found.displacement[-1], [0, 0, 0.5 * relative * 200.0**2])
    np.testing.assert_allclose(found.velocity, [0, 0, 0.5 * relative * 200.0])
    assert abs(found.run.displacement["Li"][-1, 2]) < 0.8 * found.displacement[-1, 2]


def test_drift_is_that_against_the_center_of_mass_of_isotopes():
    atoms = Atoms("Li3PO2", positions=np.zeros((6, 3)), cell=[9, 9, 9], pbc=True)
    masses = np.array([6.0, 6.0, 7.0, 31.0, 16.0, 400.0])
    atoms.set_masses(masses)
    atoms.calc = FreeIons()
    found = ion_drift(
        atoms,
        [0, 0, 0.02],
        "Li",
        50.0,
        born_charges={"Li": 1.0, "P": -1.0, "O": -1.0},
        md_settings=MDSettings(temperature=0.0, timestep=1.0, friction=0.0),
    )
    relative = TO_FS * 0.02 * ((1 / masses[:3]).mean() + 3 / masses[3:].sum())
    np.testing.assert_allclose(found.displacement[-1], [0, 0, 0.5 * relative * 50.0**2])
    np.testing.assert_allclose(found.velocity, [0, 0, 0.5 * relative * 50.0])


def test_a_finished_run_answers_for_every_species(tmp_path):
    """It kept the displacement relative to the species of its first call."""
    atoms = Atoms("Li3PO2", positions=np.zeros((6, 3)), cell=[9, 9, 9], pbc=True)
    atoms.set_masses([6.0, 6.0, 7.0, 31.0, 16.0, 400.0])
    atoms.calc = FreeIons()
    options = {
        "born_charges": {"Li": 1.0, "P": -1.0, "O": -1.0},
        "md_settings": MDSettings(temperature=0.0, timestep=1.0, friction=0.0),
    }
    arguments = (atoms, [0, 0.01, 0.02])
    ion_drift(*arguments, "Li", 50.0, folder=tmp_path / "run", **options)
    for species in ("O", "P", "Li"):
        found = ion_drift(*arguments, species, 50.0, folder=tmp_path / "run", **options)
        expected = ion_drift(*arguments, species, 50.0, **options)
        np.testing.assert_allclose(found.displacement, expected.displacement, atol=1e-9)
        assert abs(expected.displacement[-1, 2]) > 0.005


def test_what_a_killed_checkpoint_leaves_is_removed(tmp_path):
    atoms = Atoms("LiO", positions=np.zeros((2, 3)), cell=[9, 9, 9], pbc=True)
    atoms.calc = FreeIons()
    (tmp_path / ".run.123.partial.npz").write_bytes(b"half of it")
    (tmp_path / ".run.123.partial.json").write_bytes(b"{")
    charges = {"Li": 1.0, "O": -1.0}
    md_settings = MDSettings(temperature=0.0, friction=0.0)
    ion_drift(
        atoms, [0, 0, 0.02], "Li", 20.0, born_charges=charges, md_settings=md_settings,
        folder=tmp_path,
    )  # fmt: skip
    assert {file.name for file in tmp_path.iterdir()} == {
        "run.json", "run.log", "run.npz",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("nominal", [None, {"Li": 1.0, "O": -1.0}])
def test_drift_of_ions_in_a_viscous_medium(nominal):
    field = np.array([0.0, 0.0, 0.02])
    md_settings = MDSettings(temperature=0.0, timestep=1.0, friction=FRICTION)
    found = ion_drift(
        free_ions(),
        field,
        "Li",
        200.0,
        born_charges=nominal,
        equilibration=1000.0,
        md_settings=md_settings,
    )
    z_star = BORN["Li"] if nominal is None else np.eye(3)
    velocity = field @ z_star * BY_DRAG  # of the lithium and, against it, of the oxygen
    np.testing.assert_allclose(found.velocity, velocity, rtol=1e-3)
    expected = 0.1 * z_star[2, 2] * BY_DRAG  # 1 Å²/(V fs) is 0.1 cm²/(V s)
    assert found.mobility == pytest.approx(expected, rel=1e-3)
    assert found.mean_charge == pytest.approx(z_star[2, 2])
    assert found.mobility_error < 1e-3 * found.mobility


@pytest.mark.slow
def test_mobility_agrees_within_its_error_at_a_temperature():
    md_settings = MDSettings(temperature=300.0, timestep=2.0, friction=FRICTION, seed=4)
    found = ion_drift(
        free_ions(20), [0, 0, 0.05], "Li", 4000.0, equilibration=200.0, md_settings=md_settings
    )
    expected = 0.1 * BORN["Li"][2, 2] * BY_DRAG
    assert 0 < found.mobility_error < 0.3 * expected
    assert abs(found.mobility - expected) < 4 * found.mobility_error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.6e-5, 2e-4, "(0 ± 2)·10⁻⁴ cm²/(V s)"),
        (1.634e-5, 2.3e-7, "(1.63 ± 0.02)·10⁻⁵ cm²/(V s)"),
        (-3.21, 0.14, "(-3.21 ± 0.14) cm²/(V s)"),
        (3214.0, 200.0, "(3200 ± 200) cm²/(V s)"),
        (0.0123, 0.0, "0.0123 cm²/(V s)"),
    ],
)
def test_mobility_is_written_to_the_digits_that_its_error_leaves(value, error, text):
    found = IonDrift(
        "Li", np.array([0, 0, 1.0]), None, np.zeros((1, 3)), np.array([0, 0, value]) * CM2_PER_VS,
        np.diag([0, 0, (error * CM2_PER_VS) ** 2]), 1.0,
    )  # fmt: skip
    assert found.mobility_text == text


def test_error_of_the_mobility_does_not_depend_on_the_axes():
    """Rates along the axes follow from the same blocks, and are not independent."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    rates = np.random.default_rng(1).normal(size=(BLOCKS, 3))
    times = np.arange(BLOCKS + 1.0)
    steps = np.concatenate([np.zeros((1, 3)), np.cumsum(rates, axis=0)])
    errors = []
    for axes in (np.eye(3), turn):
        velocity, covariance = _rate(times, steps @ axes.T)
        field = axes @ [0.01, 0.0, 0.02]
        errors.append(IonDrift("Li", field, None, steps, velocity, covariance, 1.0).mobility_error)
    along = rates @ np.array([1, 0, 2]) / np.sqrt(5)
    expected = along.std(ddof=1) / np.sqrt(BLOCKS) / np.linalg.norm(field) / CM2_PER_VS
    assert errors == pytest.approx([expected] * 2)


def test_unit_of_mobility_by_hand():
    # 1 cm/s in a field of 1 V/cm: 1e8 Å in 1e15 fs, in 1e-8 V/Å
    assert pytest.approx((1e8 / 1e15) / 1e-8) == CM2_PER_VS


# Pulse


@pytest.mark.slow
def test_weak_pulse_gives_the_dielectric_function_of_the_phonons():
    damping = 1.5  # THz, full width at half maximum
    md_settings = MDSettings(temperature=0.0, timestep=0.5, friction=2 * np.pi * 1e-3 * damping)
    axis = np.array([0.6, 0.0, 0.8])
    pulse = GaussianPulse(1e-3 * axis, center=80.0, width=16.0, frequency=15.0)
    found = pulse_response(crystal(), pulse, 1500.0, md_settings=md_settings)
    modes = di.infrared_modes(phonopy_of_the_crystal())
    exact = di.dielectric_function(modes, damping, found.frequencies)
    expected = (exact.epsilon - EPSILON_INFINITY) @ axis
    assert len(found.frequencies) > 20
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.susceptibility, expected, atol=0.02 * scale)
    assert np.abs(found.susceptibility.imag).max() > 0.3 * scale
    assert found.remaining < 0.02


@pytest.mark.slow
@pytest.mark.filterwarnings("error", IGNORED)
def test_pulse_that_leaves_polarization_behind_is_reported():
    pulse = GaussianPulse([0.0, 0.05, 0.1], center=80.0, width=16.0, frequency=15.0)
    with pytest.raises(UserWarning, match=r"at the end \d+% of the largest polarization remains"):
        pulse_response(
            crystal(), pulse, 400.0, md_settings=MDSettings(0.0, timestep=0.5, friction=0.0)
        )
    pulse_response(
        crystal(), pulse, 1200.0, md_settings=MDSettings(0.0, timestep=0.5, friction=0.03)
    )


@pytest.mark.slow
def test_energy_taken_from_a_pulse_stays_in_the_crystal_without_friction():
    atoms = crystal()
    pulse = GaussianPulse([0.0, 0.05, 0.1], center=80.0, width=16.0, frequency=15.0)
    found = pulse_response(
        atoms, pulse, 400.0, md_settings=MDSettings(0.0, timestep=0.5, friction=0.0)
    )
    energy = found.run.potential_energy + found.run.kinetic_energy
    assert found.absorbed > 1e-3
    assert energy[-1] - energy[0] == pytest.approx(found.absorbed, rel=1e-3)
    assert found.remaining > 0.1


def test_structure_that_is_not_at_rest_is_reported():
    atoms = crystal()
    atoms.positions[0, 0] += 0.1
    pulse = GaussianPulse([0.0, 0.05, 0.1], center=80.0, width=16.0, frequency=15.0)
    with pytest.warns(UserWarning, match=r"forces are up to .* relax the structure first"):
        pulse_response(atoms, pulse, 160.0, md_settings=MDSettings(0.0, timestep=0.5, friction=0.0))


# Static dielectric tensor

WARM = MDSettings(temperature=100.0, timestep=2.0, friction=0.03, seed=2)


@pytest.mark.slow
def test_static_dielectric_tensor_is_that_of_the_phonons():
    found = finite_field_dielectric(crystal(), 0.01, 200.0, equilibration=800.0, md_settings=WARM)
    exact = exact_ionic(crystal().get_volume())
    np.testing.assert_allclose(found.ionic, exact, atol=1e-3 * np.abs(exact).max())
    from_phonons = di.static_dielectric(di.infrared_modes(phonopy_of_the_crystal()))
    np.testing.assert_allclose(from_phonons.ionic, exact, rtol=1e-4, atol=1e-4)
    assert found.ionic_error.max() < 1e-2 * np.abs(exact).max()
    assert found.electronic is None
    with pytest.raises(ValueError, match="does not provide 'dielectric_tensor'"):
        _ = found.static


# Runs in folders, and refusals


def test_run_in_a_folder_is_not_done_twice(tmp_path):
    md_settings = MDSettings(temperature=50.0, timestep=2.0)
    first = field_run(crystal(), [0, 0, 0.1], 30, md_settings, interval=5, folder=tmp_path / "run")
    calls = crystal()
    again = field_run(calls, [0, 0, 0.1], 30, md_settings, interval=5, folder=tmp_path / "run")
    assert calls.calc.calls["forces"] <= 2
    np.testing.assert_array_equal(first.polarization_change, again.polarization_change)
    assert len(again.times) == 7
    here = field_run(crystal(), [0, 0, 0.1], 30, md_settings, interval=5)
    np.testing.assert_allclose(again.polarization_change, here.polarization_change, rtol=1e-5)


def test_atoms_are_left_as_they_were():
    atoms = crystal()
    calc = atoms.calc
    field_run(atoms, [0, 0, 0.1], 10, MDSettings(timestep=2.0))
    assert atoms.calc is calc
    np.testing.assert_array_equal(atoms.positions, ions().positions)
    assert not atoms.constraints
    assert not atoms.get_momenta().any()


def test_bad_input_is_named():
    for settings, message in (
        ({"temperature": -1}, "temperature is -1; give 0 or a positive number of K"),
        ({"friction": np.nan}, "friction is nan"),
        ({"timestep": 0}, "timestep is 0; give a positive number of fs"),
    ):
        with pytest.raises(ValueError, match=message):
            MDSettings(**settings)
    with pytest.raises(ValueError, match="amplitude is zero"):
        hysteresis(ferroelectric(), [0, 0, 0], 100.0)
    with pytest.raises(ValueError, match="periods is 0"):
        hysteresis(ferroelectric(), [0, 0, 1], 100.0, periods=0)
    with pytest.raises(
        ValueError, match=r"period is 0\.01 fs; give at least one time step \(1 fs\)"
    ):
        hysteresis(ferroelectric(), [0, 0, 1], 0.01)
    with pytest.raises(ValueError, match="there is no 'Na' in LiO"):
        ion_drift(free_ions(), [0, 0, 1], "Na", 10.0)
    lithium = Atoms("Li2", cell=[9, 9, 9], pbc=True, calculator=FreeIons())
    with pytest.raises(
        ValueError, match="all atoms are Li; drift is measured relative to the other"
    ):
        ion_drift(lithium, [0, 0, 1], "Li", 10.0)
    with pytest.raises(ValueError, match="born_charges has no charge for O"):
        ion_drift(free_ions(), [0, 0, 1], "Li", 10.0, born_charges={"Li": 1})
    with pytest.raises(ValueError, match="field is zero"):
        ion_drift(free_ions(), [0, 0, 0], "Li", 10.0)
    with pytest.raises(ValueError, match="2 observations; 6 are needed"):
        ion_drift(free_ions(), [0, 0, 1e-3], "Li", 1.0, md_settings=MDSettings(timestep=1.0))
    with pytest.raises(ValueError, match="the pulse is zero throughout the run"):
        pulse_response(crystal(), GaussianPulse(1.0, center=5.0, width=1.0), 10.0)
    with pytest.raises(ValueError, match="pulse is not over within the run"):
        pulse_response(crystal(), GaussianPulse([0, 0, 1], center=5.0, width=5.0), 10.0)
    turning = GaussianPulse([0, 0, 1], 5.0, 1.0) + GaussianPulse([0, 1, 0], 6.0, 1.0)
    with pytest.raises(ValueError, match="pulse changes its direction"):
        pulse_response(crystal(), turning, 12.0)
    with pytest.raises(ValueError, match="strength is 0"):
        finite_field_dielectric(crystal(), 0, 10.0, equilibration=10.0)
    with pytest.raises(ValueError, match="without friction the run does not equilibrate"):
        finite_field_dielectric(
            crystal(), 0.1, 10.0, equilibration=10.0, md_settings=MDSettings(friction=0.0)
        )
    with pytest.raises(ValueError, match="duration is 1 time steps; give at least 5"):
        finite_field_dielectric(crystal(), 0.1, 1.0, equilibration=10.0)
    with pytest.raises(ValueError, match="steps is 0; give a whole number from 1 on"):
        field_run(crystal(), [0, 0, 0.1], 0, MDSettings())
    atoms = ions()
    with pytest.raises(ValueError, match="no calculator"):
        field_run(atoms, [0, 0, 0.1], 10, MDSettings())
