"""Structures that no model can make sense of, refused with the reason."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ase_equivar.graph.neighbors import NeighborSearch
from ase_equivar.graph.pair_filter import Pairs
from ase_equivar.structures.occupancy import check_full_occupancy

MIN_DISTANCE = 0.5  # Å; closer atoms are a mistake in the input, not chemistry
MIN_RELATIVE_VOLUME = 1e-6  # of the box with the same edge lengths and right angles


def check_atoms(atoms: Atoms) -> None:
    """Refuse a structure that no model could make sense of.

    Raises
    ------
    ValueError
        If there are no atoms; if sites are partly occupied or mixed; if a position or cell vector
        is not finite; if the cell vectors along periodic directions span no volume; if two atoms,
        or an atom and its own periodic image, are closer than 0.5 Å.
    """
    check_numbers_and_cell(atoms)
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
    ValueError
        Naming the unknown elements and listing the known ones.
    """
    present = set(atoms.numbers.tolist())
    unknown = sorted(present - set(known))
    if unknown:
        raise ValueError(
            f"the model has never seen {_symbols(unknown)} (in {_symbols(sorted(present))}); "
            f"it knows {_symbols(sorted(known))}"
        )


def check_numbers_and_cell(atoms: Atoms) -> None:
    """Do what `check_atoms` does but for the distances, which take a search."""
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms; give an Atoms object with at least one")
    check_full_occupancy(atoms)
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        raise ValueError(
            f"the position of atom {index} ({atoms.symbols[index]}) is not finite: "
            f"{atoms.positions[index]}"
        )
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError(f"the cell has entries that are not finite: {atoms.cell.array.tolist()}")
    periodic = atoms.cell.array[atoms.pbc]
    lengths = np.linalg.norm(periodic, axis=1)
    volume = np.sqrt(max(np.linalg.det(periodic @ periodic.T), 0.0))
    if volume <= MIN_RELATIVE_VOLUME * lengths.prod():
        axes = ", ".join(axis for axis, on in zip("abc", atoms.pbc, strict=True) if on)
        raise ValueError(
            f"the structure is periodic along {axes}, but these cell vectors span no volume: "
            f"{periodic.tolist()}; set the cell, or pbc=False along directions without one"
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
