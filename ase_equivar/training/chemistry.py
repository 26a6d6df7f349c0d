"""Descriptors of the elements from the periodic table, as the start of an embedding.

A random embedding has to learn from few crystals that selenium resembles sulfur, and cannot learn
such similarities of rare elements. An embedding that starts from descriptors in which similar
elements are close has them from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import covalent_radii
from numpy.typing import NDArray
from torch import Tensor

# With fewer elements there is little similarity to exploit, and errors for ZrO2 from scratch were a
# tenth larger than with a random start.
MIN_ELEMENTS = 10
NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86, 118)

Integers = NDArray[np.int_]
Mask = NDArray[np.bool_]

# fmt: off
ELECTRONEGATIVITY = (
    2.20, 4.16, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, 4.79, 0.93, 1.31, 1.61, 1.90, 2.19, 2.58,
    3.16, 3.24, 0.82, 1.00, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.90, 1.65, 1.81, 2.01,
    2.18, 2.55, 2.96, 3.00, 0.82, 0.95, 1.22, 1.33, 1.60, 2.16, 1.90, 2.20, 2.28, 2.20, 1.93, 1.69,
    1.78, 1.96, 2.05, 2.10, 2.66, 2.60, 0.79, 0.89, 1.10, 1.12, 1.13, 1.14, 1.13, 1.17, 1.20, 1.20,
    1.20, 1.22, 1.23, 1.24, 1.25, 1.10, 1.27, 1.30, 1.50, 2.36, 1.90, 2.20, 2.20, 2.28, 2.54, 2.00,
    1.62, 2.33, 2.02, 2.00, 2.20, 2.20, 0.79, 0.90, 1.10, 1.30, 1.50, 1.38, 1.36, 1.28, 1.30, 1.30,
    1.30, 1.30, 1.30, 1.30, 1.30, 1.30, 1.30,
)
"""Pauling's scale from H to Lr (CRC Handbook of Chemistry and Physics); He, Ne and Ar, which it
leaves out, from Allen's (J. Am. Chem. Soc. 111, 9003 (1989)); Pm, Eu, Tb and Yb estimated."""
# fmt: on


def table_groups(numbers: Sequence[int] | Integers) -> Integers:
    """Return groups of the periodic table, 1 to 18; f elements belong to group 3, He to 18.

    Parameters
    ----------
    numbers : sequence of int
        Atomic numbers, 1 to 118.

    Returns
    -------
    ndarray, shape (n,)
    """
    return _place(numbers).group


@dataclass(frozen=True)
class _Place:
    """Positions of elements in the periodic table: integers, and masks of s and f elements."""

    period: Integers
    group: Integers
    electrons: Integers  # of the shells filled in the period
    holes: Integers
    is_s: Mask
    is_f: Mask


def _place(numbers: Sequence[int] | Integers) -> _Place:
    z = np.asarray(numbers, dtype=int)
    period = np.searchsorted(NOBLE_GASES, z)
    electrons = z - np.take(NOBLE_GASES, period - 1)
    holes = np.take(NOBLE_GASES, period) - z
    is_s = (electrons <= 2) & (z != 2)
    is_f = (holes >= 16) & ~is_s
    group = np.select([is_s, is_f], [electrons, np.full_like(electrons, 3)], 18 - holes)
    return _Place(period, group, electrons, holes, is_s, is_f)


def element_descriptors(numbers: Sequence[int]) -> NDArray[np.float64]:
    """Describe elements by their position in the periodic table, size and electronegativity.

    Parameters
    ----------
    numbers : sequence of int
        Atomic numbers, 1 to 118.

    Returns
    -------
    ndarray, shape (n, 33)
        Period; covalent radius (Å, times 2; Cordero et al., Dalton Trans. 2832 (2008), from ASE);
        electronegativity, times 2 (beyond Lr, that of Lr); blocks s, p, d and f; groups 1 to 18 and
        periods 1 to 7, each broadened to a bell curve, so that neighbors overlap (f elements belong
        to group 3); electrons in the open f shell. A difference of 1 is large.
    """
    z, place = np.asarray(numbers, dtype=int), _place(numbers)
    d_or_p = np.where(place.holes >= 6, 2, 1)
    block = np.where(place.is_s, 0, np.where(place.is_f, 3, d_or_p))  # of s, p, d, f
    electronegativity = np.take(ELECTRONEGATIVITY, np.minimum(z, len(ELECTRONEGATIVITY)) - 1)
    blocks = 2.0 * np.eye(4)[block]
    groups = 1.5 * np.exp(-0.5 * (place.group[:, None] - np.arange(1, 19)) ** 2)
    periods = np.exp(-0.5 * ((place.period[:, None] - np.arange(1, 8)) / 0.7) ** 2)
    single = [place.period / 3.0, 2.0 * covalent_radii[z], 2.0 * electronegativity]
    shell = np.where(place.is_f, place.electrons - 2, 0) / 7.0
    return np.column_stack([*single, blocks, groups, periods, shell])


def start_of_embedding(numbers: Sequence[int], size: int) -> Tensor:
    """Return a random projection of the descriptors with unit variance, as of a random start.

    Parameters
    ----------
    numbers : sequence of int
        Atomic numbers.
    size : int
        Size of the embedding.

    Returns
    -------
    Tensor, shape (n, size)
        Distances are approximately proportional to those of the descriptors.
    """
    descriptors = torch.from_numpy(element_descriptors(numbers)).float()
    descriptors = descriptors - descriptors.mean(dim=0)
    projected = descriptors @ torch.randn(descriptors.shape[1], size)
    return projected / projected.square().mean().sqrt().clamp(min=1e-6)
