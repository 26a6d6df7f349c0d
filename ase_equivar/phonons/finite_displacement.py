"""Harmonic force constants of a crystal from the forces of any ASE calculator."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import PrimitiveMatrixAutoDefaultWarning
from rich.console import Console
from rich.progress import track

from ase_equivar.arguments import finite_real, positive_number, whole_number
from ase_equivar.structures.validation import check_structure
from ase_equivar.warning_types import NotRelaxedWarning

logger = logging.getLogger(__name__)

RESIDUAL_FORCE_WARNING = 0.02  # eV/Å
MOST_ATOMS = 20_000  # of a supercell, 29 GB of force constants
LONGEST_SUPERCELL = 1e4  # Å, or cells
LONGEST_SYMPREC = 1.0  # Å
LONGEST_DISPLACEMENT = 1.0  # Å
RESIDUAL_STRESS_WARNING = 1.0  # GPa: about 1 % of a lattice constant


def to_phonopy(atoms: Atoms) -> PhonopyAtoms:
    """Return the crystal as phonopy's cell: species, positions, masses and magnetic moments.

    Raises
    ------
    ValueError
        As `ase_equivar.structures.validation.check_structure`, and for a cell that is not periodic
        in all three directions.
    """
    check_structure(atoms)
    if not atoms.pbc.all():
        raise ValueError(
            f"phonons need a crystal that is periodic in three directions, got pbc={atoms.pbc} "
            f"and a cell of {abs(atoms.cell.volume):.3g} Å³. For a sheet or a wire: give it a cell "
            "with vacuum, set pbc=True and do without apply_nac(), whose correction is that of a "
            "crystal in three dimensions; a sheet has no LO–TO splitting at Γ"
        )
    moments = atoms.get_initial_magnetic_moments()
    return PhonopyAtoms(
        numbers=atoms.numbers,
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(wrap=False),
        masses=atoms.get_masses(),
        magnetic_moments=moments if np.any(moments) else None,
    )


def to_ase(cell: PhonopyAtoms) -> Atoms:
    """Return phonopy's cell as ASE Atoms, in the same atom order."""
    return Atoms(
        numbers=cell.numbers,
        cell=cell.cell,
        scaled_positions=cell.scaled_positions,
        masses=cell.masses,
        magmoms=cell.magnetic_moments,
        pbc=True,
    )


def make_phonon(
    atoms: Atoms, supercell: ArrayLike = (1, 1, 1), *, symprec: float = 1e-5
) -> Phonopy:
    """Return a Phonopy object of this crystal, with the primitive cell that phonopy finds.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell.
    supercell : array_like of int
        Three integers, or a 3×3 integer matrix M in phonopy's convention: the supercell's vectors,
        written as columns, are (a, b, c) M. (ASE's ``make_supercell`` takes the transpose.)
    symprec : float
        Distance within which two positions count as symmetry-equivalent, Å.

    Raises
    ------
    TypeError, ValueError
        For a structure that makes no sense or is not periodic in three directions, and for a
        supercell that is none or has more than 20 000 atoms.
    """
    cell = to_phonopy(atoms)
    matrix = _supercell_matrix(supercell, len(cell))
    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    with warnings.catch_warnings():
        # It tells users of phonopy 3 that the primitive cell is now found by symmetry; ours expect
        # just that.
        warnings.simplefilter("ignore", PrimitiveMatrixAutoDefaultWarning)
        return Phonopy(cell, supercell_matrix=matrix, primitive_matrix="auto", symprec=symprec)


def supercell_for_length(atoms: Atoms, length: float = 12.0) -> tuple[int, int, int]:
    """Return the smallest diagonal supercell in which every periodic image is `length` Å away.

    What counts is the distance between opposite faces of the supercell, not the length of its
    vectors, so that skewed cells come out large enough.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell.
    length : float
        Smallest allowed distance between opposite faces, Å.
    """
    check_structure(atoms)
    length = positive_number("length", length, "Å", largest=LONGEST_SUPERCELL)
    spacings = 1.0 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    # The slack keeps a cell that just fits from being doubled by rounding.
    n1, n2, n3 = (int(n) for n in np.maximum(1, np.ceil(length / spacings - 1e-6)))
    return n1, n2, n3


def relax(atoms: Atoms, calc: BaseCalculator, *, fmax: float = 0.002, steps: int = 500) -> Atoms:
    """Return a copy with cell and positions relaxed, its space group kept.

    Parameters
    ----------
    atoms : ase.Atoms
        The crystal; it is not changed.
    calc : ase calculator
        Gives forces and stress.
    fmax : float
        Largest force on an atom, and on the cell in ASE's units of it, at the end, eV/Å.
    steps : int
        Largest number of steps.

    Raises
    ------
    RuntimeError
        When `fmax` is not reached.
    """
    check_structure(atoms)
    fmax = positive_number("fmax", fmax, "eV/Å")
    steps = whole_number("steps", steps, at_least=1)
    _refuse_field(calc)
    relaxed = atoms.copy()
    relaxed.set_constraint(FixSymmetry(relaxed))
    relaxed.calc = calc
    optimizer = BFGS(FrechetCellFilter(relaxed), logfile=None)
    if not optimizer.run(fmax=fmax, steps=steps):
        raise RuntimeError(f"the structure did not relax to {fmax} eV/Å in {steps} steps")
    logger.info(
        "relaxed in %d steps to a volume of %.3f Å³", optimizer.nsteps, relaxed.get_volume()
    )
    relaxed.set_constraint()
    relaxed.calc = None
    return relaxed


