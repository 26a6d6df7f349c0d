"""Phonons of polar crystals: LO–TO splitting and bands from force constants, Z* and ε∞.

A typical calculation::

    phonon = polar_phonon(atoms, forces_calculator, EquivarCalculator())
    lo_to_splitting(phonon, [(1, 0, 0)])
    plot_bands(bands(phonon))                     # ase_equivar.plotting
    plot_density_of_states(density_of_states(phonon))

or, with existing force constants, ``apply_nac(phonon, source)``, where the source may also be
(born_charges, dielectric_tensor) from DFPT.

A module is imported when one of its names is first used: most need PyTorch or phonopy.
"""

from typing import TYPE_CHECKING

from ase_equivar.lazy_names import lazy_names
from ase_equivar.units import THZ_TO_CM

if TYPE_CHECKING:
    from ase_equivar.phonons.band_structure import BandSegment, bands
    from ase_equivar.phonons.born_file import write_born
    from ase_equivar.phonons.born_source import Source
    from ase_equivar.phonons.cells import make_phonon, supercell_for_length
    from ase_equivar.phonons.density import DensityOfStates, density_of_states
    from ase_equivar.phonons.electronic_correction import corrected_dielectric
    from ase_equivar.phonons.finite_displacement import force_constants
    from ase_equivar.phonons.gamma import NAC_FACTOR
    from ase_equivar.phonons.lo_to import GammaModes, LoToPair, LoToSplitting, lo_to_splitting
    from ase_equivar.phonons.nac import NacMethod, apply_nac, nac_params
    from ase_equivar.phonons.oblique import (
        AngularDispersion,
        BranchKind,
        angular_dispersion,
    )
    from ase_equivar.phonons.polar import polar_phonon
    from ase_equivar.phonons.relax_modes import RelaxMode
    from ase_equivar.phonons.relaxation import relax
    from ase_equivar.phonons.static_check import warn_if_static

__all__ = [
    "NAC_FACTOR",
    "THZ_TO_CM",
    "AngularDispersion",
    "BandSegment",
    "BranchKind",
    "DensityOfStates",
    "GammaModes",
    "LoToPair",
    "LoToSplitting",
    "NacMethod",
    "RelaxMode",
    "Source",
    "angular_dispersion",
    "apply_nac",
    "bands",
    "corrected_dielectric",
    "density_of_states",
    "force_constants",
    "lo_to_splitting",
    "make_phonon",
    "nac_params",
    "polar_phonon",
    "relax",
    "supercell_for_length",
    "warn_if_static",
    "write_born",
]

_HOMES = {
    "band_structure": (
        "BandSegment",
        "bands",
    ),
    "born_file": ("write_born",),
    "born_source": ("Source",),
    "cells": (
        "make_phonon",
        "supercell_for_length",
    ),
    "density": (
        "DensityOfStates",
        "density_of_states",
    ),
    "electronic_correction": ("corrected_dielectric",),
    "finite_displacement": ("force_constants",),
    "gamma": ("NAC_FACTOR",),
    "lo_to": (
        "GammaModes",
        "LoToPair",
        "LoToSplitting",
        "lo_to_splitting",
    ),
    "nac": (
        "NacMethod",
        "apply_nac",
        "nac_params",
    ),
    "oblique": (
        "AngularDispersion",
        "BranchKind",
        "angular_dispersion",
    ),
    "polar": ("polar_phonon",),
    "relax_modes": ("RelaxMode",),
    "relaxation": ("relax",),
    "static_check": ("warn_if_static",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
