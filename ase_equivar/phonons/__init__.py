"""Phonons of polar crystals: force constants, Z* and ε∞ in, LO–TO splitting and bands out.

The order of a calculation::

    phonon = force_constants(atoms, forces_calculator, (4, 4, 4))
    apply_nac(phonon, EquivarCalculator())        # or (born_charges, dielectric_tensor) from DFPT
    lo_to_splitting(phonon, [(1, 0, 0)])
    plot_bands(bands(phonon))                     # ase_equivar.plotting
"""

from ase_equivar.frequency_units import THZ_TO_CM
from ase_equivar.phonons.angular_dispersion import AngularDispersion, angular_dispersion
from ase_equivar.phonons.bands import BandSegment, bands
from ase_equivar.phonons.born_source import Source
from ase_equivar.phonons.force_constants import (
    force_constants,
    make_phonon,
    relax,
    supercell_for_length,
)
from ase_equivar.phonons.lo_to import GammaModes, LoToPair, LoToSplitting, lo_to_splitting
from ase_equivar.phonons.nac import NAC_FACTOR, apply_nac, nac_params, write_born

__all__ = [
    "NAC_FACTOR",
    "THZ_TO_CM",
    "AngularDispersion",
    "BandSegment",
    "GammaModes",
    "LoToPair",
    "LoToSplitting",
    "Source",
    "angular_dispersion",
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
