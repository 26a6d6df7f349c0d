"""Networks: a graph of atoms to raw Z* and ε∞ tensors."""

from ase_equivar.network.build import Network, build_network
from ase_equivar.network.ensemble import Ensemble
from ase_equivar.network.equivar import PRESETS, Equivar, EquivarConfig
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.gated_config import GatedConfig
from ase_equivar.network.hybrid import HybridConfig, HybridNetwork
from ase_equivar.network.polar import PolarNetwork
from ase_equivar.network.readout import RawTensors

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
