"""Conversion of the polarizability of a cell to ε∞."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.units import VACUUM_PERMITTIVITY


def dielectric_of(polarizability: NDArray[np.float64], atoms: Atoms) -> NDArray[np.float64]:
    """Return the tensor ε∞ = 1 + α/(ε0 Ω) of a crystal.

    Parameters
    ----------
    polarizability : ndarray, shape (3, 3), e·Å²/V
        α[a, b] = ∂(Ω P_a)/∂E_b of the whole cell at fixed ions, with E the field inside, as from
        finite fields.
    atoms : ase.Atoms
        Its cell has the volume Ω.

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        If the structure is not periodic along three directions and thus has no volume.
    """
    if not atoms.pbc.all():
        raise ValueError("a structure that is not periodic in three directions has no ε∞")
    return np.eye(3) + polarizability / (VACUUM_PERMITTIVITY * atoms.get_volume())
