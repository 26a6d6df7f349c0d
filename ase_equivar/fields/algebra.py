"""Sums, products and serialization of waveforms; the shapes in time are in `waveforms`."""

from __future__ import annotations

import inspect
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Real
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import finite_number, finite_real, store_checked

Field: TypeAlias = Callable[[float], ArrayLike]
"""E(t): time in fs → three numbers in V/Å. Every vector-valued Waveform is one."""

UNITS = "fs, THz, V/Å"
"""Of the numbers in the data of a waveform."""

SAMPLES_PER_PERIOD = 10
"""Time steps needed in the shortest period of a field.

Two is the bound of Nyquist, below which a field is mistaken for a slower one. The response of
velocity Verlet to a force of angular frequency ω is wrong by about (ω dt)²/24, 1.6 % at ten.
"""


CANNOT_ADD = "a field (three numbers) and an envelope (one number) cannot be added"
CANNOT_MULTIPLY = "two fields cannot be multiplied; give one of them a number as its amplitude"


class Waveform(ABC):
    """A function of time (fs): a field in V/Å (a vector) or an envelope (a scalar).

    Subclasses are frozen dataclasses.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    __array_ufunc__ = None  # makes NumPy numbers defer + and * to the methods below

    def __call__(self, time: float) -> NDArray[np.float64]:
        """Return the field at `time` (fs), V/Å, shape=(3,); for an envelope, shape=()."""
        return self._value(finite_number("time", time))

    @property
    def is_vector(self) -> bool | None:
        """Whether this is a field, not an envelope; None if functions leave it undetermined."""
        return self._is_vector()

    @property
    def is_zero(self) -> bool:
        """Whether this vanishes at all times."""
        return self._is_zero()

    @property
    def longest_step(self) -> float:
        """The longest time step that resolves this, fs; see SAMPLES_PER_PERIOD."""
        return self._longest_step()

    @abstractmethod
    def _value(self, time: float) -> NDArray[np.float64]: ...

    @abstractmethod
    def _is_vector(self) -> bool | None: ...

    @abstractmethod
    def _is_zero(self) -> bool: ...

    @abstractmethod
    def _longest_step(self) -> float: ...

    def __add__(self, other: Field) -> Sum:
        return Sum((self, other))

    def __radd__(self, other: Field | float) -> Waveform:
        if isinstance(other, Real) and other == 0:  # the start value of sum()
            return self
        return Sum((other, self))  # type: ignore[arg-type]  # the constructor refuses other types

    def __mul__(self, factor: float | Field) -> Product:
        if callable(factor):
            return Product((self, factor))
        return Product((self,), scale=factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Product:
        number = finite_number("the divisor of a field", divisor)
        if number == 0:
            raise ZeroDivisionError("a field cannot be divided by 0")
        return self * (1 / number)

    def __neg__(self) -> Product:
        return self * -1.0

    def __sub__(self, other: Field) -> Sum:
        return Sum((self, _negative(other)))

    def __rsub__(self, other: Field) -> Sum:
        return Sum((other, -self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `waveform_from_dict` makes an equal waveform.

        Numbers are in the units of the constructors, as stated in the entry ``units``.

        Raises
        ------
        TypeError
            If a part is a function rather than a waveform of this package.
        """
        return {"units": UNITS} | self._data()

    def _data(self) -> dict[str, Any]:
        return {"type": type(self).__name__} | {
            name: _plain(getattr(self, name)) for name in self.__dataclass_fields__
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict())


@dataclass(frozen=True)
class Sum(Waveform):
    """The sum of fields, or of envelopes; written ``first + second``.

    Nested sums are flattened: a train of a thousand pulses is no more deeply nested than two
    pulses.
    """

    parts: Sequence[Field]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("a Sum has no parts; give at least one field")
        for part in self.parts:
            if not callable(part):
                raise TypeError(f"cannot add {part!r} to a field; make it a ConstantField")
            check_function_of_time("a part of the sum", part)
        if set(map(_is_vector, self.parts)) >= {True, False}:
            raise ValueError(CANNOT_ADD)
        parts = [part.parts if isinstance(part, Sum) else (part,) for part in self.parts]
        store_checked(self, parts=tuple(chain.from_iterable(parts)))

    def _value(self, time: float) -> NDArray[np.float64]:
        values = _values(self.parts, time)
        if len({value.ndim for value in values}) > 1:
            raise ValueError(CANNOT_ADD)
        return np.sum(np.array(values), axis=0)

    def _is_vector(self) -> bool | None:
        known = set(map(_is_vector, self.parts)) - {None}
        return known.pop() if known else None

    def _is_zero(self) -> bool:
        return all(isinstance(part, Waveform) and part.is_zero for part in self.parts)

    def _longest_step(self) -> float:
        return min(longest_step(part) for part in self.parts)


