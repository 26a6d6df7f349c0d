"""Electric fields that change in time: E(t) in V/Å, with t in fs and frequencies in THz.

Molecular dynamics accepts any such callable (`ase_equivar.dynamics.drive`). The waveforms here can
also be added and multiplied, know the longest time step that resolves them, and can be stored as
JSON::

    from ase_equivar.fields import ConstantField, GaussianPulse, waveform_from_json
    from ase_equivar.units import MV_PER_CM

    bias = ConstantField([0, 0, 0.5 * MV_PER_CM])
    pulse = GaussianPulse([MV_PER_CM, 0, 0], center=1000, width=200, frequency=1.2)
    field = waveform_from_json((bias + pulse).to_json())

Every amplitude is in V/Å, Cartesian, shape=(3,). A number instead makes an *envelope*, to be used
as a factor: ``SineField([0, 0, 0.01], frequency=1) * GaussianPulse(1.0, center=500, width=100)``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import (
    LARGEST_FIELD,
    finite_number,
    finite_real,
    positive_number,
    store_checked,
)
from ase_equivar.fields.algebra import SAMPLES_PER_PERIOD, Waveform
from ase_equivar.fields.forces import check_field
from ase_equivar.units import CYCLES_PER_FS

CUTOFF = 3.0  # standard deviations at which a Gaussian falls to 1 % of its maximum


@dataclass(frozen=True)
class _WithAmplitude(Waveform):
    """A function of time multiplied by an amplitude."""

    amplitude: ArrayLike

    def __post_init__(self) -> None:
        store_checked(self, amplitude=_check_amplitude(self.amplitude))

    def _value(self, time: float) -> NDArray[np.float64]:
        return np.asarray(self.amplitude) * self._shape(time)

    def _shape(self, time: float) -> float:
        raise NotImplementedError

    def _is_vector(self) -> bool:
        return isinstance(self.amplitude, tuple)

    def _is_zero(self) -> bool:
        return not np.any(self.amplitude)


@dataclass(frozen=True)
class ConstantField(_WithAmplitude):
    """A constant field.

    Parameters
    ----------
    amplitude : array_like
        V/Å, shape=(3,); a number makes an envelope.
    """

    def _shape(self, time: float) -> float:
        return 1.0

    def _longest_step(self) -> float:
        return np.inf


@dataclass(frozen=True)
class SineField(_WithAmplitude):
    """amplitude · sin(2π frequency t + phase).

    Parameters
    ----------
    amplitude : array_like
        V/Å, shape=(3,); a number makes an envelope.
    frequency : float
        THz: cycles, not radians, per ps.
    phase : float
        Radians; π/2 gives a cosine.
    """

    frequency: float
    phase: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        store_checked(
            self,
            frequency=positive_number("frequency", self.frequency, "THz"),
            phase=finite_number("phase", self.phase),
        )

    def _shape(self, time: float) -> float:
        return float(np.sin(2 * np.pi * CYCLES_PER_FS * self.frequency * time + self.phase))

    def _longest_step(self) -> float:
        return 1 / (SAMPLES_PER_PERIOD * CYCLES_PER_FS * self.frequency)


@dataclass(frozen=True)
class TriangleField(_WithAmplitude):
    """A triangle wave: from 0 up to amplitude, down to −amplitude, and back to 0 in one period.

    Parameters
    ----------
    amplitude : array_like
        V/Å, shape=(3,); a number makes an envelope.
    period : float
        fs.
    """

    period: float

    def __post_init__(self) -> None:
        super().__post_init__()
        store_checked(self, period=positive_number("period", self.period, "fs"))

    def _shape(self, time: float) -> float:
        return float(1 - abs((4 * time / self.period + 1) % 4 - 2))

    def _longest_step(self) -> float:
        return self.period / SAMPLES_PER_PERIOD


@dataclass(frozen=True)
class StepField(_WithAmplitude):
    """Zero until `start`, then `amplitude`, with an optional smooth rise (sin²).

    A rectangular pulse is a sum: ``StepField(E, start=t1) - StepField(E, start=t2)``.

    Parameters
    ----------
    amplitude : array_like
        V/Å, shape=(3,); a number makes an envelope.
    start : float
        fs. Without a rise, the field at `start` itself is half the amplitude, so that the step is
        accurate to second order if `start` is a multiple of the time step. For a field that is on
        from the first step of a run, use ConstantField.
    rise : float
        Rise time from zero to the amplitude, fs.
    """

    start: float
    rise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        store_checked(
            self,
            start=finite_number("start", self.start),
            rise=positive_number("rise", self.rise, "fs", zero=True),
        )

    def _shape(self, time: float) -> float:
        if self.rise:
            fraction = np.clip((time - self.start) / self.rise, 0, 1)
            return float(np.sin(np.pi / 2 * fraction) ** 2)
        if np.isclose(time, self.start, rtol=1e-10, atol=1e-12):
            return 0.5
        return float(time > self.start)

    def _longest_step(self) -> float:
        return 2 * self.rise / SAMPLES_PER_PERIOD if self.rise else np.inf


@dataclass(frozen=True)
class GaussianPulse(_WithAmplitude):
    """amplitude · exp(−τ²/(2 width²)) · cos(2π frequency τ + phase), with τ = t − center.

    Parameters
    ----------
    amplitude : array_like
        V/Å, shape=(3,); a number makes an envelope.
    center : float
        Time of the maximum of the envelope, fs.
    width : float
        Standard deviation of the envelope of the field, fs. The full width at half maximum is 2.355
        times that for the field, 1.665 times that for the intensity.
    frequency : float
        Frequency of the carrier, THz; 0 for a half-cycle pulse.
    phase : float
        Phase of the carrier at the center, radians.
    """

    center: float
    width: float
    frequency: float = 0.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        store_checked(
            self,
            center=finite_number("center", self.center),
            width=positive_number("width", self.width, "fs"),
            frequency=positive_number("frequency", self.frequency, "THz", zero=True),
            phase=finite_number("phase", self.phase),
        )

    def _shape(self, time: float) -> float:
        tau = time - self.center
        cycles = CYCLES_PER_FS * (self.frequency * tau + self._chirped(tau))
        envelope = np.exp(-0.5 * (tau / self.width) ** 2)
        return float(envelope * np.cos(2 * np.pi * cycles + self.phase))

    def _chirped(self, tau: float) -> float:
        return 0.0

    def _longest_step(self) -> float:
        """From the frequency above which the spectrum is below 1 % of its maximum."""
        bandwidth = CUTOFF / (2 * np.pi * self.width)
        cycles = CYCLES_PER_FS * self._highest_carrier() + bandwidth
        return float(1 / (SAMPLES_PER_PERIOD * cycles))

    def _highest_carrier(self) -> float:
        return self.frequency


@dataclass(frozen=True)
class ChirpedPulse(GaussianPulse):
    """A GaussianPulse whose carrier has the frequency ``frequency + chirp · (t − center)``.

    Parameters
    ----------
    amplitude, center, width, frequency, phase
        See GaussianPulse: V/Å, fs, fs, THz and radians.
    chirp : float
        THz/fs; negative for a falling frequency.
    """

    chirp: float = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        store_checked(self, chirp=finite_number("chirp", self.chirp))

    def _chirped(self, tau: float) -> float:
        return 0.5 * self.chirp * tau**2

    def _highest_carrier(self) -> float:
        return self.frequency + CUTOFF * self.width * abs(self.chirp)


def _check_amplitude(amplitude: ArrayLike) -> float | tuple[float, ...]:
    """Return one or three numbers as plain data, so that waveforms can be compared."""
    if finite_real("the amplitude", amplitude, None).ndim == 0:
        return finite_number("the amplitude", amplitude, largest=LARGEST_FIELD)
    return tuple(check_field(amplitude).tolist())
