"""Structures of other packages as ASE's Atoms, without importing those packages."""

from __future__ import annotations

import sys

from ase import Atoms


def as_atoms(structure: object) -> Atoms:
    """Return a structure as ASE's Atoms.

    Parameters
    ----------
    structure : ase.Atoms, pymatgen Structure or Molecule, or phonopy PhonopyAtoms
        Atoms are returned as they are.

    Raises
    ------
    TypeError
        For any other type.
    """
    if isinstance(structure, Atoms):
        return structure
    if type(structure).__module__.startswith("pymatgen.") and hasattr(structure, "to_ase_atoms"):
        return Atoms(structure.to_ase_atoms())
    phonopy_atoms = sys.modules.get("phonopy.structure.atoms")
    if phonopy_atoms is not None and isinstance(structure, phonopy_atoms.PhonopyAtoms):
        return Atoms(
            numbers=structure.numbers,
            cell=structure.cell,
            scaled_positions=structure.scaled_positions,
            masses=structure.masses,
            magmoms=structure.magnetic_moments,
            pbc=True,
        )
    several = " one by one; predict() takes several" if isinstance(structure, list | tuple) else ""
    raise TypeError(
        f"atoms is a {type(structure).__name__}; give an ase.Atoms, a pymatgen Structure or a "
        f"PhonopyAtoms{several}"
    )
