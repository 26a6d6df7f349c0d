"""Spectra and conductivity from trajectories whose answers are known in closed form."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.harmonic_runs import BORN, ELECTRONIC, KELVIN, STEP, harmonic_run
from helpers.polar_crystal import PolarCrystal, ions
from helpers.told_warnings import nothing_told
from scipy import constants
from scipy.integrate import trapezoid

from ase_equivar.dielectric import (
    current_spectrum,
    dielectric_function,
    infrared_modes,
    ionic_conductivity,
    trajectory_current,
    with_velocities,
)
from ase_equivar.dielectric.current import autocorrelation
from ase_equivar.phonons import apply_nac, force_constants
from ase_equivar.plotting import plot_current_spectrum
from ase_equivar.units import THZ_TO_CM
from ase_equivar.warning_types import NetChargeWarning


@pytest.fixture(scope="module")
def harmonic():
    return trajectory_current(harmonic_run(16_384), BORN, STEP)


@pytest.fixture(scope="module")
def modes():
    phonon = force_constants(ions(), PolarCrystal(), (1, 1, 1), progress=False)
    return infrared_modes(apply_nac(phonon, (BORN, ELECTRONIC)))


@pytest.mark.slow
def test_peaks_and_strengths_are_those_of_the_phonons(harmonic, modes):
    spectrum = current_spectrum(harmonic, ELECTRONIC, correlation_time=4000, n_blocks=4)
    assert spectrum.temperature == pytest.approx(KELVIN, rel=1e-3)
    f, epsilon = spectrum.dielectric.frequencies, spectrum.dielectric.epsilon
    assert len(modes) == 6
    strongest = max(mode.intensity for mode in modes)
    gaps = np.diff([0.0, *(mode.frequency for mode in modes)])
    assert gaps.min() > 0.8  # the peaks stand apart
    for mode in modes:
        near = np.abs(f - mode.frequency) < 0.4
        peak = f[near][np.einsum("waa->w", epsilon[near].imag).argmax()]
        assert peak == pytest.approx(mode.frequency, abs=0.04)
        area = trapezoid(f[near, None, None] * epsilon[near].imag, f[near], axis=0)
        allowed = 0.03 * np.abs(mode.oscillator).max() + 1e-3 * strongest
        np.testing.assert_allclose(2 / np.pi * area, mode.oscillator, atol=allowed)


@pytest.mark.slow
def test_total_strength_and_static_limit(harmonic, modes):
    spectrum = current_spectrum(harmonic, ELECTRONIC, correlation_time=4000, n_blocks=4)
    f, epsilon = spectrum.dielectric.frequencies, spectrum.dielectric.epsilon
    total = 2 / np.pi * trapezoid(f[:, None, None] * epsilon.imag, f, axis=0)
    scale = np.abs(modes.oscillator_sum).max()
    np.testing.assert_allclose(total, modes.oscillator_sum, atol=0.05 * scale)
    static = 2 / np.pi * trapezoid(epsilon.imag / f[:, None, None], f, axis=0)  # Kramers–Kronig
    expected = sum(mode.strength for mode in modes)
    np.testing.assert_allclose(static, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.slow
def test_whole_function_far_from_the_peaks(harmonic, modes):
    spectrum = current_spectrum(harmonic, ELECTRONIC, correlation_time=4000, n_blocks=4)
    f = spectrum.dielectric.frequencies
    far = (f < 60) & np.all([np.abs(f - mode.frequency) > 1.0 for mode in modes], axis=0) & (f > 1)
    expected = dielectric_function(modes, 1e-3, f[far]).epsilon
    found = spectrum.dielectric.epsilon[far]
    assert np.abs((found - expected).real).max() < 0.06 * np.abs(expected.real).max()


@pytest.mark.slow
def test_gaussian_window_keeps_the_strength(harmonic, modes):
    spectrum = current_spectrum(
        harmonic, ELECTRONIC, correlation_time=4000, n_blocks=4, window="gaussian"
    )
    f, epsilon = spectrum.dielectric.frequencies, spectrum.dielectric.epsilon
    total = 2 / np.pi * trapezoid(f[:, None, None] * epsilon.imag, f, axis=0)
    scale = np.abs(modes.oscillator_sum).max()
    np.testing.assert_allclose(total, modes.oscillator_sum, atol=0.05 * scale)
    assert spectrum.window == "gaussian"
    assert spectrum.correlation_time == 4000


@pytest.mark.slow
def test_absorption_and_quantum_corrections(harmonic):
    spectrum = current_spectrum(harmonic, ELECTRONIC, correlation_time=4000, n_blocks=4)
    f = spectrum.dielectric.frequencies
    sigma = 2e12 * np.pi * f * np.einsum("waa->w", spectrum.dielectric.epsilon.imag) / 3
    np.testing.assert_allclose(spectrum.absorption(), sigma / constants.c / 100)
    x = constants.h * 1e12 * f / (constants.k * spectrum.temperature)
    # Of the line shape, by name, over the harmonic one: Ramírez et al., Table I.
    harmonic_factor = x / (1 - np.exp(-x))
    for name, factor in (("standard", 2 / (1 + np.exp(-x))), ("schofield", np.exp(x / 2))):
        ratio = spectrum.absorption(name)[:400] / spectrum.absorption()[:400]
        np.testing.assert_allclose(ratio, (factor / harmonic_factor)[:400], rtol=1e-6)
    error = spectrum.absorption_uncertainty() / (2e10 * np.pi * f / constants.c)
    np.testing.assert_allclose(error, spectrum.isotropic_absorption_error)
    with pytest.raises(ValueError, match="quantum_correction is 'none'; give harmonic"):
        spectrum.absorption("none")


@pytest.mark.slow
def test_a_powder_and_its_error_have_no_axes(harmonic):
    """Errors along three axes are not independent: they follow from the same blocks."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = replace(harmonic, current=harmonic.current @ turn.T)
    options = {"correlation_time": 4000, "n_blocks": 4}
    one = current_spectrum(harmonic, ELECTRONIC, **options)
    other = current_spectrum(turned, turn @ ELECTRONIC @ turn.T, **options)
    np.testing.assert_allclose(other.absorption(), one.absorption(), rtol=1e-8, atol=1e-6)
    found, expected = (x.absorption_uncertainty() for x in (other, one))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-6)


