"""What atoms carry besides elements and positions, kept where phonopy makes other cells of them.

Forces may depend on initial charges and moments, tags, other arrays and `info`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from ase_equivar.phonons.cells import to_ase
from ase_equivar.structures.validation import TOTAL_CHARGES
from ase_equivar.warning_types import SymmetryWarning

SAME_CHARGE = 0.1  # e; those of population analyses differ a little between equivalent atoms


def as_given(cell: PhonopyAtoms, atoms: Atoms, places: Sequence[int]) -> Atoms:
    """Return phonopy's cell as ASE Atoms with all that the atoms it was made from carry.

    Initial charges, tags, other arrays and `info` may matter to a potential; phonopy keeps none.
    A total charge in `info` is given the size of the cell.

    Parameters
    ----------
    cell : PhonopyAtoms
    atoms : ase.Atoms
        What `make_phonon` was given.
    places : sequence of int, shape (N,)
        Which of `atoms` each atom of the cell is, or is an image of.

    Raises
    ------
    ValueError
        If a smaller cell has no whole total charge.
    """
    found = to_ase(cell)
    for name, values in atoms.arrays.items():
        if name not in found.arrays and name != "momenta":
            found.set_array(name, values[places])
    found.info = dict(atoms.info)
    for key in TOTAL_CHARGES:
        if found.info.get(key):
            charge = float(found.info[key]) * len(found) / len(atoms)
            if abs(charge - round(charge)) > 1e-6:
                raise ValueError(
                    f"the info[{key!r}] of {found.info[key]} is that of {len(atoms)} atoms, of "
                    f"which {len(found)} are another cell with a broken charge of {charge:.3g} e: "
                    "give the primitive cell with its charge"
                )
            found.info[key] = charge
    return found


def places_in_supercell(phonon: Phonopy) -> list[int]:
    """Return of which atom of the unit cell each atom of the supercell is an image."""
    cell = phonon.supercell
    return [int(cell.u2u_map[place]) for place in cell.s2u_map]


def primitive_as_given(phonon: Phonopy, atoms: Atoms) -> Atoms:
    """Return the primitive cell of a phonon with all that `atoms`, its unit cell, carry."""
    places = places_in_supercell(phonon)
    cell = phonon.primitive
    return as_given(cell, atoms, [places[place] for place in cell.p2s_map])


def warn_if_charges_break_symmetry(
    atoms: Atoms, places: Sequence[int], equivalent: NDArray[np.int64]
) -> None:
    """Warn if atoms that are equivalent have different initial charges.

    Parameters
    ----------
    atoms : ase.Atoms
    places : sequence of int
        Which of `atoms` each of n atoms is, or is an image of.
    equivalent : ndarray, shape (n,)
        The first of those that each of the n is equivalent to.
    """
    charges = atoms.get_initial_charges()[places]
    apart = np.abs(charges - charges[equivalent])
    if apart.max() > SAME_CHARGE:
        i = int(apart.argmax())
        warnings.warn(
            f"atoms {places[i]} and {places[equivalent[i]]} have different initial charges, but "
            "are equivalent by symmetry: forces of one are taken for those of the other. Give the "
            "two slightly different masses to tell them apart",
            SymmetryWarning,
            stacklevel=3,
        )
