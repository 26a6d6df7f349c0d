"""A field tabulated at given times, such as a measured pulse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_FIELD, finite_real, store_checked
from ase_equivar.fields.algebra import SAMPLES_PER_PERIOD, Waveform

LARGEST_ERROR = 1 - math.cos(math.pi / SAMPLES_PER_PERIOD)
"""Of interpolation between samples of a sine, in the middle between two, of its amplitude."""
GROWTH = 1.1  # of the steps that are tried, one after the other


@dataclass(frozen=True)
class TabulatedField(Waveform):
    """Linear interpolation between given points; constant before the first and after the last.

    A time step resolves it if it is not longer than the shortest interval of the table, or if
    interpolation between its values with that step is as good as that of a sine with ten steps in
    a period: a table may be finer than the steps of the run.

    Parameters
    ----------
    times : array_like
        Ascending, fs, shape=(T,).
    values : array_like
        V/Å, shape=(T, 3); or shape=(T,) for an envelope.
    """

    times: ArrayLike
    values: ArrayLike

    def __post_init__(self) -> None:
        times = finite_real("times", self.times, (None,), unit="fs")
        values = finite_real("values", self.values, None, unit="V/Å", largest=LARGEST_FIELD)
        if len(times) < 2 or not (np.diff(times) > 0).all():
            raise ValueError("times must be two or more numbers, each larger than the one before")
        if values.shape not in ((len(times),), (len(times), 3)):
            raise ValueError(
                f"values of shape {values.shape} do not fit {len(times)} times: give "
                f"({len(times)}, 3) in V/Å, or ({len(times)},) for an envelope"
            )
        store_checked(
            self,
            times=tuple(times.tolist()),
            values=tuple(tuple(row) if values.ndim == 2 else row for row in values.tolist()),
        )

    def _value(self, time: float) -> NDArray[np.float64]:
        found = self._at(np.array([time]))[0]
        return found if self.is_vector else found[0]

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.times), np.array(self.values)

    def _is_vector(self) -> bool:
        return np.ndim(self.values) == 2

    def _is_zero(self) -> bool:
        return not np.any(self.values)

    def _longest_step(self) -> float:
        return self._resolving_step

    @cached_property
    def _resolving_step(self) -> float:
        """Found once: some engines ask at each step."""
        times, values = self._table
        values = values.reshape(len(times), -1)
        middle = (values.max(axis=0) + values.min(axis=0)) / 2
        allowed = LARGEST_ERROR * np.linalg.norm(values - middle, axis=1).max()
        if allowed == 0:
            return np.inf  # the same at all times
        step = float(np.diff(times).min())
        while step < times[-1] - times[0]:
            ends = [self._at(times + side * GROWTH * step / 2) for side in (-1, 1)]
            if np.linalg.norm((ends[0] + ends[1]) / 2 - values, axis=1).max() > allowed:
                break
            step *= GROWTH
        return step

    def _at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values at many times, shape=(T, 3), or (T, 1) for an envelope."""
        given, values = self._table
        columns = [np.interp(times, given, column) for column in np.atleast_2d(values.T)]
        return np.stack(columns, axis=1)
