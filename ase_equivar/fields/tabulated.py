"""A field tabulated at given times, such as a measured pulse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_FIELD, finite_real, store_checked
from ase_equivar.fields.algebra import Waveform


@dataclass(frozen=True)
class TabulatedField(Waveform):
    """Linear interpolation between given points; constant before the first and after the last.

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
        times, values = self._table
        columns = [np.interp(time, times, column) for column in np.atleast_2d(values.T)]
        return np.array(columns if self.is_vector else columns[0])

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.times), np.array(self.values)

    def _is_vector(self) -> bool:
        return np.ndim(self.values) == 2

    def _is_zero(self) -> bool:
        return not np.any(self.values)

    def _longest_step(self) -> float:
        return float(np.diff(self.times).min())
