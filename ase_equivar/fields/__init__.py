"""Electric fields: forces on ions, units, and dependence on time and position.

Fields are in V/Å, times in fs and frequencies in THz. `ase_equivar.units.MV_PER_CM` is one MV/cm in
V/Å: ``0.5 * MV_PER_CM`` is a field of 0.5 MV/cm.
"""

from ase_equivar.fields.algebra import Field, Waveform
from ase_equivar.fields.applied import AppliedField
from ase_equivar.fields.displacement import ConstantDisplacement
from ase_equivar.fields.forces import check_field, field_forces
from ase_equivar.fields.serialization import waveform_from_dict, waveform_from_json
from ase_equivar.fields.spatial import (
    FieldOfPosition,
    FieldOnAtoms,
    GaussianBeam,
    PlaneWave,
    SpatialField,
)
from ase_equivar.fields.tabulated import TabulatedField
from ase_equivar.fields.waveforms import (
    ChirpedPulse,
    ConstantField,
    GaussianPulse,
    SineField,
    StepField,
    TriangleField,
)

__all__ = [
    "AppliedField",
    "ChirpedPulse",
    "ConstantDisplacement",
    "ConstantField",
    "Field",
    "FieldOfPosition",
    "FieldOnAtoms",
    "GaussianBeam",
    "GaussianPulse",
    "PlaneWave",
    "SineField",
    "SpatialField",
    "StepField",
    "TabulatedField",
    "TriangleField",
    "Waveform",
    "check_field",
    "field_forces",
    "waveform_from_dict",
    "waveform_from_json",
]
