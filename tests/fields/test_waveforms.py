"""Fields in time: values by hand, sums and products, the resolving time step, JSON."""

import json
from functools import partial

import numpy as np
import pytest

from ase_equivar.fields.algebra import Sum
from ase_equivar.fields.applied import AppliedField
from ase_equivar.fields.serialization import waveform_from_dict, waveform_from_json
from ase_equivar.fields.spatial import GaussianBeam, PlaneWave
from ase_equivar.fields.tabulated import TabulatedField
from ase_equivar.fields.waveforms import (
    ChirpedPulse,
    ConstantField,
    GaussianPulse,
    SineField,
    StepField,
    TriangleField,
)
from ase_equivar.plotting.fields import plot_field
from ase_equivar.units import MV_PER_CM

E = np.array([0.3, -0.1, 0.2])
ENVELOPE = GaussianPulse(1.0, center=3.0, width=2.0)
EXAMPLES = {
    "constant": ConstantField(E),
    "sine": SineField(E, frequency=300.0, phase=0.2),
    "triangle": TriangleField(E, period=7.0),
    "step": StepField(E, start=2.0),
    "rise": StepField(E, start=2.0, rise=3.0),
    "pulse": GaussianPulse(E, center=4.0, width=1.5, frequency=200.0, phase=0.5),
    "chirp": ChirpedPulse(E, 4.0, 1.5, 200.0, 0.5, chirp=-50.0),
    "table": TabulatedField([0, 1.0, 2.5], [E, 2 * E, [0, 0, 1]]),
    "sum": ConstantField(E) + SineField(E, frequency=300.0) - 2 * StepField(E, start=1),
    "product": SineField(E, frequency=300.0) * ENVELOPE * 0.5,
    "envelope": TabulatedField([0, 1.0], [0.0, 1.0]) * ENVELOPE,
}
TIMES = np.linspace(-2.0, 11.0, 53)
UNITS = {"units": "fs, THz, V/Å"}


def test_units_by_hand():
    assert pytest.approx(1e8 * 1e-10) == MV_PER_CM  # 10⁶ V / 10⁸ Å
    sine = SineField(E, frequency=2.0)  # 2 THz: a period of 500 fs
    np.testing.assert_allclose([sine(125.0), sine(250.0), sine(375.0)], [E, 0 * E, -E], atol=1e-14)
    np.testing.assert_allclose(sine(500.0 + 31.0), sine(31.0), atol=1e-14)


@pytest.mark.parametrize("frequency", [1.25, 7.5, 0.0])
def test_spectrum_of_a_pulse_is_where_its_frequency_in_thz_says(frequency):
    """Peak and width in Hz by Fourier transform over seconds: independent of the class's units."""
    pulse = GaussianPulse(1.0, center=2000.0, width=300.0, frequency=frequency)
    seconds = np.arange(0, 20000.0, 2.0) * 1e-15
    spectrum = np.abs(np.fft.rfft([float(pulse(1e15 * time)) for time in seconds]))
    hertz = np.fft.rfftfreq(len(seconds), 2e-15)
    assert hertz[spectrum.argmax()] == pytest.approx(frequency * 1e12, abs=0.06e12)
    # Of exp(−t²/2σ²), the transform falls to exp(−1/2) at 1/(2πσ).
    above = hertz[spectrum > np.exp(-0.5) * spectrum.max()]
    assert above.max() == pytest.approx((frequency + 1 / (2 * np.pi * 0.3)) * 1e12, abs=0.06e12)


def test_chirp_is_in_thz_per_fs():
    """By the zeros of the carrier, counted in seconds: half a cycle lies between two of them."""
    pulse = ChirpedPulse(1.0, center=0.0, width=1e7, frequency=5.0, chirp=1e-3)
    seconds = np.arange(0.0, 3000.0, 0.1) * 1e-15
    values = np.array([float(pulse(1e15 * time)) for time in seconds])
    zeros = seconds[np.flatnonzero(np.diff(np.sign(values)))]
    middle, rate = (zeros[1:] + zeros[:-1]) / 2, 0.5 / np.diff(zeros)
    np.testing.assert_allclose(rate, 5e12 + 1e-3 * 1e12 * (middle / 1e-15), rtol=5e-3)


