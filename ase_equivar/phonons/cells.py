"""Conversion between ASE's Atoms and phonopy's cells, and the supercells of a crystal.

Two cases are handled here that phonopy does not handle. Isotopes: atoms of one element that differ
in mass become different species, because they break the symmetry of the vibrations. Left-handed
cells: their vectors are reversed, which leaves the lattice, the Cartesian axes and the order of the
atoms unchanged.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import (
    Primitive,
    PrimitiveMatrixAutoDefaultWarning,
    get_primitive,
    get_supercell,
    guess_primitive_matrix,
)

from ase_equivar.arguments import finite_real, positive_number
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.lattice import compact_atoms, compact_vectors
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC, warn_if_nearly_symmetric
from ase_equivar.structures.validation import check_masses_positive, check_structure

MOST_ATOMS = 20_000  # of a supercell, 29 GB of force constants
LONGEST_SUPERCELL = 1e4  # Å, or cells
SAME_MASS = 1e-4  # u; masses in files are rounded


def to_phonopy(atoms: Atoms) -> PhonopyAtoms:
    """Return the crystal as phonopy's cell: species, positions, masses and magnetic moments.

    Atoms of one element with different masses become different species, "H" and "H1". A left-handed
    cell is returned with its three vectors reversed.

    Raises
    ------
    ValueError
        As `ase_equivar.structures.validation.check_structure`, and if the cell is not periodic in
        all three directions.
    """
    atoms = as_atoms(atoms)
    check_crystal_cell(atoms)
    moments = atoms.get_initial_magnetic_moments()
    hand = 1.0 if atoms.cell.handedness > 0 else -1.0
    return PhonopyAtoms(
        symbols=symbols_by_mass(atoms.symbols, atoms.get_masses()),
        cell=hand * atoms.cell.array,
        scaled_positions=hand * atoms.get_scaled_positions(wrap=False),
        masses=atoms.get_masses(),
        magnetic_moments=moments if np.any(moments) else None,
    )


def check_crystal_cell(atoms: Atoms) -> None:
    """Refuse an invalid structure or mass, and what is not periodic in all three directions.

    Raises
    ------
    ValueError
        Saying so.
    """
    check_structure(atoms)
    check_masses_positive(atoms.get_masses(), atoms.symbols)
    if not atoms.pbc.all():
        raise ValueError(
            f"phonons need a crystal that is periodic in three directions, got pbc={atoms.pbc} and "
            f"a cell of {abs(atoms.cell.volume):.3g} Å³. For a sheet or a wire: use a cell with "
            "vacuum, set pbc=True and omit apply_nac(), whose correction is that of a "
            "three-dimensional crystal; a sheet has no LO–TO splitting at Γ"
        )


def symbols_by_mass(symbols: Iterable[str], masses: NDArray[np.float64]) -> list[str]:
    """Return chemical symbols in which isotopes of an element are numbered: H, H1, H2.

    Parameters
    ----------
    symbols : iterable of str
        Chemical symbols, one for each atom.
    masses : ndarray, shape (N,)
        u.
    """
    known: dict[str, list[float]] = {}
    names = []
    for symbol, mass in zip(symbols, masses, strict=True):
        isotopes = known.setdefault(symbol, [])
        number = next((k for k, m in enumerate(isotopes) if abs(m - mass) <= SAME_MASS), None)
        if number is None:
            number = len(isotopes)
            isotopes.append(float(mass))
        names.append(f"{symbol}{number}" if number else symbol)
    return names


def to_ase(cell: PhonopyAtoms) -> Atoms:
    """Return phonopy's cell as ASE Atoms, in the same atom order."""
    return as_atoms(cell)


def make_phonon(
    atoms: Atoms, supercell: ArrayLike = (1, 1, 1), *, symprec: float = SYMPREC
) -> Phonopy:
    """Return a Phonopy object of this crystal, with the primitive cell that phonopy finds.

    Different masses of atoms of one element break the symmetry and may enlarge the primitive cell.
    The vectors of a left-handed cell are reversed. Those of a very skewed cell, along which
    displacements would be nearly parallel, are replaced by the shortest ones of its lattice.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell, also as a pymatgen or phonopy object.
    supercell : array_like of int
        Three integers, or a 3×3 integer matrix M in phonopy's convention: the supercell's vectors,
        written as columns, are (a, b, c) M. (ASE's ``make_supercell`` takes the transpose.)
    symprec : float
        Distance within which two positions count as symmetry-equivalent, Å.

    Raises
    ------
    TypeError, ValueError
        If the structure is invalid or not periodic in three directions, two atoms are closer than
        `symprec`, or the supercell is invalid or has more than 20 000 atoms.

    Warns
    -----
    SymmetryWarning
        If 1e-3 Å would give a higher space group than `symprec`.
    """
    given = as_atoms(atoms)
    compact = _compact(given)
    cell = to_phonopy(compact)
    matrix = _supercell_matrix(supercell, len(cell))
    if compact is not given:
        vectors = compact_vectors(matrix.T @ given.cell.array, given.pbc)
        matrix = _in_units_of(compact, vectors)
    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    _warn_if_nearly_symmetric(cell, symprec)
    with warnings.catch_warnings():
        # Phonopy warns that the primitive cell is now found by symmetry, which is intended here.
        warnings.simplefilter("ignore", PrimitiveMatrixAutoDefaultWarning)
        phonon = Phonopy(
            cell,
            supercell_matrix=matrix,
            primitive_matrix="auto",
            symprec=symprec,
            distinguish_symbol_index=True,  # of isotopes
        )
    return phonon