def force_constants(
    atoms: Atoms,
    calc: BaseCalculator,
    supercell: ArrayLike,
    *,
    distance: float = 0.01,
    symprec: float = 1e-5,
    progress: bool = True,
) -> Phonopy:
    """Return a Phonopy object with the force constants of a crystal.

    Finite displacements in the supercell, as few as symmetry allows. Every displacement comes with
    its opposite, by symmetry or explicitly, so that forces of the undisplaced crystal drop out. The
    force constants are made symmetric and translation-invariant.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell, relaxed with `calc`. Its masses are kept, its constraints are not.
    calc : ase calculator
        Gives forces. Without an electric field: the force of a field is not part of the crystal's
        force constants.
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
        For a calculator with a field, a cell that is not periodic, or an impossible supercell.

    Warns
    -----
    NotRelaxedWarning
        When an atom of the input structure feels more than 0.02 eV/Å, or, with a calculator that
        gives stress, when the cell is under more than 1 GPa: it is not relaxed with this
        calculator, and its frequencies are not those of an equilibrium. Where symmetry holds all
        atoms in place, as in rock salt, only the stress tells wrong lattice constants.
    """
    _refuse_field(calc)
    distance = positive_number("distance", distance, "Å", largest=LONGEST_DISPLACEMENT)
    phonon = make_phonon(atoms, supercell, symprec=symprec)

    _warn_if_not_relaxed(phonon.unitcell, calc)
    phonon.generate_displacements(distance=distance)
    displaced = phonon.supercells_with_displacements or []
    task = f"{len(displaced)} displacements in a supercell of {len(phonon.supercell)} atoms"
    logger.info(task)
    console = Console(stderr=True)
    phonon.forces = [
        _forces(cell, calc)
        for cell in track(
            displaced,
            description=task,
            console=console,
            transient=True,
            disable=not (progress and console.is_terminal),
        )
    ]
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def _warn_if_not_relaxed(cell: PhonopyAtoms, calc: BaseCalculator) -> None:
    largest = np.linalg.norm(_forces(cell, calc), axis=1).max()
    if largest > RESIDUAL_FORCE_WARNING:
        warnings.warn(
            f"an atom of the input structure feels {largest:.3f} eV/Å: it is not relaxed with this "
            "calculator, so its phonons are not those of an equilibrium",
            NotRelaxedWarning,
            stacklevel=3,
        )
    atoms = to_ase(cell)
    atoms.calc = calc
    try:
        principal = np.linalg.eigvalsh(atoms.get_stress(voigt=False))
    except (NotImplementedError, np.linalg.LinAlgError):  # no stress, or NaN
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


def _forces(cell: PhonopyAtoms, calc: BaseCalculator) -> NDArray[np.float64]:
    atoms = to_ase(cell)
    atoms.calc = calc
    forces = np.asarray(atoms.get_forces(), dtype=float)
    if not np.isfinite(forces).all():
        raise ValueError(f"the calculator gave forces of {atoms.symbols} that are not finite")
    return forces


def _supercell_matrix(supercell: ArrayLike, n_atoms: int) -> NDArray[np.int64]:
    """Return the matrix, if the supercell of a cell with that many atoms is not too large."""
    given = finite_real("supercell", supercell, None, largest=LONGEST_SUPERCELL)
    matrix = np.diag(given) if given.shape == (3,) else given
    if matrix.shape != (3, 3) or not np.array_equal(matrix, np.rint(matrix)):
        raise ValueError(
            f"supercell must be three integers or a 3×3 integer matrix, got {supercell!r}"
        )
    determinant = round(float(np.linalg.det(matrix)))
    if determinant < 1:
        raise ValueError(
            f"the supercell {supercell!r} holds {determinant} unit cells, it must hold at least one"
        )
    if determinant * n_atoms > MOST_ATOMS:
        raise ValueError(
            f"the supercell {supercell!r} has {determinant * n_atoms} atoms: the force constants "
            f"of more than {MOST_ATOMS} do not fit into memory. Give a smaller one"
        )
    return np.asarray(np.rint(matrix), dtype=np.int64)


def _refuse_field(calc: BaseCalculator) -> None:
    field: Sequence[float] | None = getattr(calc, "electric_field", None)
    if field is not None and np.any(np.asarray(field) != 0):
        raise ValueError(
            f"the calculator has an electric field on ({field}): its forces Z*·E would corrupt the "
            "force constants; use a calculator without electric_field"
        )
