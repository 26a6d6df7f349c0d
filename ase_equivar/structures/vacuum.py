"""Cells with vacuum: sheets, slabs, wires and molecules, which are not three-dimensional crystals.

The field that acts on their atoms is not the applied one: see docs/conventions.md.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import complete_cell
from numpy.typing import NDArray

from ase_equivar.structures.lattice import compact_vectors, heights, is_skewed

VACUUM_GAP = 3.0
"""Å between the covalent spheres of the atoms on both sides, from which on a gap is vacuum.

Of 2906 relaxed crystals, Ca4Co2O6 has the widest gap, 2.84 Å (6.4 Å between planes of Ca), but for
one of 5.6 Å that is a stack of sheets in vacuum (Pb4S4). Faces of caesium 8 Å apart leave 3.1 Å."""


def widest_gap(atoms: Atoms) -> float:
    """Return the thickness (Å) of the widest empty slab parallel to a lattice plane.

    Empty means not reached by any covalent sphere (radii of Cordero et al., Dalton Trans. 2832
    (2008), as in ASE); 0 if there is no such slab. The planes are the faces of the cell, and those
    of the cell with the shortest vectors: of a skewed cell, no face need be parallel to a sheet.
    """
    cell = np.asarray(complete_cell(atoms.cell.array))
    widest = _widest_gap(atoms, cell)
    if is_skewed(cell):
        shortest = compact_vectors(cell, np.ones(3, dtype=bool), always=True)
        widest = max(widest, _widest_gap(atoms, shortest))
    return widest


def _widest_gap(atoms: Atoms, cell: NDArray[np.float64]) -> float:
    """Return that between planes parallel to the faces of this cell."""
    inverse, spacings = np.linalg.inv(cell), heights(cell)
    places = ((atoms.positions @ inverse) % 1.0) * spacings
    radii = covalent_radii[atoms.numbers]
    widest = 0.0
    for place, height in zip(places.T, spacings, strict=True):
        order = np.argsort(place - radii)
        starts = (place - radii)[order]
        reached = np.maximum.accumulate((place + radii)[order])
        # A sphere that leaves the cell at the top re-enters at the bottom.
        reached = np.maximum(reached, reached[-1] - height)
        widest = max(widest, float((np.append(starts[1:], starts[0] + height) - reached).max()))
    return widest


def describe_vacuum(atoms: Atoms) -> str | None:
    """Describe why a structure is not a three-dimensional crystal, e.g. "has 8.0 Å of vacuum".

    Returns
    -------
    str or None
        None for a three-dimensional crystal.
    """
    if not atoms.pbc.all():
        return "is not periodic in three directions"
    widest = widest_gap(atoms)
    return f"has {widest:.1f} Å of vacuum" if widest > VACUUM_GAP else None
