"""Results of runs that are observed every few steps only: they come from all steps."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

from ase_equivar.dynamics.experiments import drift, pulse, pulse_sums, thermal_run
from ase_equivar.dynamics.experiments.thermal_run import MDSettings
from ase_equivar.fields import GaussianPulse
from ase_equivar.plotting import plot_pulse_response
from ase_equivar.units import VACUUM_PERMITTIVITY

SPRINGS = np.array([[10.0, 1.5, -0.8], [1.5, 7.0, 0.6], [-0.8, 0.6, 13.0]])  # eV/Å²
BORN = np.array([[2.0, 0.3, -0.2], [0.1, 1.7, 0.4], [-0.3, 0.2, 2.4]])
SITES = np.array([[0.0, 0.0, 0.0], [2.0, 2.1, 1.9]])
AXIS = np.array([0.48, 0.6, 0.64])
FRICTION = 0.04  # 1/fs
SETTINGS = MDSettings(temperature=0.0, timestep=1.0, friction=FRICTION)


class Oscillator(Calculator):
    """Two ions that a spring holds together; raises KeyboardInterrupt at the call `last`."""

    implemented_properties = ("energy", "forces", "born_effective_charges")

    def __init__(self, last=None):
        super().__init__()
        self.last, self.count = last, 0

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.count += 1
        if self.count == self.last:
            raise KeyboardInterrupt
        first, second = self.atoms.positions - SITES
        force = SPRINGS @ (second - first)
        self.results = {
            "energy": 0.5 * float((second - first) @ force),
            "forces": np.array([force, -force]),
            "born_effective_charges": np.array([BORN, -BORN]),
        }


def oscillator(last=None):
    cell = [[4.1, 0.2, 0.0], [0.0, 4.3, 0.3], [0.1, 0.0, 4.0]]
    atoms = Atoms("MgO", positions=SITES, cell=cell, pbc=True)
    atoms.calc = Oscillator(last)
    return atoms


def exact_susceptibility(frequencies):
    """χ(ω) of the oscillator from its equation of motion, shape=(F, 3, 3); frequencies in THz."""
    atoms = oscillator()
    mass = 1 / (1 / atoms.get_masses()).sum()
    omega = 2e-3 * np.pi * frequencies[:, None, None]
    stiffness = SPRINGS - mass / units.fs**2 * (omega**2 + 1j * omega * FRICTION) * np.eye(3)
    response = BORN @ np.linalg.inv(stiffness) @ BORN.T
    return response / (atoms.get_volume() * VACUUM_PERMITTIVITY)


def test_susceptibility_of_a_pulse_that_is_shorter_than_the_time_between_observations(monkeypatch):
    monkeypatch.setattr(pulse, "POINTS", 20)
    monkeypatch.setattr(pulse_sums, "BLOCK", 128)
    amplitude, width = 1e-3, 5.0
    shape = GaussianPulse(amplitude * AXIS, center=20.0, width=width)
    found = pulse.pulse_response(oscillator(), shape, 400.0, md_settings=SETTINGS)
    assert np.diff(found.run.times).min() == pytest.approx(20.0)
    np.testing.assert_allclose(found.direction, AXIS)

    in_the_pulse = np.sqrt(2 * np.log(20)) / (2e-3 * np.pi * width)  # 5 % of its largest component
    assert found.frequencies[-1] == pytest.approx(in_the_pulse, rel=0.05)
    expected = exact_susceptibility(found.frequencies) @ AXIS
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.susceptibility, expected, atol=5e-3 * scale)

    omega = np.linspace(0, 1.5, 3000)  # 1/fs
    along = AXIS @ exact_susceptibility(omega / (2e-3 * np.pi)) @ AXIS
    spectrum = 2 * np.pi * (amplitude * width) ** 2 * np.exp(-((omega * width) ** 2))
    power = omega * along.imag * spectrum
    volume = oscillator().get_volume()
    absorbed = volume * VACUUM_PERMITTIVITY / np.pi * power.sum() * omega[1]
    assert found.absorbed == pytest.approx(absorbed, rel=1e-2)


@pytest.mark.filterwarnings("ignore:at the end:UserWarning")
def test_no_number_depends_on_the_times_of_observation(monkeypatch):
    """The pulse falls between the last observation and the end of the run."""
    shape = GaussianPulse(1e-3 * AXIS, center=46.0, width=5.0)
    at_all_steps = pulse.pulse_response(oscillator(), shape, 62.0, md_settings=SETTINGS)
    monkeypatch.setattr(pulse, "POINTS", 7)
    now_and_then = pulse.pulse_response(oscillator(), shape, 62.0, md_settings=SETTINGS)
    assert now_and_then.run.times[-1] == pytest.approx(56.0)
    for name in ("direction", "absorbed", "frequencies", "susceptibility", "remaining"):
        np.testing.assert_array_equal(getattr(now_and_then, name), getattr(at_all_steps, name))
    assert now_and_then.absorbed == pytest.approx(at_all_steps.run.work[-1], rel=1e-12)
    sizes = np.linalg.norm(at_all_steps.run.polarization_change, axis=1)
    assert now_and_then.remaining == pytest.approx(sizes[-6:].max() / sizes.max(), rel=1e-12)


def test_picture_of_a_pulse_between_two_observations(monkeypatch):
    monkeypatch.setattr(pulse, "POINTS", 3)
    shape = GaussianPulse(1e-3 * AXIS, center=50.0, width=5.0)
    found = pulse.pulse_response(oscillator(), shape, 300.0, md_settings=SETTINGS)
    assert np.abs(found.run.electric_field).max() < 1e-12
    real, imaginary = plot_pulse_response(found).axes[3].lines[:2]
    along = exact_susceptibility(found.frequencies[:20]) @ AXIS @ AXIS
    np.testing.assert_allclose(real.get_ydata()[:20], along.real, atol=0.02 * np.abs(along).max())
    assert np.isfinite(imaginary.get_ydata()).all()


@pytest.mark.parametrize(("samples", "first", "count"), [(301, 0, 151), (300, 7, 1), (97, 3, 40)])
def test_sums_are_those_of_numpy(monkeypatch, samples, first, count):
    monkeypatch.setattr(pulse_sums, "BLOCK", 32)
    values = np.random.default_rng(0).normal(size=(samples, 3))
    sums = pulse_sums.PulseSums(samples, first, count)
    for row in values:
        sums.add(row)
    expected = np.fft.rfft(values, axis=0).conj()[first : first + count]
    np.testing.assert_allclose(sums.spectrum, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.filterwarnings("ignore:at the end:UserWarning")
@pytest.mark.parametrize("last", [4, 33, 58])
def test_interrupted_runs_give_the_same_numbers(monkeypatch, tmp_path, last):
    """Stopped in the first steps, within a block of the transform, and shortly before the end."""
    monkeypatch.setattr(thermal_run, "CHECKPOINT_INTERVAL", 20)
    monkeypatch.setattr(pulse_sums, "BLOCK", 16)
    monkeypatch.setattr(pulse, "POINTS", 9)
    monkeypatch.setattr(drift, "POINTS", 9)
    settings = MDSettings(temperature=20.0, timestep=1.0, friction=FRICTION)
    shape = GaussianPulse(0.1 * AXIS, center=18.0, width=5.0)

    def response(atoms, folder=None):
        found = pulse.pulse_response(atoms, shape, 60.0, md_settings=settings, folder=folder)
        return [found.susceptibility, found.absorbed, found.remaining]

    def drifted(atoms, folder=None):
        atoms.set_masses([24.0, 18.0])
        found = drift.ion_drift(atoms, 0.1 * AXIS, "Mg", 60.0, md_settings=settings, folder=folder)
        return [found.displacement, found.velocity]

    for name, experiment in (("pulse", response), ("drift", drifted)):
        with pytest.raises(KeyboardInterrupt):
            experiment(oscillator(last), tmp_path / name)
        found = experiment(oscillator(), tmp_path / name)
        for one, other, again in zip(
            found, experiment(oscillator()), experiment(oscillator(), tmp_path / name), strict=True
        ):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, again)