def _compact(atoms: Atoms) -> Atoms:
    """Return a crystal that has been checked, in a cell that is not very skewed."""
    check_crystal_cell(atoms)
    return compact_atoms(atoms)


def _in_units_of(atoms: Atoms, vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return lattice vectors (rows) in units of those of a cell, as phonopy's matrix (columns)."""
    return np.asarray(np.rint(np.linalg.solve(atoms.cell.array.T, vectors.T)), dtype=np.int64)


def _warn_if_nearly_symmetric(cell: PhonopyAtoms, symprec: float) -> None:
    lattice, positions, kinds, *_ = cell.totuple(distinguish_symbol_index=True)
    warn_if_nearly_symmetric((lattice, positions, kinds), symprec)


def primitive_cell(atoms: Atoms, *, symprec: float = SYMPREC) -> Primitive:
    """Return the primitive cell that `make_phonon` finds, in a third of the time.

    Parameters, errors and warnings as those of `make_phonon`.
    """
    cell = to_phonopy(_compact(as_atoms(atoms)))
    one = _supercell_matrix((1, 1, 1), len(cell))
    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    _warn_if_nearly_symmetric(cell, symprec)
    matrix = guess_primitive_matrix(cell, symprec=symprec, distinguish_symbol_index=True)
    return get_primitive(get_supercell(cell, one, symprec=symprec), matrix, symprec=symprec)


def supercell_for_length(
    atoms: Atoms, length: float = 12.0
) -> tuple[int, int, int] | NDArray[np.int64]:
    """Return the smallest diagonal supercell in which periodic images are `length` Å apart.

    The criterion is the distance between opposite faces of the supercell, not the length of its
    vectors, so that skewed cells become large enough.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell, also as a pymatgen or phonopy object.
    length : float
        Minimum distance between opposite faces, Å.

    Returns
    -------
    tuple of three int, or ndarray of int64, shape (3, 3)
        For `make_phonon`. A matrix for a very skewed cell: the supercell is then diagonal in the
        shortest vectors of its lattice.
    """
    atoms = as_atoms(atoms)
    check_structure(atoms)
    compact = compact_atoms(atoms)
    length = positive_number("length", length, "Å", largest=LONGEST_SUPERCELL)
    spacings = 1.0 / np.linalg.norm(compact.cell.reciprocal().array, axis=1)
    # The margin prevents a cell that just fits from being doubled because of rounding.
    n1, n2, n3 = (int(n) for n in np.maximum(1, np.ceil(length / spacings - 1e-6)))
    if compact is atoms:
        return n1, n2, n3
    return _in_units_of(atoms, compact.cell.array * np.array([[n1], [n2], [n3]]))


def _supercell_matrix(supercell: ArrayLike, n_atoms: int) -> NDArray[np.int64]:
    """Return the supercell matrix, or refuse it if the supercell has too many atoms."""
    given = finite_real("supercell", supercell, None, largest=LONGEST_SUPERCELL)
    matrix = np.diag(given) if given.shape == (3,) else given
    if matrix.shape != (3, 3) or not np.array_equal(matrix, np.rint(matrix)):
        raise ValueError(
            f"supercell must be three integers or a 3×3 integer matrix, got {supercell!r}"
        )
    determinant = round(float(np.linalg.det(matrix)))
    if determinant < 1:
        raise ValueError(
            f"the supercell {supercell!r} holds {determinant} unit cells; it must hold at least one"
        )
    if determinant * n_atoms > MOST_ATOMS:
        raise ValueError(
            f"the supercell {supercell!r} has {determinant * n_atoms} atoms: the force constants "
            f"of more than {MOST_ATOMS} do not fit into memory. Give a smaller one"
        )
    return np.asarray(np.rint(matrix), dtype=np.int64)
