"""Phonons with the non-analytical correction from a structure and two calculators."""

from __future__ import annotations

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import ArrayLike
from phonopy import Phonopy

from ase_equivar.phonons import relaxation
from ase_equivar.phonons.born_source import Source, given_dielectric
from ase_equivar.phonons.cells import make_phonon, supercell_for_length
from ase_equivar.phonons.electronic_correction import Corrected
from ase_equivar.phonons.finite_displacement import force_constants
from ase_equivar.phonons.nac import NacMethod, apply_nac, nac_params
from ase_equivar.phonons.relax_modes import RelaxMode, relax_mode
from ase_equivar.structures.symmetry import SYMPREC


def polar_phonon(
    atoms: Atoms,
    calculator: BaseCalculator,
    source: Source,
    *,
    supercell: ArrayLike | None = None,
    relax: RelaxMode = "none",
    dielectric_tensor: ArrayLike | Corrected | None = None,
    refractive_index: ArrayLike | None = None,
    method: NacMethod = "gonze",
    symprec: float = SYMPREC,
    progress: bool = True,
) -> Phonopy:
    """Return a Phonopy object with force constants, Z* and ε∞.

    The availability of Z* and ε∞ is checked first, before any force is calculated.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell.
    calculator : ase calculator
        Provides forces, and stress if the cell is relaxed.
    source, dielectric_tensor, refractive_index, method
        Source of Z* and ε∞; see `nac_params`. A calculator is run on the relaxed crystal.
    supercell : array_like of int, optional
        Three integers or a 3×3 integer matrix, see `make_phonon`; by default, images are at least
        12 Å apart.
    relax : {"none", "positions", "cell"}
        What to relax with `calculator` first, at fixed space group; see `RelaxMode`.
    symprec : float
        Symmetry tolerance, Å, of the relaxation and the phonons.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError, RuntimeError, TypeError
        As `relax`, `force_constants` and `apply_nac`.

    Warns
    -----
    EquivarWarning
        As `force_constants` and `apply_nac`, mainly if the structure is not relaxed.
    """
    relax = relax_mode("relax", relax)
    electronic = given_dielectric(dielectric_tensor, refractive_index)
    trial = make_phonon(atoms, symprec=symprec)
    nac_params(trial, source, dielectric_tensor=electronic, method=method)
    if relax != "none":
        atoms = relaxation.relax(atoms, calculator, relax, symprec=symprec)
    cells = supercell_for_length(atoms) if supercell is None else supercell
    phonon = force_constants(atoms, calculator, cells, symprec=symprec, progress=progress)
    return apply_nac(phonon, source, dielectric_tensor=electronic, method=method)