@pytest.mark.slow
def test_dipole_is_the_integral_of_the_current(harmonic):
    steps = (harmonic.current[1:] + harmonic.current[:-1]) / 2 * STEP
    change = np.cumsum(steps, axis=0)
    np.testing.assert_allclose(harmonic.dipole[1:], change, atol=0.01 * np.abs(change).max())


# Brownian particles: free Langevin motion, exact from step to step


FRICTION = 0.02  # 1/fs
CHARGE = np.repeat([1.0, -1.0], 20)
MASS = 20.0


def brownian_run(frames, timestep, seed=8):
    """Positions (through the walls of the box) and velocities of an Ornstein–Uhlenbeck process."""
    rng = np.random.default_rng(seed)
    n = len(CHARGE)
    decay = np.exp(-FRICTION * timestep)
    thermal = units.kB * KELVIN / MASS / units.fs**-2  # (Å/fs)²
    # Joint normal distribution of the changes: D. T. Gillespie, Phys. Rev. E 54, 2084 (1996).
    of_v = thermal * (1 - decay**2)
    of_x = thermal / FRICTION**2 * (2 * FRICTION * timestep - 3 + 4 * decay - decay**2)
    mixed = thermal / FRICTION * (1 - decay) ** 2
    root = np.linalg.cholesky([[of_x, mixed], [mixed, of_v]])
    v = rng.normal(scale=np.sqrt(thermal), size=(n, 3))
    x = rng.uniform(0, 12, size=(n, 3))
    for _ in range(frames):
        atoms = Atoms("Na20Cl20", cell=[11.0, 12.0, 13.0], pbc=True)
        atoms.set_masses(np.full(n, MASS))
        atoms.set_positions(x)
        atoms.wrap()
        atoms.set_velocities(v / units.fs)
        yield atoms
        kick = rng.normal(size=(n, 3, 2)) @ root.T
        x = x + v * (1 - decay) / FRICTION + kick[..., 0]
        v = v * decay + kick[..., 1]


