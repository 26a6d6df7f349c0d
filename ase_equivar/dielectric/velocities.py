"""Velocities for trajectories that contain positions only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from ase_equivar.arguments import positive_number
from ase_equivar.dielectric.current import LONGEST_TIMESTEP
from ase_equivar.structures.lattice import nearest_images
from ase_equivar.structures.validation import check_structure

WIDTH = 5  # frames
LOST = WIDTH - 1  # frames lost at the two ends together


def with_velocities(frames: Iterable[Atoms], timestep: float) -> Iterator[Atoms]:
    """Yield frames with velocities from the displacements between them.

    Central differences of fourth order over five frames. Velocities of a vibration with angular
    frequency ω are too small by the fraction (ωΔt)⁴/30, 0.3 % at 3000 cm⁻¹ and 1 fs. Between
    frames, each atom is taken to move to its nearest periodic image.

    Parameters
    ----------
    frames : iterable of ase.Atoms
        The same atoms in the same order; wrapped into the cell or not.
    timestep : float
        Time between frames, fs.

    Yields
    ------
    ase.Atoms
        Copies of all frames but the first two and the last two.

    Raises
    ------
    ValueError
        If `timestep` is not positive, or a frame is not a valid structure (see
        `ase_equivar.structures.validation.check_structure`).
    """
    timestep = positive_number("timestep", timestep, "fs", largest=LONGEST_TIMESTEP)
    window: deque[tuple[Atoms, NDArray[np.float64]]] = deque(maxlen=WIDTH)
    for atoms in frames:
        check_structure(atoms)
        scaled = atoms.get_scaled_positions(wrap=False)
        if window:
            last = window[-1][1]
            scaled = last + nearest_images(scaled - last, atoms.cell.array, atoms.pbc)
        window.append((atoms.copy(), scaled))  # a dynamics may move those that it yields
        if len(window) == WIDTH:
            far_before, before, _, after, far_after = (places for _, places in window)
            rate = (8 * (after - before) - (far_after - far_before)) / (12 * timestep * units.fs)
            middle = window[WIDTH // 2][0].copy()
            middle.set_constraint()  # which would hold velocities back
            middle.set_velocities(rate @ middle.cell.array)
            middle.set_constraint(window[WIDTH // 2][0].constraints)
            yield middle
