"""Checks of fields shared by the configurations of several networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ase_equivar.arguments import positive_number, whole_number

HEAVIEST = 118
LARGEST = {"cutoff": (30.0, "Å"), "mean_neighbors": (1e5, "neighbors")}


def check_fields(
    config: Any, sizes: Sequence[tuple[str, int, int]], positive: Sequence[str] = ("cutoff",)
) -> None:
    """Refuse invalid fields; afterwards all fields have the right types.

    Parameters
    ----------
    config : frozen dataclass
        With a field `elements`.
    sizes : sequence of (str, int, int)
        Integer fields, with their smallest and largest allowed values.
    positive : sequence of str
        Fields of `LARGEST` that are positive numbers.

    Raises
    ------
    ValueError
        If a field is invalid; the message names it.
    """
    object.__setattr__(config, "elements", _atomic_numbers(config.elements))
    for name, least, most in sizes:
        object.__setattr__(config, name, whole_number(name, getattr(config, name), least, most))
    for name in positive:
        largest, unit = LARGEST[name]
        number = positive_number(name, getattr(config, name), unit, largest=largest)
        object.__setattr__(config, name, number)


def _atomic_numbers(elements: Iterable[int]) -> tuple[int, ...]:
    try:
        numbers = tuple(elements)
    except TypeError as error:
        raise ValueError(f"elements is {elements!r}; give atomic numbers") from error
    return tuple(whole_number("an entry of elements", z, 1, HEAVIEST) for z in numbers)