@pytest.fixture(scope="module")
def brownian():
    return trajectory_current(brownian_run(9000, 10.0), CHARGE, 10.0)


def nernst_einstein():
    """Exact for particles that know nothing of each other: Σ q² D/(V kT), D = kT/(m γ), in S/m."""
    mass, friction = MASS * constants.atomic_mass, FRICTION * 1e15
    volume = 11.0 * 12.0 * 13.0 * 1e-30
    return (CHARGE**2).sum() * constants.e**2 / (mass * friction * volume)


@pytest.mark.slow
def test_conductivity_of_brownian_particles(brownian):
    found = ionic_conductivity(brownian, correlation_time=600.0, temperature=KELVIN, n_blocks=8)
    for estimate in (found.einstein, found.green_kubo):
        assert estimate.isotropic == pytest.approx(nernst_einstein(), rel=0.12)
        assert abs(estimate.isotropic - nernst_einstein()) < 4 * estimate.isotropic_error
        assert 0.005 < estimate.isotropic_error / estimate.isotropic < 0.15
        assert estimate.tensor.shape == estimate.tensor_error.shape == (3, 3)


@pytest.mark.slow
def test_undecayed_correlations_are_warned_about(harmonic, brownian):
    """A lattice vibrates forever; Brownian particles forget, also in short and noisy runs."""
    with pytest.warns(UserWarning, match=r"still correlated after 500 fs, by \d\d % .* conver"):
        bound = ionic_conductivity(harmonic, correlation_time=1000.0)
    assert 0.3 < bound.still_correlated < 1
    with nothing_told():
        ionic_conductivity(brownian, correlation_time=600.0, temperature=KELVIN, n_blocks=8)
        for seed in range(5):
            run = trajectory_current(brownian_run(600, 10.0, seed), CHARGE, 10.0)
            ionic_conductivity(run, correlation_time=400.0, temperature=KELVIN, n_blocks=5)
    with pytest.warns(UserWarning, match="still correlated after 25 fs"):  # 1/friction: 50 fs
        ionic_conductivity(brownian, correlation_time=50.0, temperature=KELVIN)


@pytest.mark.slow
def test_errors_of_blocks_are_the_scatter_of_runs():
    """What the blocks say of one run is what independent runs show."""
    values, errors = [], []
    for seed in range(10):
        run = trajectory_current(brownian_run(600, 10.0, seed), CHARGE, 10.0)
        estimate = ionic_conductivity(
            run, correlation_time=300.0, temperature=KELVIN, n_blocks=6
        ).green_kubo
        values.append(estimate.isotropic)
        errors.append(estimate.isotropic_error)
    assert np.std(values, ddof=1) == pytest.approx(np.mean(errors), rel=0.6)


@pytest.mark.slow
def test_drude_spectrum_of_brownian_particles(brownian):
    """σ(ω) = σ(0)/(1 − iω/γ) at low frequencies."""
    spectrum = current_spectrum(
        brownian, np.eye(3), correlation_time=1000.0, temperature=KELVIN, n_blocks=5
    )
    f = spectrum.dielectric.frequencies
    low = (f > 0.5) & (f < 4)
    omega = 2 * np.pi * f[low] * 1e12
    sigma = nernst_einstein() / (1 - 1j * omega / (FRICTION * 1e15))
    expected = 1 + 1j * sigma / (constants.epsilon_0 * omega)
    found = np.einsum("waa->w", spectrum.dielectric.epsilon)[low] / 3
    assert np.abs(found.imag / expected.imag - 1).mean() < 0.12
    assert found.imag.mean() == pytest.approx(expected.imag.mean(), rel=0.08)
    away = np.abs(found.imag - expected.imag)
    error = np.sqrt(np.einsum("waa->w", spectrum.absorption_error[low] ** 2)) / 3
    assert (away < 4 * error).mean() > 0.9


@pytest.mark.slow
def test_z_star_and_nominal_charges_differ_by_their_ratio(brownian):
    frames = list(brownian_run(500, 10.0))
    nominal = trajectory_current(frames, CHARGE, 10.0)
    born = 1.2 * CHARGE[:, None, None] * np.eye(3)
    for given in (born, np.tile(born, (500, 1, 1, 1))):
        found = trajectory_current(frames, given, 10.0)
        np.testing.assert_allclose(found.current, 1.2 * nominal.current, rtol=1e-10)
        np.testing.assert_allclose(found.dipole, 1.2 * nominal.dipole, rtol=1e-10, atol=1e-12)