def test_period_start_rise_and_table_are_in_fs():
    at = 1e15 * np.array([125e-15, 250e-15, 375e-15])
    np.testing.assert_allclose([TriangleField(1.0, period=500.0)(t) for t in at], [1, 0, -1])
    step = StepField(1.0, start=200.0, rise=100.0)
    np.testing.assert_allclose([step(t) for t in at], [0, 0.5, 1])
    np.testing.assert_allclose(TabulatedField([0, 500.0], [0.0, 1.0])(at[0]), 0.25)


def test_values_by_hand():
    sine = SineField(E, frequency=250.0, phase=np.pi / 6)
    np.testing.assert_allclose(sine(0), E / 2)
    np.testing.assert_allclose(sine(1), E * np.sqrt(3) / 2)
    triangle = TriangleField(E, period=8.0)
    found = [triangle(time)[0] / E[0] for time in (-1, 0, 1, 2, 3, 4, 6, 7, 8, 10)]
    np.testing.assert_allclose(found, [-0.5, 0, 0.5, 1, 0.5, 0, -1, -0.5, 0, 1], atol=1e-15)
    step = StepField(E, start=0.3)
    np.testing.assert_allclose([step(t)[0] / E[0] for t in (0.2, 0.1 + 0.2, 0.4)], [0, 0.5, 1])
    rise = StepField(E, start=1.0, rise=2.0)
    found = [rise(time)[1] / E[1] for time in (0, 1, 1.5, 2, 3, 9)]
    np.testing.assert_allclose(found, [0, 0, np.sin(np.pi / 8) ** 2, 0.5, 1, 1], atol=1e-15)
    pulse = GaussianPulse(E, center=5.0, width=2.0, frequency=250.0)
    np.testing.assert_allclose(pulse(5), E)
    np.testing.assert_allclose(pulse(6), 0, atol=1e-15)
    np.testing.assert_allclose(pulse(3), -np.exp(-0.5) * E)
    half = 2.354820045 / 2 * 2.0
    np.testing.assert_allclose(GaussianPulse(E, 5.0, 2.0)(5 + half), E / 2)
    table = TabulatedField([1.0, 3.0], [E, 3 * E])
    np.testing.assert_allclose([table(0), table(1.5), table(9)], [E, 1.5 * E, 3 * E])


def test_chirped_pulse_has_the_frequency_it_says():
    pulse = ChirpedPulse(1.0, center=50.0, width=30.0, frequency=500.0, chirp=10.0)
    for time in (40.0, 50.0, 65.0):
        near = time + np.linspace(-0.2, 0.2, 9)
        carrier = [float(pulse(t)) / np.exp(-0.5 * ((t - 50) / 30) ** 2) for t in near]
        # cos φ″ = −φ̇² cos φ − φ̈ sin φ: fit φ itself instead
        phase = 2 * np.pi * (0.5 * (near - 50) + 0.005 * (near - 50) ** 2)
        np.testing.assert_allclose(carrier, np.cos(phase), atol=1e-12)
        rate = np.gradient(phase, near)[4] / (2 * np.pi)
        assert rate == pytest.approx(0.5 + 0.01 * (time - 50), rel=1e-3)


def test_sums_and_products_are_those_of_the_values():
    sine, pulse = EXAMPLES["sine"], EXAMPLES["pulse"]
    for time in TIMES:
        np.testing.assert_allclose((sine + pulse)(time), sine(time) + pulse(time))
        np.testing.assert_allclose((sine - pulse)(time), sine(time) - pulse(time))
        np.testing.assert_allclose((2.5 * sine * ENVELOPE)(time), 2.5 * sine(time) * ENVELOPE(time))
        np.testing.assert_allclose((ENVELOPE * -sine)(time), -sine(time) * ENVELOPE(time))
    np.testing.assert_allclose((np.float64(2) * sine)(1.0), 2 * sine(1.0))
    with_function = sine + (lambda time: np.array([time, 0, 0]))
    np.testing.assert_allclose(with_function(4.0), sine(4.0) + np.array([4, 0, 0]))


def wave(time):
    return np.array([time, 0.5, -time])


def decay(time):
    return np.exp(-0.1 * time)


