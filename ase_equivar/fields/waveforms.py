"""Electric fields that change in time: E(t) in V/Å, with t in ASE's unit of time.

Molecular dynamics takes any callable of that kind (`ase_equivar.dynamics.drive`). Those here can
also be added and multiplied, know the longest time step that resolves them, and go to JSON and
back::

    from ase import units
    from ase_equivar.fields import ConstantField, GaussianPulse, waveform_from_json
    from ase_equivar.units import MV_PER_CM, THZ

    bias = ConstantField([0, 0, 0.5 * MV_PER_CM])
    pulse = GaussianPulse([MV_PER_CM, 0, 0], center=1000 * units.fs, width=200 * units.fs,
                          frequency=1.2 * THZ)
    field = waveform_from_json((bias + pulse).to_json())

Every amplitude is in V/Å, Cartesian, shape=(3,). A number instead makes an *envelope*, of use as a
factor: ``SineField([0, 0, 0.01], frequency=THZ) * GaussianPulse(1.0, center=500, width=100)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import (
    DEEPEST,
    LARGEST_FIELD,
    finite_number,
    finite_real,
    json_data,
    positive_number,
)
from ase_equivar.fields.algebra import SAMPLES_PER_PERIOD, Product, Sum, Waveform
from ase_equivar.fields.forces import check_field
from ase_equivar.fields.tabulated import TabulatedField

CUTOFF = 3.0  # standard deviations: beyond, a Gaussian has 1 % of its height


@dataclass(frozen=True)
class _WithAmplitude(Waveform):
    """One shape in time, times an amplitude."""

    amplitude: ArrayLike

    def __post_init__(self) -> None:
        self._settle(amplitude=_check_amplitude(self.amplitude))

    def _settle(self, **checked: float | tuple[float, ...]) -> None:
        """Keep arguments as the plain numbers that they stand for."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)

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
    """The same field at all times."""

    def _shape(self, time: float) -> float:
        return 1.0

    def _longest_step(self) -> float:
        return np.inf


@dataclass(frozen=True)
class SineField(_WithAmplitude):
    """amplitude · sin(2π frequency t + phase).

    Parameters
    ----------
    frequency : float
        Cycles per ASE unit of time, such as ``2.5 * THZ``.
    phase : float
        In radians; π/2 makes it a cosine.
    """

    frequency: float
    phase: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        unit = "cycles per ASE unit of time, as in 2 * THZ"
        self._settle(
            frequency=positive_number("frequency", self.frequency, unit),
            phase=finite_number("phase", self.phase),
        )

    def _shape(self, time: float) -> float:
        return float(np.sin(2 * np.pi * self.frequency * time + self.phase))

    def _longest_step(self) -> float:
        return 1 / (SAMPLES_PER_PERIOD * self.frequency)


@dataclass(frozen=True)
class TriangleField(_WithAmplitude):
    """A triangle wave: from 0 up to amplitude, down to −amplitude, and back to 0 in one period.

    Parameters
    ----------
    period : float
        In ASE's unit of time.
    """

    period: float

    def __post_init__(self) -> None:
        super().__post_init__()
        unit = "ASE's unit of time, as in 500 * units.fs"
        self._settle(period=positive_number("period", self.period, unit))

    def _shape(self, time: float) -> float:
        return float(1 - abs((4 * time / self.period + 1) % 4 - 2))

    def _longest_step(self) -> float:
        return self.period / SAMPLES_PER_PERIOD