def test_charges_of_the_mobile_ions_alone_are_told():
    """0 for the host took charge off the mobile ions too: 0.4 times the conductivity."""
    frames = list(harmonic_run(3))
    nominal = {symbol: 0.0 for symbol in frames[0].symbols} | {frames[0].symbols[0]: 1.0}
    told = "the charges sum to 1 e instead of 0, so 0.33 e is taken off each of the 3 atoms"
    with pytest.warns(NetChargeWarning, match=told) as warned:
        trajectory_current(frames, nominal, STEP)
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", NetChargeWarning)
        trajectory_current(frames, BORN, STEP)
        trajectory_current(frames, BORN + 0.04 * np.eye(3), STEP)


@pytest.mark.slow
def test_a_slope_needs_two_points(brownian):
    """Of one, NumPy made half of the conductivity."""
    with pytest.raises(ValueError, match="correlation_time must be at least 4 frames of"):
        ionic_conductivity(brownian, correlation_time=3 * brownian.timestep)


def test_charges_of_a_calculator_follow_the_motion():
    frames = list(harmonic_run(50))
    calc = PolarCrystal(quadratic=0.1)
    found = trajectory_current(frames, calc, STEP)
    charges = [calc.born_charges(atoms.positions) for atoms in frames]
    given = trajectory_current(frames, np.array(charges), STEP)
    np.testing.assert_allclose(found.current, given.current)
    assert np.abs(found.current - trajectory_current(frames, BORN, STEP).current).max() > 1e-4


def test_autocorrelation_by_hand():
    x = np.array([[1.0, 0, 0], [2.0, 1, 0], [-1.0, 3, 0], [0.0, 1, 0]])
    c = autocorrelation(x, 2)
    assert c[0, 0, 0] == pytest.approx(6 / 4)
    assert c[1, 0, 0] == pytest.approx((2 * 1 - 2 + 0) / 3)
    assert c[1, 0, 1] == pytest.approx(((2 * 0 - 1 * 1 + 0) + (1 * 1 + 3 * 2 - 1 * 1)) / 6)


# What a user can do wrong


def test_frames_that_do_not_serve():
    frames = list(harmonic_run(4))
    still = [ions(velocities=False)] * 3
    other = ions()
    other.symbols[0] = "Zr"
    sheet = ions()
    sheet.pbc[2] = False
    for given, charges, message in (
        (still, BORN, "no frame has velocities"),
        (frames[:1], BORN, "two frames or more, got 1"),
        ([], BORN, "two frames or more, got 0"),
        ([frames[0], other], BORN, "frame 1 does not list the same elements"),
        ([sheet], BORN, "frame 0 is not periodic"),
        (frames, BORN[:2], r"shape \(2, 3, 3\) do not fit 3 atoms"),
        (frames, np.tile(BORN, (9, 1, 1, 1)), "for 9 frames, but the trajectory has 4"),
        (frames, np.tile(BORN, (2, 1, 1, 1)), "for 2 frames, but the trajectory has more"),
    ):
        with pytest.raises(ValueError, match=message):
            trajectory_current(given, charges, STEP)
    with pytest.raises(NotImplementedError, match="Calculator does not give 'born_effective_char"):
        trajectory_current(frames, Calculator(), STEP)
    for timestep in (0, np.nan):
        with pytest.raises(ValueError, match="timestep is"):
            trajectory_current(frames, BORN, timestep)


@pytest.mark.slow
def test_impossible_arguments(harmonic):
    for arguments, message in (
        ({"correlation_time": 1.0}, "at least two frames of 2 fs"),
        ({"correlation_time": 20_000.0}, "too short"),
        ({"correlation_time": 100.0, "n_blocks": 1}, "two blocks or more"),
        ({"correlation_time": 100.0, "temperature": -3.0}, "temperature is -3"),
    ):
        with pytest.raises(ValueError, match=message):
            current_spectrum(harmonic, ELECTRONIC, **arguments)
        with pytest.raises(ValueError, match=message):
            ionic_conductivity(harmonic, **arguments)
    with pytest.raises(ValueError, match="window is 'box'; give hann or gaussian"):
        current_spectrum(harmonic, ELECTRONIC, correlation_time=100.0, window="box")
    with pytest.raises(ValueError, match=r"dielectric_tensor has shape \(1,\), not \(3, 3\)"):
        current_spectrum(harmonic, [2.0], correlation_time=100.0)


