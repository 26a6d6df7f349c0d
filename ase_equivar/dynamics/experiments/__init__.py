"""Ready-made experiments in electric fields, one function each."""

from ase_equivar.dynamics.experiments.drift import IonDrift, ion_drift
from ase_equivar.dynamics.experiments.finite_field import (
    FiniteFieldDielectric,
    finite_field_dielectric,
)
from ase_equivar.dynamics.experiments.hysteresis_loop import HysteresisLoop, hysteresis
from ase_equivar.dynamics.experiments.pulse import PulseResponse, pulse_response
from ase_equivar.dynamics.experiments.thermal_run import MDSettings

__all__ = [
    "FiniteFieldDielectric",
    "HysteresisLoop",
    "IonDrift",
    "MDSettings",
    "PulseResponse",
    "finite_field_dielectric",
    "hysteresis",
    "ion_drift",
    "pulse_response",
]
