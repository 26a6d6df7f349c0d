"""Uniform electric fields: their forces on ions, their units, and how they change in time.

The units are used as those of ASE: ``0.5 * MV_PER_CM`` is a field in V/Å, and ``field / MV_PER_CM``
is a field given in V/Å, in MV/cm.
"""

from ase_equivar.fields.algebra import Field, Waveform
from ase_equivar.fields.forces import check_field, field_forces
from ase_equivar.fields.tabulated import TabulatedField
from ase_equivar.fields.waveforms import (
    ChirpedPulse,
    ConstantField,
    GaussianPulse,
    SineField,
    StepField,
    TriangleField,
    waveform_from_dict,
    waveform_from_json,
)

__all__ = [
    "ChirpedPulse",
    "ConstantField",
    "Field",
    "GaussianPulse",
    "SineField",
    "StepField",
    "TabulatedField",
    "TriangleField",
    "Waveform",
    "check_field",
    "field_forces",
    "waveform_from_dict",
    "waveform_from_json",
]
