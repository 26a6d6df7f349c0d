"""Born effective charges from an equivariant network, as an ASE calculator.

Importing the package makes ``born_charges`` known to ASE; see `ase_equivar.ase_properties`.
"""

from ase_equivar.ase_properties import register
from ase_equivar.calculator import EquivarCalculator
from ase_equivar.extxyz import read_extxyz, write_extxyz
from ase_equivar.fields import field_forces
from ase_equivar.prediction import Diagnostics, Prediction, SumRuleWarning
from ase_equivar.sum_rule import neutralize
from ase_equivar.weights import available_models, load_model, save_model

__version__ = "0.1.0"
__all__ = [
    "Diagnostics",
    "EquivarCalculator",
    "Prediction",
    "SumRuleWarning",
    "available_models",
    "field_forces",
    "load_model",
    "neutralize",
    "read_extxyz",
    "save_model",
    "write_extxyz",
]

register()
