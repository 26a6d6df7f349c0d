"""Test whether a crystal is close to a higher symmetry than the tolerance in use finds."""

from __future__ import annotations

import warnings
from typing import Any

from numpy.typing import NDArray

from ase_equivar.warning_types import SymmetryWarning

SYMPREC = 1e-5
"""Distance in Å within which two positions count as equivalent, by default; phonopy's default
too."""

LONGEST_SYMPREC = 1.0  # Å
LOOSE = 1e-3  # Å, about the rounding of coordinates in databases and CIF files


def warn_if_nearly_symmetric(
    cell: tuple[NDArray[Any], NDArray[Any], NDArray[Any]], symprec: float
) -> None:
    """Warn where a tolerance of 1e-3 Å would give a higher space group.

    Parameters
    ----------
    cell : tuple
        Lattice vectors (rows), fractional positions and types of the atoms, as for spglib.
    symprec : float
        Tolerance in use, Å.

    Warns
    -----
    SymmetryWarning
    """
    if symprec >= LOOSE:
        return
    import spglib  # not needed for predictions

    used, loose = (spglib.get_symmetry_dataset(cell, symprec=s) for s in (symprec, LOOSE))
    if used is None or loose is None or len(loose.rotations) <= len(used.rotations):
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
