"""An order of atoms in which neighbors in space are also close in memory.

In a large structure with atoms in arbitrary order, the features of each neighbor would be fetched
from a different region of memory.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.graph.neighbors import periodic_cell

WIDTH = 5.0  # Å; width of the boxes, within which the order does not matter
BITS = 20  # limit of the number of boxes along each direction


def morton_sort(atoms: Atoms) -> NDArray[np.int64]:
    """Sort atoms along a Morton curve through boxes of about `WIDTH`.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in 0 to 3 directions; positions need not lie inside the cell.

    Returns
    -------
    ndarray, shape (N,)
        ``atoms[order]`` are sorted; atoms within a box keep their order.
    """
    inverse = np.linalg.inv(periodic_cell(atoms))
    scaled = atoms.positions @ inverse
    heights = 1.0 / np.linalg.norm(inverse, axis=0)  # between opposite faces of the cell, Å
    scaled = np.where(atoms.pbc, scaled % 1.0, scaled - scaled.min(axis=0))
    boxes = np.minimum((scaled * heights / WIDTH).astype(np.int64), 2**BITS - 1)
    code = np.zeros(len(atoms), dtype=np.int64)
    for bit in range(int(boxes.max()).bit_length()):
        for axis in range(3):
            code |= ((boxes[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")