def test_functions_in_sums_and_products():
    sine = EXAMPLES["sine"]
    for field, expected in (
        (ENVELOPE * wave, lambda t: ENVELOPE(t) * wave(t)),
        (wave * ENVELOPE, lambda t: ENVELOPE(t) * wave(t)),
        (sine * decay, lambda t: sine(t) * decay(t)),
        (2 * ENVELOPE * decay * sine, lambda t: 2 * ENVELOPE(t) * decay(t) * sine(t)),
        (sine - wave, lambda t: sine(t) - wave(t)),
        (wave - sine, lambda t: wave(t) - sine(t)),
        (sine / 4, lambda t: sine(t) / 4),
        (sum([sine, EXAMPLES["pulse"], wave]), lambda t: sine(t) + EXAMPLES["pulse"](t) + wave(t)),
    ):
        for time in TIMES[::7]:
            np.testing.assert_allclose(field(time), expected(time), atol=1e-15)
    assert (ENVELOPE * wave).is_vector is None
    assert (ENVELOPE * decay * sine).is_vector
    assert (sine * decay).longest_step == pytest.approx(sine.longest_step)
    assert not (sine * decay).is_zero
    assert (0 * (sine * decay)).is_zero
    with pytest.raises(ValueError, match="two fields cannot be multiplied"):
        (sine * wave)(1.0)
    with pytest.raises(ValueError, match="cannot be added"):
        (sine - decay)(1.0)
    with pytest.raises(ZeroDivisionError, match="field cannot be divided by 0"):
        sine / 0
    with pytest.raises(TypeError, match=r"cannot subtract 1\.0 from a field"):
        sine - 1.0
    for vector in (E, E.tolist()):
        with pytest.raises(ValueError, match=r"use a ConstantField: ConstantField\(\[Ex, Ey"):
            vector * ENVELOPE


