"""Requirements on a Phonopy object: force constants, Z*, equal masses."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrix, DynamicalMatrixNAC
from phonopy.structure.symmetry import symmetrize_borns_and_epsilon

from ase_equivar.arguments import positive_number
from ase_equivar.phonons.cells import SAME_MASS
from ase_equivar.structures.phonopy_objects import (
    check_nac_params,
    require_finite,
    require_phonopy,
)
from ase_equivar.structures.validation import check_masses_positive

SAME_TENSOR = 1e-6  # |e|, and relative; of Z* and ε∞ that are the same


def require_force_constants(phonon: Phonopy) -> DynamicalMatrix:
    """Return the dynamical matrix of an object with finite force constants.

    If it has ``nac_params``, these are checked too: see `require_nac`.

    Raises
    ------
    TypeError
        If it is not a Phonopy object.
    ValueError
        If it has no force constants, they or ``nac_params`` are not finite, or its masses break the
        symmetry that it assumes.
    """
    require_phonopy(phonon)
    if phonon.force_constants is None:
        raise ValueError("the Phonopy object has no force constants; see force_constants()")
    require_finite(phonon)
    check_masses(phonon)
    matrix = phonon.dynamical_matrix
    assert matrix is not None  # phonopy creates it with the force constants
    if isinstance(matrix, DynamicalMatrixNAC):
        _check_nac(phonon, matrix)
    return matrix


def require_nac(phonon: Phonopy) -> DynamicalMatrixNAC:
    """Return the dynamical matrix of an object with the non-analytical correction.

    Raises
    ------
    TypeError
        If it is not a Phonopy object.
    ValueError
        If it has no ``nac_params``, they are unphysical, or its masses break the symmetry that it
        assumes.
    """
    require_phonopy(phonon)
    if phonon.force_constants is None:
        raise ValueError("the Phonopy object has no force constants; see force_constants()")
    check_masses(phonon)
    matrix = phonon.dynamical_matrix
    if not isinstance(matrix, DynamicalMatrixNAC):
        raise ValueError("the Phonopy object has no nac_params; see apply_nac()")
    _check_nac(phonon, matrix)
    return matrix


def check_masses(phonon: Phonopy, *, translations_only: bool = False) -> None:
    """Refuse masses of no atom, and different ones of atoms that phonopy treats as equivalent.

    phonopy assigns the mass of the first atom to all atoms that are equivalent by translation.

    Parameters
    ----------
    phonon : phonopy.Phonopy
    translations_only : bool
        Whether atoms that are equivalent by rotations may differ.

    Raises
    ------
    ValueError
        If there are such atoms; the message names them.
    """
    supercell, primitive = phonon.supercell, phonon.primitive
    alike = np.array([primitive.p2p_map[primitive.s2p_map[s]] for s in supercell.u2s_map])
    if not translations_only:
        alike = phonon.primitive_symmetry.get_map_atoms()[alike]
    masses = phonon.unitcell.masses
    check_masses_positive(masses, phonon.unitcell.symbols)
    for first in np.unique(alike):
        members = np.flatnonzero(alike == first)
        differing = members[np.abs(masses[members] - masses[members[0]]) > SAME_MASS]
        if len(differing):
            one, other = members[0], differing[0]
            raise ValueError(
                f"atoms {one} and {other} of the unit cell have the masses {masses[one]:g} and "
                f"{masses[other]:g} u, but the Phonopy object treats them as equivalent: isotopes "
                "break the symmetry. Give Atoms with these masses to make_phonon() or "
                "force_constants(), which distinguish isotopes, or set equal masses"
            )


def _check_nac(phonon: Phonopy, matrix: DynamicalMatrixNAC) -> None:
    """Check the parameters in use and those stored in the object, which may have changed since."""
    in_use = {"born": matrix.born, "dielectric": matrix.dielectric_constant}
    for params in (in_use, {**in_use, **(phonon.nac_params or {})}):
        check_nac_params(params["born"], params["dielectric"])
    positive_number("factor in nac_params", matrix.nac_factor, "eV·Å")
    _refuse_changes_in_place(in_use, phonon)


def _refuse_changes_in_place(in_use: Mapping[str, NDArray[np.float64]], phonon: Phonopy) -> None:
    """Refuse parameters of which phonopy has not been told."""
    stored = phonon.nac_params or in_use
    if all(np.allclose(in_use[n], stored[n], rtol=0, atol=SAME_TENSOR) for n in in_use):
        return
    with warnings.catch_warnings():  # phonopy told it when they were set
        warnings.simplefilter("ignore")
        symmetric = symmetrize_borns_and_epsilon(  # as phonopy takes them
            stored["born"],
            stored["dielectric"],
            phonon.primitive,
            symprec=phonon.symmetry.tolerance,
        )
    for name, expected in zip(("born", "dielectric"), symmetric, strict=True):
        if not np.allclose(in_use[name], expected, rtol=0, atol=SAME_TENSOR):
            raise ValueError(
                f"nac_params[{name!r}] was changed in place, and phonopy goes on with the former "
                "values: set the whole, phonon.nac_params = {'born': …, 'dielectric': …}"
            )
