"""Properties of calculators of other packages; errors name calculator and property."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    CalculatorError,
    PropertyNotImplementedError,
)


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
    with naming_failures(calculator, name, atoms):
        return calculator.get_property(name, atoms)


@contextmanager
def naming_failures(calculator: BaseCalculator, name: str, atoms: Atoms) -> Iterator[None]:
    """Name the calculator and the property in errors, as `calculated_property` says."""
    try:
        yield
    except (PropertyNotImplementedError, CalculatorError, MemoryError):
        raise
    except Exception as error:
        kind = type(calculator)
        if kind.__module__.partition(".")[0] == "ase_equivar":
            raise
        text = str(error).strip() or "without a message"
        raise RuntimeError(
            f"the calculator {kind.__name__} failed to give {name!r} of "
            f"{atoms.get_chemical_formula()}: {type(error).__name__}: {text}"
        ) from error
