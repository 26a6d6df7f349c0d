"""The configuration of gated networks, as stored in model files."""

from __future__ import annotations

from dataclasses import dataclass

from ase_equivar.network.config_fields import check_fields

SIZES = (
    ("channels", 0, 4096),
    ("l_max", 0, 8),
    ("interactions", 0, 64),
    ("radial_functions", 1, 1024),
    ("radial_hidden", 1, 4096),
    ("embedding", 1, 4096),
)
"""The smallest and largest that make sense: beyond, building one would fill any memory."""


@dataclass(frozen=True)
class GatedConfig:
    """Configuration of a `GatedNetwork`.

    Attributes
    ----------
    elements : tuple of int
        Atomic numbers that the network supports.
    cutoff : float
        Largest bond length in Å.
    channels : int
        Channels of every irrep of the features.
    irreps : tuple of str
        Irreps of the hidden features; the first must be "0e".
    l_max : int
        Largest degree of the bond harmonics.
    interactions : int
        Number of convolutions.
    radial_functions, radial_hidden : int
        Number of Bessel functions of the distance, and width of the network that maps them and the
        two elements to weights.
    embedding : int
        Size of the embedding of an element.
    mean_neighbors : float
        Neighbors of a typical atom; messages are divided by its square root.
    dielectric : bool
        Whether there is a head for ε∞.
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    channels: int = 48
    irreps: tuple[str, ...] = ("0e", "1o", "2e")
    l_max: int = 2
    interactions: int = 3
    radial_functions: int = 8
    radial_hidden: int = 32
    embedding: int = 32
    mean_neighbors: float = 34.0
    dielectric: bool = True

    def __post_init__(self) -> None:
        """Refuse invalid fields, and networks that cannot give a full tensor."""
        check_fields(self, SIZES, ("cutoff", "mean_neighbors"))
        if self.interactions < 2:
            raise ValueError(
                f"interactions is {self.interactions}; at least 2 are needed, "
                "one cannot reach the antisymmetric part of Z*"
            )
        if not self.irreps or self.irreps[0] != "0e":
            raise ValueError(f"irreps are {self.irreps}; the first must be '0e', the scalars")
        if len(self.irreps) < 2 or self.channels < 1:
            raise ValueError(
                f"irreps are {self.irreps} with {self.channels} channels; a tensor needs irreps "
                "besides the scalars, and at least one channel"
            )
