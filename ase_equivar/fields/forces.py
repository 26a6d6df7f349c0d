"""The force of an electric field on each atom."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_FIELD, born_charges_array, finite_real


def check_field(field: ArrayLike) -> NDArray[np.float64]:
    """Return the field as an array of three finite numbers, or refuse it.

    Raises
    ------
    ValueError
        If it has another shape, is not real and finite, or exceeds 1000 V/Å.
    """
    name = "the electric field"
    vector = finite_real(name, field, None, unit="V/Å", largest=LARGEST_FIELD)
    if vector.shape != (3,):
        more = {
            0: "; multiply a scalar envelope by a field: envelope * ConstantField([Ex, Ey, Ez])",
            2: "; for a field that depends on the position, see FieldOfPosition",
        }
        raise ValueError(
            f"{name} has shape {vector.shape}; give three numbers (Ex, Ey, Ez) in V/Å"
            f"{more.get(vector.ndim, '')}"
        )
    return vector


def check_fields(fields: ArrayLike, n_atoms: int) -> NDArray[np.float64]:
    """Return the fields on N atoms as a finite array, shape=(N, 3), or refuse them.

    Raises
    ------
    ValueError
        If they have another shape, are not real and finite, or exceed 1000 V/Å.
    """
    name = "the electric field on the atoms"
    return finite_real(name, fields, (n_atoms, 3), unit="V/Å", largest=LARGEST_FIELD)


def field_forces(born_charges: ArrayLike, field: ArrayLike) -> NDArray[np.float64]:
    """Return the force of an electric field on each atom.

    ``F[i, b] = Σ_a field[a] · born_charges[i, a, b]``: the field is contracted with the *first*
    index of Z*, that of the polarization, because F = −∂(−Ω E·P)/∂u. Contracting the second index
    is wrong for every atom whose Z* is not symmetric.

    Parameters
    ----------
    born_charges : array_like
        Z*[i, a, b] = Ω ∂P_a/∂u_ib in |e|, row = field, column = displacement. shape=(N, 3, 3).
    field : array_like
        The macroscopic electric field in V/Å, Cartesian. shape=(3,), or the field on each atom,
        shape=(N, 3), if it varies slowly over the range of Z*.

    Returns
    -------
    numpy.ndarray
        Forces, eV/Å, shape=(N, 3). In a uniform field they sum to (charge of the cell) · field.

    Raises
    ------
    ValueError
        If a shape is wrong, or a number is not real and finite or unphysically large.

    Notes
    -----
    First order in the field, as in Eq. (1) of Kutana et al., Sci. Rep. (2025),
    doi:10.1038/s41598-025-01250-5.
    """
    charges = born_charges_array("born_charges", born_charges)
    given = finite_real("the electric field", field, None, unit="V/Å")
    if given.ndim == 2:
        return np.einsum("ia,iab->ib", check_fields(given, len(charges)), charges)
    return np.einsum("a,iab->ib", check_field(given), charges)