def test_frames_too_far_apart_are_warned_about():
    frames = list(harmonic_run(1000))
    for given, timestep in ((frames[::20], 20 * STEP), (frames, 2 * STEP)):
        with pytest.warns(UserWarning, match=r"too far apart .* or `timestep` is not the time"):
            trajectory_current(given, BORN, timestep)


def test_frames_that_a_dynamics_yields_and_moves_on():
    """One and the same Atoms object each time, as of ``for _ in dyn.irun(n): yield atoms``."""

    def live():
        atoms = ions()
        for frame in harmonic_run(1000):
            atoms.positions, atoms.arrays["momenta"] = frame.positions, frame.get_momenta()
            yield atoms

    copies = list(harmonic_run(1000))
    with nothing_told():
        found = trajectory_current(live(), BORN, STEP)
    expected = trajectory_current(copies, BORN, STEP)
    np.testing.assert_array_equal(found.dipole, expected.dipole)
    np.testing.assert_array_equal(found.current, expected.current)
    assert np.abs(found.dipole).max() > 1e-3
    for one, other in zip(
        with_velocities(live(), STEP), with_velocities(copies, STEP), strict=True
    ):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.get_momenta(), other.get_momenta())


def test_a_function_of_frames_sees_their_results():
    frames = []
    for frame in harmonic_run(200):
        frame.calc = SinglePointCalculator(frame, born_effective_charges=BORN)
        frames.append(frame)
    found = trajectory_current(frames, lambda f: f.calc.results["born_effective_charges"], STEP)
    expected = trajectory_current(frames, BORN, STEP)
    np.testing.assert_array_equal(found.dipole, expected.dipole)


@pytest.mark.slow
def test_picture(harmonic, tmp_path):
    spectrum = current_spectrum(harmonic, ELECTRONIC, correlation_time=4000, n_blocks=4)
    with pytest.raises(ValueError, match=r"limit is 0\.01 cm⁻¹, but the first frequency"):
        plot_current_spectrum(spectrum, limit=0.01)
    figure = plot_current_spectrum(spectrum, correction="standard", title="three ions")
    ax, of_epsilon = figure.axes
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_ydata(), spectrum.absorption("standard"))
    assert ax.get_ylim()[0] <= line.get_ydata().min()  # artefacts below 0 are not hidden
    np.testing.assert_allclose(line.get_xdata(), spectrum.dielectric.frequencies * THZ_TO_CM)
    assert 18.2 * THZ_TO_CM < ax.get_xlim()[1] < 40 * THZ_TO_CM  # above the highest mode
    assert "quantum correction: standard" in ax.get_legend().get_title().get_text()
    mean = np.einsum("waa->w", spectrum.dielectric.epsilon) / 3
    drawn = {line.get_label(): line.get_ydata() for line in of_epsilon.lines}
    np.testing.assert_allclose(drawn["Re ε"], mean.real)
    np.testing.assert_allclose(drawn["Im ε, with standard error"], mean.imag)
    # of the whole trace, whose directions are not independent, in both panels
    band = of_epsilon.collections[0].get_paths()[0].vertices
    widest = max(np.ptp(band[band[:, 0] == x, 1]) for x in np.unique(band[:, 0])[1:])
    assert widest == pytest.approx(2 * spectrum.isotropic_absorption_error[1:].max(), rel=1e-6)
    apart = np.sqrt(np.einsum("waa->w", spectrum.absorption_error**2)) / 3
    assert not np.allclose(apart, spectrum.isotropic_absorption_error, rtol=0.05)
    low, high = of_epsilon.get_ylim()
    assert low < mean.real.min() < mean.imag.max() < high
    figure.savefig(tmp_path / "spectrum.png")
