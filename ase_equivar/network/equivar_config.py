"""The configuration of the published network, as stored in model files."""

from __future__ import annotations

from dataclasses import dataclass

from ase_equivar.network.config_fields import check_fields

EQUIVAR_SIZES = (
    ("embedding", 1, 4096),
    ("radial_functions", 2, 1024),
    ("features", 1, 4096),
    ("l_max", 0, 8),
    ("interactions", 1, 64),
)
N_ELEMENTS = 100  # rows of the published embedding


@dataclass(frozen=True)
class EquivarConfig:
    """Configuration of an `Equivar` network; the defaults are BM2's.

    Attributes
    ----------
    elements : tuple of int
        Atomic numbers that the network was trained on.
    cutoff : float
        Largest bond length in Å.
    embedding : int
        Size d of the embedding of an element.
    radial_functions : int
        Gaussians R of the distance.
    features : int
        Channels n of each irrep of nodes and edges.
    l_max : int
        Largest degree of the bond harmonics.
    interactions : int
        Number of interaction blocks.
    parity : bool
        True: O(3)-equivariant. False: as published, rotations only.
    smooth : bool
        Whether messages go to zero at the cutoff; as published, they do not.
    """

    elements: tuple[int, ...] = tuple(range(1, N_ELEMENTS))
    cutoff: float = 3.0
    embedding: int = 32
    radial_functions: int = 32
    features: int = 32
    l_max: int = 2
    interactions: int = 6
    parity: bool = False
    smooth: bool = False

    def __post_init__(self) -> None:
        """Refuse invalid fields."""
        check_fields(self, EQUIVAR_SIZES)


PRESETS = {"bm1": EquivarConfig(features=64), "bm2": EquivarConfig(features=32)}
