"""Harmonic force constants of a crystal from forces of any ASE calculator."""

from __future__ import annotations

import logging
import warnings

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from ase_equivar.arguments import positive_number, refuse_class
from ase_equivar.calculated_property import all_within
from ase_equivar.phonons.cell_forces import forces_of_cells
from ase_equivar.phonons.cells import make_phonon
from ase_equivar.phonons.given_entries import (
    as_given,
    places_in_supercell,
    warn_if_charges_break_symmetry,
)
from ase_equivar.progress_bar import with_progress
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.symmetry import SYMPREC
from ase_equivar.warning_types import NotRelaxedWarning

logger = logging.getLogger(__name__)

RESIDUAL_FORCE_WARNING = 0.02  # eV/Å
LONGEST_DISPLACEMENT = 1.0  # Å
RESIDUAL_STRESS_WARNING = 1.0  # GPa: about 1 % of a lattice constant


def force_constants(
    atoms: Atoms,
    calculator: BaseCalculator,
    supercell: ArrayLike,
    *,
    distance: float = 0.01,
    symprec: float = SYMPREC,
    progress: bool = True,
) -> Phonopy:
    """Return a Phonopy object with the force constants of a crystal.

    Uses finite displacements in the supercell, as few as symmetry allows. Every displacement is
    paired with its opposite, by symmetry or explicitly. Forces of the undisplaced crystal are
    subtracted: where coordinates have the symmetry only within `symprec`, theirs do not cancel. The
    force constants are made symmetric and translation-invariant.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell, relaxed with `calculator`, which sees its initial charges, tags, other arrays
        and `info` in supercells too; a total charge in `info` stays that of the unit cell. Its
        masses are used, its constraints are ignored.
    calculator : ase calculator
        Provides forces, without an electric field, whose forces are not part of the force
        constants.
    supercell : array_like of int
        Three integers or a 3×3 integer matrix, see `make_phonon`; `supercell_for_length` proposes
        one.
    distance : float
        Displacement of an atom, Å.
    symprec : float
        Symmetry tolerance, Å.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError
        If the calculator has a field, the cell is not periodic, or the supercell is invalid.

    Warns
    -----
    NotRelaxedWarning
        If the force on an atom of the input structure exceeds 0.02 eV/Å or, with a calculator that
        provides stress, the stress exceeds 1 GPa: it is not relaxed with this calculator, and its
        frequencies are not those of an equilibrium. If symmetry fixes all atoms, as in rock salt,
        only the stress reveals wrong lattice constants.
    SymmetryWarning
        As `make_phonon`, and if atoms that are equivalent by symmetry have initial charges that
        differ by more than 0.1 e.
    """
    refuse_field(calculator)
    atoms = as_atoms(atoms)
    distance = positive_number("distance", distance, "Å", largest=LONGEST_DISPLACEMENT)
    phonon = make_phonon(atoms, supercell, symprec=symprec)

    places = places_in_supercell(phonon)
    warn_if_charges_break_symmetry(atoms, places, phonon.symmetry.get_map_atoms())
    unit_cell = as_given(phonon.unitcell, atoms, range(len(atoms)))
    [at_rest] = forces_of_cells([unit_cell], calculator)
    _warn_if_not_relaxed(unit_cell, at_rest, calculator)
    phonon.generate_displacements(distance=distance)
    displaced = [
        as_given(cell, atoms, places) for cell in phonon.supercells_with_displacements or []
    ]
    task = f"{len(displaced)} displacements in a supercell of {len(phonon.supercell)} atoms"
    logger.info(task)
    phonon.forces = [
        forces - at_rest[places]
        for forces in with_progress(
            forces_of_cells(displaced, calculator), task, total=len(displaced), shown=progress
        )
    ]
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def _warn_if_not_relaxed(
    atoms: Atoms, forces: NDArray[np.float64], calculator: BaseCalculator
) -> None:
    largest = np.linalg.norm(forces, axis=1).max()
    if largest > RESIDUAL_FORCE_WARNING:
        warnings.warn(
            f"an atom of the input structure feels {largest:.3f} eV/Å: it is not relaxed with this "
            "calculator, so its phonons are not those of an equilibrium",
            NotRelaxedWarning,
            stacklevel=3,
        )
    atoms.calc = calculator
    try:
        principal = np.linalg.eigvalsh(atoms.get_stress(voigt=False))
    except (NotImplementedError, np.linalg.LinAlgError):  # stress missing or NaN
        return
    worst = float(principal[np.abs(principal).argmax()]) / units.GPa
    if abs(worst) > RESIDUAL_STRESS_WARNING:
        warnings.warn(
            f"the cell of the input structure is under {abs(worst):.1f} GPa "
            f"({'tension' if worst > 0 else 'compression'}): its lattice constants are not those "
            "of this calculator, so its phonons are not those of an equilibrium",
            NotRelaxedWarning,
            stacklevel=3,
        )


def refuse_field(calculator: BaseCalculator) -> None:
    """Refuse a calculator whose forces, or those of one that it wraps or sums, are in a field."""
    refuse_class("calculator", calculator)
    for one in all_within(calculator):
        field = getattr(one, "electric_field", None)
        is_driven = getattr(one, "is_driven", False)
        if is_driven or (field is not None and np.any(np.asarray(field) != 0)):
            which = "that of drive(), which may be zero just now" if is_driven else field
            raise ValueError(
                f"the calculator has an electric field on ({which}): its forces Z*·E would corrupt "
                "the force constants; use a calculator without electric_field"
            )
