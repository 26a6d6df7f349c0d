"""Fields that depend on position: E(r, t), a wave, a beam, a field on some of the atoms.

The force on an atom is Z*ᵀE at its own site. Z* is the response to a *uniform* field, however, and
a network depends on all atoms within its range, 15 Å for `universal`: a field must vary slowly on
that scale. The leading neglected term is the field gradient acting on dynamical quadrupoles, of
relative order 2π · (bond length) / wavelength.

Positions are wrapped into the cell along periodic directions while the field is on. A field thus
repeats with the cell, and should be equal on opposite faces: a wave whose wavevector is a
reciprocal lattice vector of the cell, or a beam that vanishes at the faces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import (
    LARGEST_LENGTH,
    finite_number,
    finite_real,
    positive_number,
    store_checked,
)
from ase_equivar.fields.algebra import (
    SAMPLES_PER_PERIOD,
    Field,
    check_function_of_time,
    longest_step,
)
from ase_equivar.fields.forces import check_field, check_fields
from ase_equivar.fields.medium import unit_direction
from ase_equivar.fields.waveforms import ConstantField
from ase_equivar.units import CYCLES_PER_FS

LARGEST_WAVEVECTOR = 1.0  # 1/Å: a wave of 6 Å, for which Z* do not describe the response


class SpatialField(ABC):
    """A field that depends on position, E(r, t)."""

    def __call__(self, positions: ArrayLike, time: float) -> NDArray[np.float64]:
        """Return the field at given positions.

        Parameters
        ----------
        positions : array_like
            Positions of all atoms, Å, shape=(N, 3).
        time : float
            fs.

        Returns
        -------
        numpy.ndarray
            V/Å, shape=(N, 3).

        Raises
        ------
        ValueError
            If an argument is not finite, or the field is not N times three finite numbers.
        """
        places = finite_real("positions", positions, (None, 3), unit="Å")
        return check_fields(self._value(places, finite_number("time", time)), len(places))

    @property
    def longest_step(self) -> float:
        """The longest time step that resolves the field, fs."""
        return self._longest_step()

    @abstractmethod
    def _value(self, positions: NDArray[np.float64], time: float) -> ArrayLike: ...

    def _longest_step(self) -> float:
        return np.inf


@dataclass(frozen=True)
class FieldOfPosition(SpatialField):
    """Any function E(r, t).

    Parameters
    ----------
    function : callable
        Takes positions in Å, shape=(N, 3), and the time in fs; returns V/Å, shape=(N, 3).

    Raises
    ------
    TypeError
        If it is not callable.
    """

    function: Callable[[NDArray[np.float64], float], ArrayLike]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function is {self.function!r}; give a function of positions and time")

    def _value(self, positions: NDArray[np.float64], time: float) -> ArrayLike:
        return self.function(positions, time)


@dataclass(frozen=True)
class PlaneWave(SpatialField):
    """amplitude · cos(wavevector · r − 2π frequency t + phase).

    Parameters
    ----------
    amplitude : array_like
        V/Å, shape=(3,); perpendicular to the wavevector, as for light, or along it.
    wavevector : array_like
        2π/wavelength in the direction of the wave, 1/Å, shape=(3,). Choose a short reciprocal
        lattice vector of a large cell, such as ``2 * np.pi * np.array([1, 0, 0]) @
        atoms.cell.reciprocal()``.
    frequency : float
        THz; 0 for a standing pattern.
    phase : float
        Radians.

    Raises
    ------
    ValueError
        If a number is not finite, or the wave is shorter than 6 Å.
    """

    amplitude: ArrayLike
    wavevector: ArrayLike
    frequency: float = 0.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        vector = finite_real(
            "wavevector", self.wavevector, (3,), unit="1/Å", largest=LARGEST_WAVEVECTOR
        )
        if (length := float(np.linalg.norm(vector))) > LARGEST_WAVEVECTOR:
            raise ValueError(
                f"wavevector has a length of {length:.3g} 1/Å, beyond {LARGEST_WAVEVECTOR:g}: a "
                f"wave of {2 * np.pi / length:.3g} Å is too short for Z*, the response to a "
                "uniform field"
            )
        store_checked(
            self,
            amplitude=tuple(check_field(self.amplitude).tolist()),
            wavevector=tuple(vector.tolist()),
            frequency=positive_number("frequency", self.frequency, "THz", zero=True),
            phase=finite_number("phase", self.phase),
        )

    def _value(self, positions: NDArray[np.float64], time: float) -> NDArray[np.float64]:
        cycles = CYCLES_PER_FS * self.frequency * time
        angle = positions @ np.asarray(self.wavevector) - 2 * np.pi * cycles + self.phase
        return np.cos(angle)[:, None] * np.asarray(self.amplitude)

    def _longest_step(self) -> float:
        rate = SAMPLES_PER_PERIOD * CYCLES_PER_FS * self.frequency
        return 1 / rate if rate else np.inf


@dataclass(frozen=True)
class GaussianBeam(SpatialField):
    """A field E(t) in a beam: times exp(−ρ²/waist²) at the distance ρ from its axis.

    Divergence and retardation along the axis are neglected: cells are too short for them.

    Parameters
    ----------
    field : callable or array_like
        Field on the axis: E(t) in V/Å, time in fs, such as a `GaussianPulse`; or three numbers.
    center : array_like
        A point on the axis, Å, shape=(3,).
    direction : array_like
        Direction of the axis, of any length, shape=(3,).
    waist : float
        Distance at which the field is 1/e of that on the axis, Å.

    Raises
    ------
    TypeError
        If the field is a function of positions and time.
    ValueError
        If a number is not finite, the direction is zero, or the waist is not positive.
    """

    field: Field | ArrayLike
    center: ArrayLike
    direction: ArrayLike
    waist: float

    def __post_init__(self) -> None:
        direction = unit_direction("direction", self.direction)
        center = finite_real("center", self.center, (3,), unit="Å", largest=LARGEST_LENGTH)
        store_checked(
            self,
            field=_over_time(self.field),
            center=tuple(center.tolist()),
            direction=direction,
            waist=positive_number("waist", self.waist, "Å", largest=LARGEST_LENGTH),
        )

    def _value(self, positions: NDArray[np.float64], time: float) -> NDArray[np.float64]:
        from_axis = np.cross(positions - np.asarray(self.center), np.asarray(self.direction))
        profile = np.exp(-(from_axis**2).sum(axis=1) / self.waist**2)
        return profile[:, None] * check_field(_call(self.field, time))

    def _longest_step(self) -> float:
        return longest_step(self.field)


@dataclass(frozen=True)
class FieldOnAtoms(SpatialField):
    """A field on some of the atoms, and none on the others.

    Parameters
    ----------
    field : callable, array_like or SpatialField
        E(t), three numbers, or E(r, t), in V/Å; see `ase_equivar.dynamics.drive`.
    indices : array_like
        Indices of the atoms, counted from 0, shape=(M,).

    Raises
    ------
    ValueError
        If the field is not one of the forms above or not finite, or the indices are not distinct
        non-negative integers.
    """

    field: Field | ArrayLike | SpatialField
    indices: ArrayLike

    def __post_init__(self) -> None:
        given = finite_real("indices", self.indices, (None,))
        chosen = given.astype(np.int64)
        if not len(given) or (chosen != given).any() or (given < 0).any():
            raise ValueError("indices must be non-negative integers, at least one")
        if len(np.unique(chosen)) < len(chosen):
            raise ValueError("indices contain an atom twice")
        own = self.field if isinstance(self.field, SpatialField) else _over_time(self.field)
        store_checked(self, field=own, indices=tuple(chosen.tolist()))

    def _value(self, positions: NDArray[np.float64], time: float) -> NDArray[np.float64]:
        chosen = np.asarray(self.indices)
        if chosen.max() >= len(positions):
            raise ValueError(
                f"indices go up to {chosen.max()}, but there are {len(positions)} atoms"
            )
        field = np.zeros_like(positions)
        if isinstance(self.field, SpatialField):
            field[chosen] = self.field(positions, time)[chosen]
        else:
            field[chosen] = check_field(_call(self.field, time))
        return field

    def _longest_step(self) -> float:
        return longest_step(self.field)


def _over_time(field: Field | ArrayLike) -> Field:
    if not callable(field):
        return ConstantField(check_field(field))
    check_function_of_time("the field", field)
    return field


def _call(field: Any, time: float) -> ArrayLike:
    value: ArrayLike = field(time)
    return value