@dataclass(frozen=True)
class StepField(_WithAmplitude):
    """Zero until `start`, then amplitude; with a smooth rise (sin²) if wanted.

    A rectangular pulse is a sum: ``StepField(E, start=t1) - StepField(E, start=t2)``.

    Parameters
    ----------
    start : float
        In ASE's unit of time. Without a rise, the field at `start` itself is half the amplitude:
        so the jump takes place at `start` to second order if that is a multiple of the time step.
        For a field that is on from the first step of a run, take ConstantField.
    rise : float
        Time from zero to amplitude, ASE's unit of time.
    """

    start: float
    rise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        unit = "ASE's unit of time, 0 for a jump"
        self._settle(
            start=finite_number("start", self.start),
            rise=positive_number("rise", self.rise, unit, zero=True),
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
    center : float
        Time of the maximum of the envelope, ASE's unit of time.
    width : float
        Standard deviation of the envelope of the field, ASE's unit of time. The full width at half
        maximum is 2.355 times that for the field, 1.665 times that for the intensity.
    frequency : float
        Of the carrier: cycles per ASE unit of time, such as ``THZ``. 0 for a half-cycle pulse.
    phase : float
        Of the carrier at the center, radians.
    """

    center: float
    width: float
    frequency: float = 0.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        cycles = "cycles per ASE unit of time, 0 without a carrier"
        self._settle(
            center=finite_number("center", self.center),
            width=positive_number("width", self.width, "ASE's unit of time, as in 200 * units.fs"),
            frequency=positive_number("frequency", self.frequency, cycles, zero=True),
            phase=finite_number("phase", self.phase),
        )

    def _shape(self, time: float) -> float:
        tau = time - self.center
        cycles = self.frequency * tau + self._extra_cycles(tau)
        envelope = np.exp(-0.5 * (tau / self.width) ** 2)
        return float(envelope * np.cos(2 * np.pi * cycles + self.phase))

    def _extra_cycles(self, tau: float) -> float:
        return 0.0

    def _longest_step(self) -> float:
        """From the frequency above which the spectrum has less than 1 % of its height."""
        bandwidth = CUTOFF / (2 * np.pi * self.width)
        return float(1 / (SAMPLES_PER_PERIOD * (self._highest_carrier() + bandwidth)))

    def _highest_carrier(self) -> float:
        return self.frequency


@dataclass(frozen=True)
class ChirpedPulse(GaussianPulse):
    """A GaussianPulse whose carrier has the frequency ``frequency + chirp · (t − center)``.

    Parameters
    ----------
    center, width, frequency, phase
        See GaussianPulse.
    chirp : float
        Cycles per ASE unit of time, per ASE unit of time; negative for a falling frequency.
    """

    chirp: float = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle(chirp=finite_number("chirp", self.chirp))

    def _extra_cycles(self, tau: float) -> float:
        return 0.5 * self.chirp * tau**2

    def _highest_carrier(self) -> float:
        return self.frequency + CUTOFF * self.width * abs(self.chirp)


def waveform_from_dict(data: Mapping[str, Any]) -> Waveform:
    """Make the waveform of which `data` is the `to_dict`.

    Raises
    ------
    ValueError
        If it is not a waveform's data.
    """
    return _waveform(data, depth=0)


def _waveform(data: Mapping[str, Any], depth: int) -> Waveform:
    """Make the waveform; `depth` is the number of sums and products that it is a part of."""
    if depth > DEEPEST // 2:
        raise ValueError(
            f"a waveform's sums and products lie in each other more than {DEEPEST // 2} times"
        )
    if not isinstance(data, Mapping):
        raise ValueError(f"a waveform's data are names and values, with 'type', not {data!r}")
    kinds = {kind.__name__: kind for kind in KINDS}
    settings = dict(data)
    name = settings.pop("type", None)
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"there is no waveform {name!r}; there are {', '.join(kinds)}")
    if "parts" in settings:
        if not isinstance(settings["parts"], Sequence):
            raise ValueError(f"the parts of a {name} are a list, not {settings['parts']!r}")
        settings["parts"] = [_waveform(part, depth + 1) for part in settings["parts"]]
    try:
        return kinds[name](**settings)
    except TypeError as error:
        raise ValueError(
            f"{name} cannot be made from {sorted(map(str, settings))}: {error}"
        ) from error


def waveform_from_json(text: str) -> Waveform:
    """Make the waveform of which `text` is the `to_json`; see `waveform_from_dict`."""
    return waveform_from_dict(json_data("the text of a waveform", text))


KINDS: tuple[type[Waveform], ...] = (
    ConstantField,
    SineField,
    TriangleField,
    StepField,
    GaussianPulse,
    ChirpedPulse,
    TabulatedField,
    Sum,
    Product,
)


def _check_amplitude(amplitude: ArrayLike) -> float | tuple[float, ...]:
    """Return a number or three, as plain data, so that waveforms can be compared."""
    if finite_real("the amplitude", amplitude, None).ndim == 0:
        return finite_number("the amplitude", amplitude, largest=LARGEST_FIELD)
    return tuple(check_field(amplitude).tolist())
