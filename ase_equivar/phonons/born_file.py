"""Z* and ε∞ in phonopy's BORN file, for use with phonopy's own commands."""

from __future__ import annotations

import os

from ase import Atoms
from numpy.typing import ArrayLike
from phonopy import Phonopy
from phonopy.file_IO import get_BORN_lines

from ase_equivar.io.output_files import write_text
from ase_equivar.phonons.born_source import Source
from ase_equivar.phonons.cells import make_phonon
from ase_equivar.phonons.electronic_correction import Corrected
from ase_equivar.phonons.nac import nac_params
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.symmetry import SYMPREC


def write_born(
    path: str | os.PathLike[str],
    cell: Phonopy | Atoms,
    source: Source,
    *,
    dielectric_tensor: ArrayLike | Corrected | None = None,
    refractive_index: ArrayLike | None = None,
    symprec: float = SYMPREC,
) -> None:
    """Write phonopy's BORN file: ε∞, then Z* of the symmetry-independent atoms.

    phonopy reads it for the primitive cell that it finds in the same unit cell.

    Parameters
    ----------
    path : path-like
        File to write.
    cell : phonopy.Phonopy or ase.Atoms
        The unit cell to be used with phonopy, or a Phonopy object of it. Masses and magnetic
        moments of Atoms are left out; for a magnetic primitive cell give a Phonopy object.
    source, dielectric_tensor, refractive_index
        See `nac_params`.
    symprec : float
        Symmetry tolerance, Å, of Atoms given as `cell` (a Phonopy object has its own). It must be
        the one with which phonopy reads the file; 1e-5 is phonopy's default.

    Raises
    ------
    ValueError
        As `nac_params`.
    """
    if isinstance(cell, Phonopy):
        phonon = cell
    else:
        plain = as_atoms(cell).copy()
        # phonopy, given the structure alone, finds its primitive cell without both
        plain.set_masses()
        plain.set_initial_magnetic_moments()
        phonon = make_phonon(plain, symprec=symprec)
    params = nac_params(
        phonon, source, dielectric_tensor=dielectric_tensor, refractive_index=refractive_index
    )
    lines = get_BORN_lines(
        phonon.primitive, params["born"], params["dielectric"], symprec=phonon.symmetry.tolerance
    )
    write_text(path, "\n".join(line.rstrip() for line in lines) + "\n")
