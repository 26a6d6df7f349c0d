"""Conversion of Phonopy objects read from files to the conventions of this package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.physical_units import get_calculator_physical_units
from phonopy.structure.atoms import PhonopyAtoms

from ase_equivar.phonons.cells import to_ase, to_phonopy
from ase_equivar.phonons.requirements import check_masses


def converted(phonon: Phonopy, *, with_masses: bool = True) -> Phonopy:
    """Return the object in Å and eV, in a right-handed cell, with isotopes as different species.

    phonopy keeps lengths and force constants in the units of the program that calculated the
    forces.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With or without force constants. Its ``calculator`` determines the units.
    with_masses : bool
        Whether isotopes matter; they do not for Z*.

    Returns
    -------
    Phonopy
        `phonon` itself if no conversion is needed. Otherwise an object with the same atoms in unit
        cell and primitive cell, in the same order, and with the same force constants, but without
        ``nac_params``, displacements and forces.

    Raises
    ------
    ValueError
        If atoms of different mass belong to the same atom of the primitive cell.
    """
    units = get_calculator_physical_units(phonon.calculator)
    ours = get_calculator_physical_units(None)
    given = phonon.unitcell
    atoms = to_ase(given)
    atoms.set_cell(atoms.cell.array * units.distance_to_A, scale_atoms=True)
    if not with_masses:
        atoms.set_masses()
    cell = to_phonopy(atoms)
    if (
        len(set(cell.symbols)) == len(set(atoms.symbols))  # phonopy.load distinguishes no isotopes
        and np.linalg.det(given.cell) > 0
        and units.length_unit == ours.length_unit
        and units.force_constants_unit == ours.force_constants_unit
    ):
        return phonon
    if with_masses:
        check_masses(phonon, translations_only=True)
    made = Phonopy(
        cell,
        supercell_matrix=phonon.supercell_matrix,
        primitive_matrix=phonon.primitive_matrix,
        symprec=phonon.symmetry.tolerance * units.distance_to_A,
        distinguish_symbol_index=True,
    )
    _order(phonon.primitive, made.primitive, units.distance_to_A, in_place=True)
    if phonon.force_constants is not None:
        order = _order(phonon.supercell, made.supercell, units.distance_to_A)
        constants = phonon.force_constants
        if len(constants) != len(phonon.supercell):
            constants = compact_fc_to_full_fc(phonon.primitive, constants)
        # Both factors convert √(force constant / u) to THz.
        scale = (phonon.unit_conversion_factor / made.unit_conversion_factor) ** 2
        made.force_constants = scale * constants[np.ix_(order, order)]
    return made


def _order(
    given: PhonopyAtoms, made: PhonopyAtoms, length: float, *, in_place: bool = False
) -> NDArray[np.int64]:
    """Return for each atom of one cell the atom of the other at the same position."""
    offsets = (made.positions[:, None] - length * given.positions) @ np.linalg.inv(made.cell)
    distances = np.linalg.norm((offsets - np.rint(offsets)) @ made.cell, axis=2)
    order = distances.argmin(axis=1)
    identity = np.arange(len(order))
    if not np.array_equal(np.sort(order), identity) or (
        in_place and not np.array_equal(order, identity)
    ):
        raise RuntimeError(
            "phonopy created different cells for the same crystal than on reading it"
        )
    return order
