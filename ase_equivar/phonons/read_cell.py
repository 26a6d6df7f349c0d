"""Phonopy objects as phonopy reads them, made into what this package makes of the same cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.structure.atoms import PhonopyAtoms

from ase_equivar.phonons.cells import to_ase, to_phonopy
from ase_equivar.phonons.requirements import check_masses


def tell_isotopes_apart(phonon: Phonopy) -> Phonopy:
    """Return an object whose symmetry the masses do not break, in a right-handed cell.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants or without.

    Returns
    -------
    Phonopy
        `phonon` itself where nothing was to be done. Otherwise one with the same atoms in unit cell
        and primitive cell, in the same order, and with the same force constants, but without
        ``nac_params``.

    Raises
    ------
    ValueError
        When atoms of different mass are one atom of the primitive cell.
    """
    given = phonon.unitcell
    cell = to_phonopy(to_ase(given))
    if len(set(cell.symbols)) <= len(set(given.symbols)) and np.linalg.det(given.cell) > 0:
        return phonon
    check_masses(phonon, translations_only=True)
    made = Phonopy(
        cell,
        supercell_matrix=phonon.supercell_matrix,
        primitive_matrix=phonon.primitive_matrix,
        symprec=phonon.symmetry.tolerance,
        distinguish_symbol_index=True,
        calculator=phonon.calculator,
    )
    _order(phonon.primitive, made.primitive, in_place=True)
    if phonon.force_constants is not None:
        order = _order(phonon.supercell, made.supercell)
        constants = phonon.force_constants
        if len(constants) != len(phonon.supercell):
            constants = compact_fc_to_full_fc(phonon.primitive, constants)
        made.force_constants = constants[np.ix_(order, order)]
    return made


def _order(given: PhonopyAtoms, made: PhonopyAtoms, *, in_place: bool = False) -> NDArray[np.int64]:
    """Return for each atom of one cell the atom of the other that lies at the same place."""
    offsets = (made.positions[:, None] - given.positions) @ np.linalg.inv(made.cell)
    distances = np.linalg.norm((offsets - np.rint(offsets)) @ made.cell, axis=2)
    order = distances.argmin(axis=1)
    identity = np.arange(len(order))
    if not np.array_equal(np.sort(order), identity) or (
        in_place and not np.array_equal(order, identity)
    ):
        raise RuntimeError("phonopy made other cells of the same crystal than when it was read")
    return order
