"""Structures that no model can make sense of, refused with the reason."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ase_equivar.graph.neighbors import NeighborSearch
from ase_equivar.graph.pair_filter import Pairs
from ase_equivar.structures.validation import check_structure

MIN_DISTANCE = 0.5  # Å; closer atoms are a mistake in the input, not chemistry


def check_atoms(atoms: Atoms) -> None:
    """Refuse a structure that no model could make sense of.

    Raises
    ------
    TypeError, ValueError
        As `ase_equivar.structures.validation.check_structure`; and if two atoms, or an atom and its
        own periodic image, are closer than 0.5 Å.
    """
    check_structure(atoms)
    check_distances(atoms, NeighborSearch(MIN_DISTANCE).pairs(atoms))


def check_elements(atoms: Atoms, known: Collection[int]) -> None:
    """Refuse elements that a model has never seen.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure.
    known : collection of int
        Atomic numbers of the elements in the model's training data.

    Raises
    ------
    TypeError
        If it is no Atoms object.
    ValueError
        Naming the unknown elements and listing the known ones.
    """
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms is a {type(atoms).__name__}; give an ase.Atoms")
    present = set(atoms.numbers.tolist())
    unknown = sorted(present - set(known))
    if unknown:
        raise ValueError(
            f"the model has never seen {_symbols(unknown)} (in {_symbols(sorted(present))}); "
            f"it knows {_symbols(sorted(known))}"
        )


def check_distances(atoms: Atoms, pairs: Pairs, order: NDArray[np.int64] | None = None) -> None:
    """Refuse two atoms, or an atom and its own image, closer than 0.5 Å."""
    if pairs.closest is None:
        return
    i, j, distance = pairs.closest
    if order is not None:  # that of the atoms in which the pairs were found
        i, j = int(order[i]), int(order[j])
    if distance >= MIN_DISTANCE:
        return
    pair = (
        f"atom {i} ({atoms.symbols[i]}) and its own periodic image"
        if i == j
        else f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]})"
    )
    raise ValueError(
        f"{pair} are {distance:.3f} Å apart, closer than {MIN_DISTANCE} Å; "
        "check positions, cell and units (Å)"
    )


def _symbols(numbers: Collection[int]) -> str:
    known = dict(enumerate(chemical_symbols))
    return ", ".join(known.get(number, f"number {number}") for number in numbers)