@pytest.mark.parametrize("field", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_json_round_trip(field):
    back = waveform_from_json(field.to_json())
    assert back == field
    assert hash(back) == hash(field)
    np.testing.assert_array_equal([back(t) for t in TIMES], [field(t) for t in TIMES])
    assert back.longest_step == field.longest_step


def test_json_is_plain_to_read():
    assert json.loads(SineField(E, frequency=0.5).to_json()) == {
        "units": "fs, THz, V/Å", "type": "SineField", "amplitude": [0.3, -0.1, 0.2],
        "frequency": 0.5, "phase": 0.0,
    }  # fmt: skip


def test_numbers_of_another_unit_are_refused():
    data = SineField(E, frequency=0.5).to_dict()
    for units in ("ASE", None):
        with pytest.raises(
            ValueError, match="numbers of a waveform must be in fs, THz, V/Å; its units"
        ):
            waveform_from_dict(data | {"units": units})
    del data["units"]
    with pytest.raises(ValueError, match="its units are given as None"):
        waveform_from_json(json.dumps(data))


def test_longest_time_steps():
    assert SineField(E, frequency=500.0).longest_step == pytest.approx(0.2)
    assert TriangleField(E, period=3.0).longest_step == pytest.approx(0.3)
    assert EXAMPLES["table"].longest_step == pytest.approx(1.0)
    assert EXAMPLES["constant"].longest_step == np.inf
    assert EXAMPLES["rise"].longest_step == pytest.approx(0.6)
    assert (EXAMPLES["constant"] + SineField(E, frequency=2000.0)).longest_step == pytest.approx(
        0.05
    )
    product = SineField(E, frequency=2000.0) * SineField(1.0, frequency=3000.0)
    assert product.longest_step == pytest.approx(1 / 50)  # it contains the sum frequency, 5000 THz


def test_a_table_may_be_finer_than_the_steps_of_a_run():
    """A pulse of 1 THz, tabulated in steps of 0.05 fs, was refused with steps of 1 fs."""
    times = np.arange(0, 6000, 0.05)
    sine = np.sin(2 * np.pi * 1e-3 * times) * np.exp(-(((times - 3000) / 1000) ** 2))
    table = TabulatedField(times, np.outer(sine, E))
    assert table.longest_step == pytest.approx(SineField(E, frequency=1.0).longest_step, rel=0.1)
    envelope = TabulatedField(times, sine).longest_step
    assert envelope == pytest.approx(table.longest_step)
    spike = sine.copy()
    spike[20000] += 0.2  # far shorter than the period
    assert TabulatedField(times, spike).longest_step == pytest.approx(0.05)
    assert TabulatedField(times, np.ones_like(times)).longest_step == np.inf


def test_functions_of_position_are_refused_where_time_alone_counts():
    """They were raw TypeErrors, at the start of the run."""
    wave = PlaneWave(E, [0.1, 0, 0], frequency=1.0)
    sine, told = EXAMPLES["sine"], "a function of two arguments, not of time alone.*FieldOfPosition"

    class OfPosition:
        def __call__(self, positions, time):
            return np.tile(E, (len(positions), 1))

    for make in (
        lambda: sine + wave,
        lambda: wave + sine,
        lambda: sine - wave,
        lambda: ENVELOPE * wave,
        lambda: wave * ENVELOPE,
        lambda: sine + OfPosition(),
        lambda: AppliedField(wave, [0, 0, 1]),
        lambda: GaussianBeam(wave, [0, 0, 0], [0, 0, 1], 5.0),
        lambda: GaussianBeam(partial(OfPosition()), [0, 0, 0], [0, 0, 1], 5.0),
    ):
        with pytest.raises(TypeError, match=told):
            make()


@pytest.mark.parametrize(
    "pulse",
    [
        GaussianPulse(1.0, center=0.0, width=4.0, frequency=500.0),
        GaussianPulse(1.0, center=0.0, width=4.0),
        ChirpedPulse(1.0, center=0.0, width=4.0, frequency=500.0, chirp=50.0),
    ],
)
def test_pulses_have_next_to_nothing_above_the_frequency_that_the_time_step_resolves(pulse):
    times = np.arange(-60, 60, 0.05)
    spectrum = np.abs(np.fft.rfft([float(pulse(time)) for time in times]))
    frequencies = np.fft.rfftfreq(len(times), 0.05)
    highest = 1 / (10 * pulse.longest_step)
    assert spectrum[frequencies > highest].max() < 0.012 * spectrum.max()
    assert spectrum[frequencies > 0.6 * highest].max() > 0.012 * spectrum.max()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"field has shape \(2,\)"):
        ConstantField([1, 2])
    with pytest.raises(ValueError, match="amplitude is nan"):
        ConstantField(np.nan)
    with pytest.raises(ValueError, match="frequency is 0; give a positive number of THz"):
        SineField(E, frequency=0)
    with pytest.raises(ValueError, match="period is -1"):
        TriangleField(E, period=-1)
    with pytest.raises(ValueError, match="width is 0"):
        GaussianPulse(E, center=1, width=0)
    with pytest.raises(ValueError, match="chirp is inf"):
        ChirpedPulse(E, center=1, width=1, chirp=np.inf)
    with pytest.raises(ValueError, match="each larger than the one before"):
        TabulatedField([0, 0], [E, E])
    with pytest.raises(ValueError, match=r"values of shape \(2, 2\) do not fit 2 times"):
        TabulatedField([0, 1], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="cannot be added"):
        EXAMPLES["sine"] + ENVELOPE
    with pytest.raises(TypeError, match="make it a ConstantField"):
        EXAMPLES["sine"] + 1.0
    with pytest.raises(ValueError, match="two fields cannot be multiplied"):
        EXAMPLES["sine"] * EXAMPLES["pulse"]
    with pytest.raises(ValueError, match="factor of a field is 'x'"):
        EXAMPLES["sine"] * "x"
    with pytest.raises(TypeError, match="is not a waveform and cannot be stored"):
        Sum((EXAMPLES["sine"], lambda time: E)).to_json()
    with pytest.raises(ValueError, match="a waveform's type is 'Square'; give ConstantField, Sine"):
        waveform_from_dict(UNITS | {"type": "Square"})
    for text in ("[1, 2]", "3", json.dumps(UNITS | {"type": "Sum", "parts": [1]}), "null"):
        with pytest.raises(ValueError, match="waveform's data are names and values"):
            waveform_from_json(text)
    for kind in ("Sum", "Product"):
        with pytest.raises(ValueError, match=f"a {kind} has no parts; give at least one"):
            waveform_from_dict(UNITS | {"type": kind, "parts": []})
    with pytest.raises(ValueError, match="parts of a Sum are a list, not 3"):
        waveform_from_dict(UNITS | {"type": "Sum", "parts": 3})
    with pytest.raises(ValueError, match="SineField cannot be made from"):
        waveform_from_dict(UNITS | {"type": "SineField", "amplitude": [0, 0, 1], "period": 3})


def test_picture_shows_the_field_in_its_units():
    field = SineField([0.0, 0.02, 0.0], frequency=1.0)
    figure = plot_field(field, 2000.0, title="pump")
    axis = figure.axes[0]
    x, y = axis.lines[1].get_data()
    assert x[-1] == pytest.approx(2.0)  # ps
    np.testing.assert_allclose(y, 2.0 * np.sin(2 * np.pi * x), atol=1e-9)  # MV/cm
    assert "MV/cm" in axis.get_ylabel()
    assert axis.get_title() == "pump"
    with pytest.raises(ValueError, match="duration is 0"):
        plot_field(field, 0)
