"""Cells with vacuum: sheets, slabs, wires and molecules, which are no crystals in three dimensions.

The field that acts on their atoms is not the one applied: see docs/conventions.md.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

VACUUM_GAP = 5.0  # Å; of 2906 crystals in the training data, 2 have a wider gap: one is a sheet


def widest_gap(atoms: Atoms) -> float:
    """Give the height in Å of the thickest slab between atoms, along any of the cell's faces."""
    inverse = np.linalg.inv(complete_cell(atoms.cell.array))
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    scaled = np.sort((atoms.positions @ inverse) % 1.0, axis=0)
    gaps = np.diff(scaled, axis=0, append=scaled[:1] + 1.0).max(axis=0)
    return float((gaps * heights).max())


def describe_vacuum(atoms: Atoms, gap: float = VACUUM_GAP) -> str | None:
    """Say in what way a structure is no crystal in three dimensions, as "has 8.0 Å of vacuum".

    Parameters
    ----------
    atoms : ase.Atoms
    gap : float
        What counts as vacuum, Å.

    Returns
    -------
    str or None
        None for a crystal.
    """
    if not atoms.pbc.all():
        return "is not periodic in three directions"
    widest = widest_gap(atoms)
    return f"has {widest:.1f} Å of vacuum" if widest > gap else None
