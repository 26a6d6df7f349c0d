"""The gated network with features of a pretrained potential as additional input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from ase_equivar.arguments import whole_number
from ase_equivar.graph import Graph
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.gated_config import GatedConfig
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.layers import IrrepwiseLinear, drop_channels
from ase_equivar.network.sevennet.features import LatentFeatures

# Added to features of unit size in training: there are so many that each tells its crystal from all
# others, and a network would learn crystals by heart.
NOISE = 0.5


@dataclass(frozen=True)
class HybridConfig(GatedConfig):
    """Configuration of a `HybridNetwork`: that of a `GatedNetwork`, and the source of its features.

    Attributes
    ----------
    potential : str
        One of `latent.POTENTIALS`.
    layers : tuple of int
        Layers of the potential whose features are taken, see `latent.LatentFeatures`.
    """

    potential: str = "SevenNet-0_11July2024"
    layers: tuple[int, ...] = (1, 2, 3, 4)

    def __post_init__(self) -> None:
        """Refuse invalid fields."""
        super().__post_init__()
        try:
            layers = tuple(self.layers)
        except TypeError as error:
            raise ValueError(f"layers is {self.layers!r}; give their numbers") from error
        layers = tuple(whole_number("an entry of layers", layer) for layer in layers)
        object.__setattr__(self, "layers", layers)


class HybridNetwork(GatedNetwork):
    """Z* and ε∞ from atoms and their features in a frozen potential.

    Before each interaction a linear map of the potential's features is added to the network's own.

    Parameters
    ----------
    config : HybridConfig

    Raises
    ------
    ImportError, ValueError
        If there is no such potential, or it is incompatible.
    """

    architecture = "hybrid"

    def __init__(self, config: HybridConfig) -> None:
        irreps = tuple(map(Irrep.parse, config.irreps))
        super().__init__(config, inputs=irreps)
        self.latent = LatentFeatures(config.potential, config.layers, irreps)
        if self.latent.cutoff != config.cutoff:
            raise ValueError(
                f"cutoff is {config.cutoff} Å; {config.potential} needs {self.latent.cutoff} Å"
            )
        unknown = sorted(set(config.elements) - self.latent.elements)
        if unknown:
            names = ", ".join(chemical_symbols[z] for z in unknown)
            raise ValueError(f"{config.potential} does not know {names}")
        widths = [config.channels] * len(irreps)
        self.entries = nn.ModuleList(
            IrrepwiseLinear(self.latent.channels, widths) for _ in range(config.interactions)
        )

    @property
    def receptive_field(self) -> float:
        """As in `GatedNetwork`, with the layers of the potential, which are counted from 0."""
        return super().receptive_field + (self.latent.layers[-1] + 1) * self.cutoff

    def prepared(self, graph: Graph) -> Graph:
        """Add the potential's features to the graph, which takes most of the time."""
        if graph.latent is not None:
            return graph
        return replace(graph, latent=self.latent.raw(graph, self.backend))

    def start_from_graphs(self, graphs: Sequence[Graph]) -> None:
        """Determine the scale of the features."""
        blocks = zip(*(self.prepared(graph).latent or () for graph in graphs), strict=True)
        self.latent.standardize([torch.cat(block) for block in blocks])

    def components_and_features(self, graph: Graph) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """As in `GatedNetwork`."""
        latent = self.prepared(graph).latent
        assert latent is not None
        features = self.latent(latent)
        if self.training:
            features = [block + NOISE * torch.randn_like(block) for block in features]
        return super().components_and_features(replace(graph, latent=tuple(features)))

    def _enter(self, number: int, blocks: list[Tensor], graph: Graph) -> list[Tensor]:
        added: list[Tensor] = self.entries[number](graph.latent)
        dropout = self._layers[0].dropout if self.training else 0.0
        if dropout > 0:
            added = [drop_channels(block, dropout) for block in added]
        # the first interaction has no features of its own but scalars
        both = [old + new for old, new in zip(blocks, added, strict=False)]
        return both + added[len(blocks) :]
