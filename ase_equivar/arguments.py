"""Numbers that callers give: every public function and constructor checks its own with these.

What is refused is a `ValueError` that names the argument: complex numbers with an imaginary part,
NaN, infinity, booleans and text in place of numbers, another shape, sizes that nothing has.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

LARGEST_CHARGE = 1e6  # |e|, of an atom; networks with random weights reach thousands
LARGEST_FIELD = 1e3  # V/Å; a thousand times what tears any crystal apart
LARGEST_TEMPERATURE = 1e6  # K
LARGEST_LENGTH = 1e6  # Å; beyond, float64 leaves fewer than ten digits of a distance
ASYMMETRY = 0.02  # of the largest component of a dielectric tensor
DEEPEST = 100  # lists and objects within each other, in JSON; ours have four or so
SHOWN = 80  # characters of a wrong value in a message

Shape: TypeAlias = Sequence[int | None]
"""Of an array; None stands for any number."""


def store_checked(instance: object, **checked: object) -> None:
    """Replace arguments of a frozen dataclass, in ``__post_init__``, by what was made of them."""
    for name, value in checked.items():
        object.__setattr__(instance, name, value)


def finite_real(
    name: str, value: object, shape: Shape | None, *, unit: str = "", largest: float | None = None
) -> NDArray[np.float64]:
    """Return a new array of finite real numbers, or refuse what is none.

    Parameters
    ----------
    name : str
        What the message calls it: the name of the argument.
    value : array_like
        Anything that NumPy makes an array of numbers of.
    shape : sequence of int or None
        What it must have, None in it for any length; () for a number. None: any shape.
    unit : str
        What the numbers are, for the message: "V/Å".
    largest : float, optional
        Bound on the absolute values.

    Raises
    ------
    ValueError
        If it has another shape, or numbers in it are not real, not finite or beyond `largest`.
    """
    of_unit = f" of {unit}" if unit else ""
    given = _array(name, value)
    if shape is not None and (
        given.ndim != len(shape)
        or any(n not in (None, m) for n, m in zip(shape, given.shape, strict=True))
    ):
        if not shape:
            raise ValueError(f"{name} is {_shown(value)}; give one number{of_unit}")
        raise ValueError(f"{name} has shape {given.shape}, not {_written(shape)}")
    if not np.isfinite(given).all():
        if given.ndim == 0:
            raise ValueError(f"{name} is {given}; give a finite number{of_unit}")
        where = [int(i) for i in np.argwhere(~np.isfinite(given))[0]]
        raise ValueError(f"{name} is not finite: {given[tuple(where)]} at {where}")
    if largest is not None and given.size and np.abs(given).max() > largest:
        raise ValueError(
            f"{name} reaches {np.abs(given).max():.3g}, beyond {largest:g}{unit and f' {unit}'}: "
            "check its unit"
        )
    return given


def finite_number(
    name: str, value: object, *, unit: str = "", largest: float | None = None
) -> float:
    """Return one finite real number; see `finite_real`."""
    return float(finite_real(name, value, (), unit=unit, largest=largest))


def positive_number(
    name: str, value: object, unit: str, *, largest: float | None = None, zero: bool = False
) -> float:
    """Return one finite number above 0, or from 0 on with `zero`; see `finite_real`."""
    try:
        number = finite_number(name, value)
    except ValueError:
        number = np.nan
    if not (number > 0 or (zero and number == 0)):
        wanted = f"0 or a positive number of {unit}" if zero else f"a positive number of {unit}"
        raise ValueError(f"{name} is {_shown(value)}; give {wanted}")
    return finite_number(name, number, unit=unit, largest=largest)


def whole_number(name: str, value: object, at_least: int = 0, at_most: int = 2**63 - 1) -> int:
    """Return a whole number; one that is written as a float, 3.0, is one too.

    Raises
    ------
    ValueError
        If it is none, below `at_least` or above `at_most`.
    """
    number: int | None = None
    if isinstance(value, Integral) and not isinstance(value, bool | np.bool_):
        number = int(value)
    else:
        with contextlib.suppress(ValueError):
            rounded = finite_number(name, value)
            number = int(rounded) if rounded.is_integer() else None
    if number is None or not at_least <= number <= at_most:
        wanted = f"from {at_least} on" if at_most == 2**63 - 1 else f"from {at_least} to {at_most}"
        raise ValueError(f"{name} is {_shown(value)}; give a whole number {wanted}")
    return number


def born_charges_array(name: str, value: object, n_atoms: int | None = None) -> NDArray[np.float64]:
    """Return Z* in |e|, shape (N, 3, 3), or refuse what cannot be; see `finite_real`."""
    return finite_real(name, value, (n_atoms, 3, 3), unit="|e|", largest=LARGEST_CHARGE)


def dielectric_array(name: str, value: object) -> NDArray[np.float64]:
    """Return a dielectric tensor, made exactly symmetric, shape (3, 3).

    Raises
    ------
    ValueError
        As `finite_real`; if it is not symmetric, or its lowest eigenvalue is below 1: no material
        responds less than the vacuum.
    """
    tensor = finite_real(name, value, (3, 3))
    asymmetry = np.abs(tensor - tensor.T).max()
    if asymmetry > ASYMMETRY * np.abs(tensor).max():
        raise ValueError(
            f"{name} is not symmetric: components across the diagonal differ by {asymmetry:.3g}"
        )
    symmetric: NDArray[np.float64] = (tensor + tensor.T) / 2
    lowest = float(np.linalg.eigvalsh(symmetric)[0])
    if lowest < 1 - 1e-6:
        raise ValueError(
            f"the lowest eigenvalue of {name} is {lowest:.3g}; that of a dielectric tensor is 1 "
            "or more"
        )
    return symmetric


def json_data(name: str, text: object) -> Any:
    """Return what JSON text says.

    Parameters
    ----------
    name : str
        What the message calls the text.
    text : str

    Raises
    ------
    ValueError
        If it is no JSON, or lists and objects lie in each other more than `DEEPEST` times: Python's
        parser recurses, and packages that raise the limit of recursion (symfc does, so phonopy
        does) turn its RecursionError into the end of the process.
    """
    if not isinstance(text, str):
        raise ValueError(f"{name} is {_shown(text)}; give text")
    if text.count("[") + text.count("{") > DEEPEST:  # strings of most texts need no search
        depth = 0
        for bracket in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, flags=re.DOTALL):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket.group(), 0)
            if depth > DEEPEST:
                raise ValueError(f"{name} has more than {DEEPEST} lists or objects in each other")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error


def _array(name: str, value: object) -> NDArray[np.float64]:
    """Return a float64 array of what are real numbers."""
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked elements; give all of them")
    numbers = None
    try:
        given = np.asarray(value)
        if given.dtype.kind == "c" and not np.any(given.imag):
            given = given.real
        if _is_real(given) and not (isinstance(value, list | tuple) and _has_bool(value)):
            numbers = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError, RuntimeError) as error:
        raise ValueError(_not_real(name, value)) from error
    if given.dtype.kind == "c":
        raise ValueError(f"{name} is complex; give real numbers")
    if numbers is None:
        raise ValueError(_not_real(name, value))
    return numbers


def _is_real(array: NDArray[Any]) -> bool:
    """Return whether it holds real numbers; as objects, integers of any length and fractions."""
    if array.dtype.kind == "O":
        return all(isinstance(one, Real) and not isinstance(one, bool) for one in array.flat)
    return array.dtype.kind in "iuf"


def _not_real(name: str, value: object) -> str:
    """Return the message: made only where it is wanted, for the text of an array takes long."""
    return f"{name} is {_shown(value)}; give real numbers"


def _has_bool(value: Sequence[Any]) -> bool:
    return any(
        isinstance(one, bool | np.bool_) or (isinstance(one, list | tuple) and _has_bool(one))
        for one in value
    )


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # whatever its own repr raises is not what the caller wants to know
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _written(shape: Shape) -> str:
    lengths = ["N" if n is None else str(n) for n in shape]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False, such as "no", which Python takes for True.

    Raises
    ------
    TypeError
        Saying so.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {_shown(value)}; give True or False")


def known_word(name: str, value: object, known: Collection[str]) -> Any:
    """Return a word that is one of those known.

    Raises
    ------
    ValueError
        Naming them, if it is not.
    """
    if not isinstance(value, str) or value not in known:
        *others, last = known
        words = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"{name} is {_shown(value)}; give {words}")
    return value


def refuse_class(name: str, value: object) -> None:
    """Refuse a class where an object of it is meant: the parentheses are forgotten.

    Raises
    ------
    TypeError
        Saying so.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} is the class {value.__name__}; give an object: {value.__name__}(…)"
        )
