"""Calculators of other packages: their properties, errors, and what they hold within."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    CalculatorError,
    PropertyNotImplementedError,
)

_Result = TypeVar("_Result")


def calculated_property(calculator: BaseCalculator, name: str, atoms: Atoms) -> Any:
    """Return a property of a structure from a calculator.

    Parameters
    ----------
    calculator : ase calculator
    name : str
        As ASE calls it.
    atoms : ase.Atoms

    Raises
    ------
    RuntimeError
        If a calculator of another package fails: it names the calculator, the property and the
        structure, and the calculator's own error is its cause. Errors of ASE's own kinds, and of
        the calculators here, stay as they are.
    """
    return with_failures_named(
        lambda: calculator.get_property(name, atoms), calculator, name, atoms
    )


def own(value: Any) -> Any:
    """Return a value to keep: some calculators fill the same array again for the next atoms."""
    return value.copy() if isinstance(value, np.ndarray) else value


def with_failures_named(
    calculate: Callable[[], _Result], calculator: BaseCalculator, name: str, atoms: Atoms
) -> _Result:
    """Return what a function returns; its errors are those of `calculated_property`."""
    try:
        return calculate()
    except (PropertyNotImplementedError, CalculatorError, MemoryError):  # name themselves
        raise
    except Exception as error:  # calculators of other packages raise whatever they like
        kind = type(calculator)
        if kind.__module__.partition(".")[0] == "ase_equivar":
            raise
        text = str(error).strip() or "without a message"
        raise RuntimeError(
            f"the calculator {kind.__name__} failed to give {name!r} of "
            f"{atoms.get_chemical_formula()}: {type(error).__name__}: {text}"
        ) from error


def all_within(calculator: Any) -> Iterator[Any]:
    """Yield a calculator and all that it wraps or, as ASE's SumCalculator does, mixes.

    Wrappers keep others under names of their own, alone or in lists: any attribute counts that is a
    calculator of ASE's kind.
    """
    waiting, seen = [calculator], set()
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += getattr(getattr(one, "mixer", None), "calcs", ())
        waiting.append(getattr(one, "calculator", None))
        for value in getattr(one, "__dict__", {}).values():
            members = value if isinstance(value, list | tuple) else [value]
            waiting += [member for member in members if isinstance(member, BaseCalculator)]
