"""The space group of a crystal, its operations, and whether it is close to a higher one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import ArrayLike, NDArray

from ase_equivar.warning_types import SymmetryWarning

SYMPREC = 1e-5
"""Distance in Å within which two positions count as equivalent, by default; phonopy's default
too."""

LONGEST_SYMPREC = 1.0  # Å
LOOSE = 1e-3  # Å, about the rounding of coordinates in databases and CIF files
TOO_CLOSE = 0.5  # Å

SpglibCell: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Lattice vectors (rows), fractional positions and types of the atoms."""


@dataclass(frozen=True)
class Operation:
    """An operation of the space group.

    Attributes
    ----------
    rotation : ndarray, shape (3, 3)
        Orthogonal, Cartesian.
    images : ndarray of int, shape (N,)
        Where it takes each atom of the cell.
    """

    rotation: NDArray[np.float64]
    images: NDArray[np.int64]

    @classmethod
    def of(cls, cell: SpglibCell, rotation: ArrayLike, translation: ArrayLike) -> Operation:
        """Make one from spglib's rotation (3, 3) and translation (3,) of fractional positions."""
        lattice, positions, types = cell
        rotation = np.asarray(rotation)
        offsets = (positions @ rotation.T + translation)[:, None] - positions
        distances = np.linalg.norm((offsets - np.rint(offsets)) @ lattice, axis=2)
        distances[types[:, None] != types] = np.inf
        cartesian = lattice.T @ rotation @ np.linalg.inv(lattice.T)
        return cls(cartesian, distances.argmin(axis=1))


def spglib_cell(atoms: Atoms) -> SpglibCell:
    """Return a structure as spglib takes it."""
    return atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers


def space_group(cell: SpglibCell, symprec: float) -> Any:
    """Return spglib's dataset of a crystal; None if it finds no space group.

    There is none where two atoms are closer than the tolerance. Older versions of spglib return
    None then, newer ones raise an exception of their own.

    Parameters
    ----------
    cell : tuple
        See `SpglibCell`.
    symprec : float
        Å.
    """
    import spglib  # not needed for predictions

    error = getattr(spglib, "SpglibError", None)
    raised = error if isinstance(error, type) and issubclass(error, Exception) else ()
    try:
        return spglib.get_symmetry_dataset(cell, symprec=symprec)
    except raised:
        return None


def require_space_group(cell: SpglibCell, symprec: float) -> Any:
    """Return spglib's dataset of a crystal.

    Raises
    ------
    ValueError
        If there is none; the message names two atoms that are too close to each other.
    """
    found = space_group(cell, symprec)
    if found is not None:
        return found
    lattice, positions, _ = cell
    atoms = Atoms(cell=lattice, scaled_positions=positions, pbc=True)
    first, second, distances = neighbor_list("ijd", atoms, max(TOO_CLOSE, 2 * symprec))
    where = ""
    if len(distances):
        k = int(distances.argmin())
        i, j = sorted((int(first[k]), int(second[k])))
        where = f": atoms {i} and {j} are {distances[k]:.3g} Å apart. Is one of them there twice?"
    raise ValueError(f"no space group is found within a tolerance of {symprec:g} Å{where}")


def warn_if_nearly_symmetric(cell: SpglibCell, symprec: float) -> None:
    """Warn where a tolerance of 1e-3 Å would give a higher space group.

    Parameters
    ----------
    cell : tuple
        See `SpglibCell`.
    symprec : float
        Tolerance in use, Å.

    Raises
    ------
    ValueError
        As `require_space_group`.

    Warns
    -----
    SymmetryWarning
    """
    used = require_space_group(cell, symprec)
    if symprec >= LOOSE:
        return
    loose = space_group(cell, LOOSE)
    if loose is None or len(loose.rotations) <= len(used.rotations):
        return
    warnings.warn(
        f"within {symprec:g} Å the space group is {used.international} ({used.number}) with "
        f"{len(used.rotations)} operations in the cell, but within {LOOSE:g} Å it would be "
        f"{loose.international} ({loose.number}) with {len(loose.rotations)}. In the lower group, "
        "phonons need more displacements, and modes have its labels. For the higher one, give "
        f"symprec={LOOSE:g} (--symprec {LOOSE:g})",
        SymmetryWarning,
        stacklevel=3,
    )
