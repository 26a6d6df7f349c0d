"""Networks that map a graph of atoms to raw Z* and ε∞ tensors."""

from typing import TYPE_CHECKING

from ase_equivar.lazy_names import lazy_names
from ase_equivar.network.build import Network, build_network
from ase_equivar.network.ensemble import Ensemble
from ase_equivar.network.equivar_config import PRESETS, EquivarConfig
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.gated_config import GatedConfig
from ase_equivar.network.hybrid import HybridConfig, HybridNetwork
from ase_equivar.network.polar import PolarNetwork
from ase_equivar.network.readout import RawTensors

if TYPE_CHECKING:
    from ase_equivar.network.equivar import Equivar

__all__ = [
    "PRESETS",
    "Ensemble",
    "Equivar",
    "EquivarConfig",
    "GatedConfig",
    "GatedNetwork",
    "HybridConfig",
    "HybridNetwork",
    "Network",
    "PolarNetwork",
    "RawTensors",
    "build_network",
]

# the published network needs e3nn
__getattr__, __dir__ = lazy_names(__name__, {"equivar": ("Equivar",)})
