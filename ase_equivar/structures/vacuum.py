"""Cells with vacuum: sheets, slabs, wires and molecules, which are not three-dimensional crystals.

The field that acts on their atoms is not the applied one: see docs/conventions.md.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import complete_cell
from numpy.typing import NDArray

from ase_equivar.structures.lattice import compact_vectors

VACUUM_GAP = 3.0
"""Å between the covalent spheres of the atoms on both sides, from which on a gap is vacuum.

Of 2906 relaxed crystals, Ca4Co2O6 has the widest gap, 2.84 Å (6.4 Å between planes of Ca), but for
one of 5.6 Å that is a stack of sheets in vacuum (Pb4S4). Faces of caesium 8 Å apart leave 3.1 Å."""

PLANES = np.array(
    [hkl for hkl in product(range(-2, 3), repeat=3) if hkl > (0, 0, 0) and math.gcd(*hkl) == 1]
)
"""Miller indices of at most 2, one of each pair of opposite ones."""


def widest_gap(atoms: Atoms) -> float:
    """Return the thickness (Å) of the widest empty slab parallel to a lattice plane.

    Empty means not reached by any covalent sphere (radii of Cordero et al., Dalton Trans. 2832
    (2008), as in ASE); 0 if there is no such slab. The planes are those with Miller indices of at
    most 2 in the cell with the shortest vectors: of a skewed cell, or where the vectors of a sheet
    are longer than the way to the next one, no face need be parallel to the sheet.
    """
    cell = compact_vectors(complete_cell(atoms.cell.array), np.ones(3, dtype=bool), always=True)
    inverse = np.linalg.inv(cell)
    fractional = atoms.positions @ inverse
    spacings = 1.0 / np.linalg.norm(inverse @ PLANES.T, axis=0)
    radii = covalent_radii[atoms.numbers]
    widest = 0.0
    for plane, spacing in zip(PLANES, spacings.tolist(), strict=True):
        if spacing > widest:  # a gap is narrower than its planes are apart
            place = ((fractional @ plane) % 1.0) * spacing
            widest = max(widest, _gap_of_plane(place, spacing, radii))
    return widest


def _gap_of_plane(place: NDArray[np.float64], spacing: float, radii: NDArray[np.float64]) -> float:
    """Return that between planes of one orientation, from heights above one of them (Å)."""
    order = np.argsort(place - radii)
    starts = (place - radii)[order]
    reached = np.maximum.accumulate((place + radii)[order])
    # A sphere that leaves the cell at the top re-enters at the bottom.
    reached = np.maximum(reached, reached[-1] - spacing)
    return max(0.0, float((np.append(starts[1:], starts[0] + spacing) - reached).max()))


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
