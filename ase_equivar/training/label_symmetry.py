"""How far labelled tensors are from the symmetry of their own crystal."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.structures.lattice import compact_atoms
from ase_equivar.structures.symmetry import Operation, space_group, spglib_cell

SYMMETRY_PRECISION = 1e-3  # Å, in the search for the space group of a labelled crystal
N_OPERATIONS = 12


def label_asymmetry(
    atoms: Atoms, born_charges: NDArray[np.float64], dielectric: NDArray[np.float64] | None
) -> tuple[float, float]:
    """Return the largest changes of components of Z* and ε∞ by operations of the space group.

    A dozen random operations generate the whole group almost certainly.

    Parameters
    ----------
    atoms : ase.Atoms
    born_charges : ndarray, shape (N, 3, 3)
        |e|.
    dielectric : ndarray, shape (3, 3), optional

    Returns
    -------
    of_charges : float
        |e|.
    of_dielectric : float
        Relative to the largest component of ε∞ - 1; 0 without ε∞.
    """
    if not atoms.pbc.all():
        return 0.0, 0.0
    atoms = compact_atoms(atoms)
    cell = spglib_cell(atoms)
    group = space_group(cell, SYMMETRY_PRECISION)
    if group is None:
        return 0.0, 0.0
    of_charges = of_dielectric = 0.0
    susceptibility = np.zeros((3, 3)) if dielectric is None else dielectric - np.eye(3)
    scale = max(float(np.abs(susceptibility).max()), 1e-6)
    for k in np.random.default_rng(0).permutation(len(group.rotations))[:N_OPERATIONS]:
        one = Operation.of(cell, group.rotations[k], group.translations[k])
        rotated = one.rotation @ born_charges @ one.rotation.T
        of_charges = max(of_charges, float(np.abs(rotated - born_charges[one.images]).max()))
        turned = one.rotation @ susceptibility @ one.rotation.T
        of_dielectric = max(of_dielectric, float(np.abs(turned - susceptibility).max()) / scale)
    return of_charges, of_dielectric
