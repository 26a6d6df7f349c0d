"""From the polarizability of a whole cell to ε∞."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.units import VACUUM_PERMITTIVITY


def dielectric_of(polarizability: NDArray[np.float64], atoms: Atoms) -> NDArray[np.float64]:
    """Give the tensor ε∞ = 1 + α/(ε0 Ω) of a crystal.

    Parameters
    ----------
    polarizability : ndarray, shape (3, 3), e·Å²/V
        α[a, b] = ∂(Ω P_a)/∂E_b of the whole cell at fixed ions, E the field inside; what finite
        fields give.
    atoms : ase.Atoms
        Its volume is Ω.

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        If the structure is not periodic along three directions: it has no volume then.
    """
    if not atoms.pbc.all():
        raise ValueError("a structure that is not periodic in three directions has no ε∞")
    return np.eye(3) + polarizability / (VACUUM_PERMITTIVITY * atoms.get_volume())
