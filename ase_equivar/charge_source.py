"""Where Z* come from: the one answer for dynamics, dielectrics, phonons and engines.

Whatever needs the Z* of a structure, or of many on a path, takes a `ChargeSource`, and reads it by
`read_charges`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_CHARGE, finite_number, finite_real, refuse_class
from ase_equivar.ase_properties import UNCERTAINTY
from ase_equivar.calculated_property import calculated_property

Z_STAR = "born_effective_charges"
DISPLACEMENT_FIRST = {Z_STAR: False, "becs": False, "BEC": True}
"""What calculators call Z*, and whether they put the displacement first (docs/conventions.md)."""
UNKNOWN_ORDER = ("bec", "born_charge", "born", "apt")  # names of Z* that no known calculator gives

ChargeSource: TypeAlias = (
    BaseCalculator | Callable[[Atoms], ArrayLike] | Mapping[str, float] | ArrayLike
)
"""What gives Z* in |e|, row = field or polarization, column = displacement. One of

- an ASE calculator that gives ``born_effective_charges`` or, as MACE-Field does, ``becs`` (both row
  = field), or ``BEC`` of LES models (row = displacement, transposed here), shape=(N, 3, 3) or
  (N, 9);
- a function of Atoms that returns Z*, shape=(N, 3, 3);
- Z* themselves, shape=(N, 3, 3), the same for every structure;
- nominal charges, which stand for q·1: one for each atom, shape=(N,), or one for each chemical
  symbol, ``{"Li": 1, "O": -2}``.
"""


class BornChargesOf(Protocol):
    """A source of Z* that has been read: it gives those of any structure."""

    def __call__(self, atoms: Atoms, /) -> NDArray[np.float64]:
        """Return Z* of `atoms`, |e|, row = field, column = displacement, shape=(N, 3, 3)."""
        ...


def is_fixed(source: ChargeSource) -> bool:
    """Say whether a source gives the same Z* for every structure of the same atoms."""
    return not (isinstance(source, BaseCalculator) or callable(source))


def largest_uncertainty(source: ChargeSource) -> float:
    """Return that of the Z* that a source has just given, |e|; NaN where it states none."""
    results = getattr(source, "results", {}) if isinstance(source, BaseCalculator) else {}
    found = results.get(UNCERTAINTY)
    return np.nan if found is None else float(np.max(found))


def read_charges(source: ChargeSource, name: str = "born_charges") -> BornChargesOf:
    """Return a function that gives the Z* of Atoms, from whatever source.

    It can be pickled and copied as deep as the source can, whose copy it then asks.

    Parameters
    ----------
    source : calculator, callable, array_like or mapping of str to float
        See `ChargeSource`.
    name : str
        What messages call the source: the name of the argument.

    Returns
    -------
    callable
        Takes Atoms, and returns Z* in |e|, shape=(N, 3, 3). It raises ValueError if the source does
        not fit them, or gives what is not real and finite.

    Raises
    ------
    ase.calculators.calculator.PropertyNotImplementedError
        If a calculator does not give Z*.
    TypeError
        If it is a class of calculators, not a calculator.
    ValueError
        If numbers are not real and finite, or as large as no charges are.
    """
    refuse_class(name, source)
    if isinstance(source, BaseCalculator):
        return _of_calculator(source)
    if callable(source):
        return partial(_of_function, name, source)
    if isinstance(source, Mapping):
        by_symbol = {symbol: _nominal(name, symbol, charge) for symbol, charge in source.items()}
        return partial(_of_symbols, name, by_symbol)
    return partial(_fitting, name, _finite(name, source))


def _of_calculator(calculator: BaseCalculator) -> BornChargesOf:
    kind = type(calculator).__name__
    given_names = (*calculator.implemented_properties, *getattr(calculator, "results", {}))
    missing = (
        f"the calculator {kind} does not give {Z_STAR!r}: wrap it, EquivarCalculator({kind}(...)), "
        "or give Z* as an array, a function of Atoms, or nominal charges"
    )
    known = [name for name in DISPLACEMENT_FIRST if name in given_names]
    if not known:
        unknown = [name for name in UNKNOWN_ORDER if name in given_names]
        if unknown:
            missing += (
                f". If its {unknown[0]!r} are Z*, give a function of Atoms that returns them, row "
                "= field: nothing here knows their order"
            )
        raise PropertyNotImplementedError(missing)
    return partial(_calculated, calculator, known[0], missing)


def _calculated(
    calculator: BaseCalculator, property_name: str, missing: str, atoms: Atoms
) -> NDArray[np.float64]:
    try:
        given = calculated_property(calculator, property_name, atoms)
    except PropertyNotImplementedError as error:
        raise PropertyNotImplementedError(f"{missing} ({error})") from error
    name = f"{property_name} of the calculator {type(calculator).__name__}"
    found = _finite(name, given)
    n = len(atoms)
    if found.shape not in ((n, 3, 3), (n, 9)):
        raise ValueError(f"{name} has shape {found.shape}, not ({n}, 3, 3) or ({n}, 9)")
    tensors = found.reshape(n, 3, 3)
    if DISPLACEMENT_FIRST[property_name]:
        return np.ascontiguousarray(tensors.transpose(0, 2, 1))
    return tensors


def _of_function(
    name: str, function: Callable[[Atoms], ArrayLike], atoms: Atoms
) -> NDArray[np.float64]:
    return _fitting(name, _finite(f"{name}(atoms)", function(atoms)), atoms)


def _of_symbols(name: str, charges: Mapping[str, float], atoms: Atoms) -> NDArray[np.float64]:
    symbols = atoms.get_chemical_symbols()
    missing = sorted(set(symbols) - set(charges))
    if missing:
        raise ValueError(f"{name} has no charge for {', '.join(missing)}")
    return np.array([charges[symbol] for symbol in symbols])[:, None, None] * np.eye(3)


def _nominal(name: str, symbol: str, charge: float) -> float:
    return finite_number(
        f"the charge of {symbol} in {name}", charge, unit="|e|", largest=LARGEST_CHARGE
    )


def _finite(name: str, charges: ArrayLike) -> NDArray[np.float64]:
    return finite_real(name, charges, None, unit="|e|", largest=LARGEST_CHARGE)


def _fitting(name: str, charges: NDArray[np.float64], atoms: Atoms) -> NDArray[np.float64]:
    n = len(atoms)
    if charges.shape == (n, 3, 3):
        return charges
    if charges.shape == (n,):
        return charges[:, None, None] * np.eye(3)
    raise ValueError(
        f"{name} of shape {charges.shape} do not fit {n} atoms: give Z*, ({n}, 3, 3), or nominal "
        f"charges, ({n},)"
    )