@dataclass(frozen=True)
class Product(Waveform):
    """The product of a number, envelopes and at most one field; ``2 * field * envelope``.

    Functions may be among the factors; whether they are fields or envelopes is known only when they
    are called. Nested products are flattened.
    """

    parts: Sequence[Field]
    scale: float = 1.0

    def __post_init__(self) -> None:
        if finite_real("the factor of a field", self.scale, None).ndim:
            raise ValueError(
                f"the factor of a field is {self.scale!r}, not a number; for a field in that "
                "direction use a ConstantField: ConstantField([Ex, Ey, Ez]) * envelope"
            )
        if not self.parts:
            raise ValueError("a Product has no parts; give at least one field or envelope")
        for part in self.parts:
            check_function_of_time("a factor of the product", part)
        scale = finite_number("the factor of a field", self.scale)
        if [_is_vector(part) for part in self.parts].count(True) > 1:
            raise ValueError(CANNOT_MULTIPLY)
        parts: list[Field] = []
        for part in self.parts:
            parts += part.parts if isinstance(part, Product) else (part,)
            scale *= part.scale if isinstance(part, Product) else 1.0
        store_checked(self, parts=tuple(parts), scale=scale)

    def _value(self, time: float) -> NDArray[np.float64]:
        values = _values(self.parts, time)
        if sum(value.ndim for value in values) > 1:
            raise ValueError(CANNOT_MULTIPLY)
        return math.prod(values, start=np.array(self.scale))

    def _is_vector(self) -> bool | None:
        kinds = set(map(_is_vector, self.parts))
        return True if True in kinds else None if None in kinds else False

    def _is_zero(self) -> bool:
        return self.scale == 0 or any(
            part.is_zero for part in self.parts if isinstance(part, Waveform)
        )

    def _longest_step(self) -> float:
        """From the sum of the highest frequencies of the factors."""
        rate = sum(1 / longest_step(part) for part in self.parts)
        return 1 / rate if rate else np.inf


def check_function_of_time(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function of two arguments, E(r, t), where E(t) is wanted.

    Raises
    ------
    TypeError
        Saying what to give instead.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions written in C have no signature
        return
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if sum(one.kind in kinds and one.default is one.empty for one in parameters) > 1:
        raise TypeError(
            f"{name} is a function of two arguments, not of time alone; for E(r, t) give the whole "
            "field as a FieldOfPosition(function), such as FieldOfPosition(lambda positions, "
            "time: pulse(time) * wave(positions, time))"
        )


def longest_step(field: Any) -> float:
    """Return the longest time step (fs) that resolves a field; infinity where it does not say so.

    Of the fields here, a `ConstantDisplacement` does not: its frequencies are those of the crystal.
    """
    return float(getattr(field, "longest_step", np.inf))


def _is_vector(part: Field) -> bool | None:
    return part.is_vector if isinstance(part, Waveform) else None


def _values(parts: Sequence[Field], time: float) -> list[NDArray[np.float64]]:
    return [finite_real("a part of the field", part(time), None) for part in parts]


def _negative(field: Field) -> Product:
    if not callable(field):
        raise TypeError(f"cannot subtract {field!r} from a field; make it a ConstantField")
    return Product((field,), scale=-1.0)


def _plain(value: Any) -> Any:
    if isinstance(value, Waveform):
        return value._data()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not isinstance(value, Real):
        raise TypeError(
            f"{value!r} is not a waveform and cannot be stored; tabulate it with TabulatedField"
        )
    return float(value)
