"""Phonons of polar crystals: force constants, Z* and ε∞ in, LO–TO splitting and bands out.

The order of a calculation::

    phonon = force_constants(atoms, forces_calculator, (4, 4, 4))
    apply_nac(phonon, EquivarCalculator())        # or (born_charges, dielectric_tensor) from DFPT
    lo_to_splitting(phonon, [(1, 0, 0)])
    plot_bands(bands(phonon))                     # ase_equivar.plotting
"""

from ase_equivar.bands import BandSegment, bands
from ase_equivar.born_source import Source
from ase_equivar.force_constants import (
    force_constants,
    make_phonon,
    relax,
    supercell_for_length,
)
from ase_equivar.lo_to import THZ_TO_CM, GammaModes, LoToPair, LoToSplitting, lo_to_splitting
from ase_equivar.nac import NAC_FACTOR, apply_nac, nac_params, write_born

__all__ = [
    "NAC_FACTOR",
    "THZ_TO_CM",
    "BandSegment",
    "GammaModes",
    "LoToPair",
    "LoToSplitting",
    "Source",
    "apply_nac",
    "bands",
    "force_constants",
    "lo_to_splitting",
    "make_phonon",
    "nac_params",
    "relax",
    "supercell_for_length",
    "write_born",
]
