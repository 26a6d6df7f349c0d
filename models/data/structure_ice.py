"""Ice under pressure for models/data, from the densities of ice VII to symmetric ice X."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from ase import Atoms
from structure_kinds import displace, strain

BOND = 0.97  # Å, O–H of a molecule
# O at the corners and in the middle of a cube; hydrogen bonds lead from the corner to four of its
# eight neighbors, and likewise from the middle, as in cuprite: two networks that do not touch
DIRECTIONS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2


def make_ice(rng: np.random.Generator) -> Atoms:
    """Order two molecules by the ice rules, then displace and mostly strain them.

    1.5 to 4 g/cm³. Where half of O–O is hardly longer than a bond of a molecule, protons are in
    the middle, as in ice X.
    """
    density = float(rng.uniform(1.5, 4.0))
    a = (2 * 18.015 / (0.602214 * density)) ** (1 / 3)
    pairs = list(combinations(range(4), 2))
    donated = pairs[int(rng.integers(len(pairs)))]  # by the corner; the middle donates the others
    positions = [np.zeros(3), np.full(3, a / 2)]
    for number, direction in enumerate(DIRECTIONS * a):
        length = float(np.linalg.norm(direction))
        along = min(BOND, length / 2) / length
        positions.append(direction * (along if number in donated else 1 - along))
    ice = Atoms("O2H4", positions=positions, cell=[a] * 3, pbc=True)
    if rng.random() < 0.7:
        ice = strain(ice, rng)
    return displace(ice, rng, float(rng.uniform(0.02, 0.08)))
