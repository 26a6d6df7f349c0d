"""Born effective charges from an equivariant network, as an ASE calculator.

Importing the package makes ``born_charges`` known to ASE; see `ase_equivar.ase_properties`.
The rest is imported when it is first used, so that the import itself is quick.
"""

from typing import TYPE_CHECKING

from ase_equivar.ase_properties import register
from ase_equivar.lazy_names import lazy_names

if TYPE_CHECKING:
    from ase_equivar.calculator import EquivarCalculator
    from ase_equivar.fields import field_forces
    from ase_equivar.inference.model_files import available_models
    from ase_equivar.inference.models import load_model, save_model
    from ase_equivar.inference.prediction import Diagnostics, Prediction
    from ase_equivar.io.extxyz import read_extxyz, write_extxyz
    from ase_equivar.sum_rule import neutralize
    from ase_equivar.warning_types import EquivarWarning, SumRuleWarning, VacuumWarning

__version__ = "0.2.0"
__all__ = [
    "Diagnostics",
    "EquivarCalculator",
    "EquivarWarning",
    "Prediction",
    "SumRuleWarning",
    "VacuumWarning",
    "available_models",
    "field_forces",
    "load_model",
    "neutralize",
    "read_extxyz",
    "save_model",
    "write_extxyz",
]

_HOMES = {
    "calculator": ("EquivarCalculator",),
    "io.extxyz": ("read_extxyz", "write_extxyz"),
    "fields": ("field_forces",),
    "inference.prediction": ("Diagnostics", "Prediction"),
    "sum_rule": ("neutralize",),
    "warning_types": ("EquivarWarning", "SumRuleWarning", "VacuumWarning"),
    "inference.model_files": ("available_models",),
    "inference.models": ("load_model", "save_model"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

register()
