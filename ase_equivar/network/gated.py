"""The gated network of the bundled models: O(3)-equivariant convolutions for Z* and ε∞.

It keeps the structure of Equivar (element embedding → residual convolutions over bonds →
equivariant linear readout to 0e + 1e + 2e) with improvements: radial weights depend on both
elements, features pass through gates, even and odd parity are distinguished, and everything goes
smoothly to zero at the cutoff. Gates as in Weiler et al., NeurIPS 2018; depthwise products with
radial weights as in NequIP, Batzner et al., Nat. Commun. 13, 2453 (2022).

Features are stored as (atoms, components, channels), see `convolution`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ase_equivar.graph import Graph
from ase_equivar.network.basis import BesselBasis, smooth_cutoff
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.backends import check_backend
from ase_equivar.network.execution.chunking import is_chunked
from ase_equivar.network.execution.edge_features import (
    Bonds,
    distances_and_harmonics,
    pairs_of_elements,
    use_radial_table,
)
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.parameter_cache import ParameterCache
from ase_equivar.network.execution.radial_table import SHORTEST, RadialTable
from ase_equivar.network.execution.scatter import mean_by_index
from ase_equivar.network.execution.threads import limit_torch_threads, torch_threads_restored
from ase_equivar.network.gated_config import GatedConfig
from ase_equivar.network.gated_interaction import GatedInteraction, Species
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.layers import TensorHead
from ase_equivar.network.readout import CartesianTensor, RawTensors, raw_tensors

SCALARS = (Irrep.parse("0e"),)


class GatedNetwork(nn.Module):
    """Z* and ε∞ of a graph of atoms; see the module's docstring.

    Parameters
    ----------
    config : GatedConfig
    inputs : tuple of Irrep
        Irreps of the input of the first interaction; elements are scalars.
    """

    architecture = "gated"
    last_irreps = tuple(map(Irrep.parse, ("0e", "1e", "2e")))  # of the last interaction
    element_index: Tensor

    def __init__(self, config: GatedConfig, inputs: tuple[Irrep, ...] = SCALARS) -> None:
        super().__init__()
        self.config = config
        index = torch.full((119,), -1, dtype=torch.int64)
        index[list(config.elements)] = torch.arange(len(config.elements))
        self.register_buffer("element_index", index, persistent=False)
        self.embedding = nn.Embedding(len(config.elements), config.embedding)
        self.shift = nn.Embedding(len(config.elements), 1)
        nn.init.zeros_(self.shift.weight)
        self.start = nn.Linear(config.embedding, config.channels)
        self.basis = BesselBasis(config.radial_functions, config.cutoff)
        hidden = tuple(map(Irrep.parse, config.irreps))
        layers = []
        for number in range(config.interactions):
            outputs = self.last_irreps if number == config.interactions - 1 else hidden
            # an irrep that nothing can reach yet is left out: the first layer knows only scalars
            reachable = {path.output for path in Coupling(inputs, outputs, config.l_max).paths}
            outputs = tuple(ir for k, ir in enumerate(outputs) if k in reachable)
            layers.append(
                GatedInteraction(
                    inputs,
                    outputs,
                    l_max=config.l_max,
                    channels=config.channels,
                    radial_functions=config.radial_functions,
                    radial_hidden=config.radial_hidden,
                    embedding=config.embedding,
                )
            )
            inputs = outputs
        self.interactions = nn.ModuleList(layers)
        self.born_head = self._head(inputs)
        self.dielectric_head = (
            TensorHead(config.channels, (inputs[0], inputs[-1])) if config.dielectric else None
        )
        self.cartesian = CartesianTensor()
        self._tables: ParameterCache[list[RadialTable]] = ParameterCache()

    def set_dropout(self, dropout: float) -> None:
        """Set the probability that a channel of an atom is dropped in training."""
        for interaction in self._layers:
            interaction.dropout = dropout

    @contextmanager
    def channel_mask(self, dropout: float, seed: int) -> Iterator[None]:
        """Drop the same channels of all atoms within the context.

        After training with dropout, the remaining parts of the network are models of their own; see
        `ase_equivar.inference.uncertainty`.
        """
        draw, like = np.random.default_rng(seed), self.start.weight
        for layer in self._layers:
            kept = draw.random((len(layer.outputs), 1, 1, self.config.channels)) >= dropout
            with torch.inference_mode(mode=False):  # a polar network differentiates
                layer.masks = list(torch.from_numpy(kept).to(like) / (1.0 - dropout))
        try:
            yield
        finally:
            for layer in self._layers:
                layer.masks = None

    @property
    def backend(self) -> str:
        """What computes the convolutions, see `backends`; "e3nn" is the reference of the tests."""
        return self._layers[0].convolution.backend

    @backend.setter
    def backend(self, name: str) -> None:
        check_backend(name)
        for interaction in self._layers:
            interaction.convolution.backend = name

    @property
    def _layers(self) -> list[GatedInteraction]:
        return [layer for layer in self.interactions if isinstance(layer, GatedInteraction)]

    @property
    def build_config(self) -> dict[str, Any]:
        """The configuration from which `build_network` rebuilds this network."""
        return {"architecture": self.architecture, **asdict(self.config)}

    @property
    def cutoff(self) -> float:
        """Largest bond length in Å."""
        return self.config.cutoff

    @property
    def receptive_field(self) -> float:
        """Largest distance, Å, at which an atom can affect the Z* of another."""
        return self.config.interactions * self.config.cutoff

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that the network supports."""
        return self.config.elements

    @property
    def has_dielectric(self) -> bool:
        """Whether ε∞ is predicted."""
        return self.dielectric_head is not None

    def forward(self, graph: Graph) -> RawTensors:
        """Predict the raw tensors of every atom and structure of `graph`."""
        with torch_threads_restored():
            return raw_tensors(self.cartesian, *self.components_and_features(graph))

    def irreps_components(self, graph: Graph) -> tuple[Tensor, Tensor | None]:
        """Irreducible parts (N, 9) of Z*, and ln(ε∞ - 1) as (S, 3, 3), used in training."""
        with torch_threads_restored():
            return self.components_and_features(graph)[:2]

    def components_and_features(self, graph: Graph) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """As `irreps_components`, and the last features, one block (N, 2l+1, C) per irrep."""
        species_index = self.element_index[graph.numbers]
        blocks = self._features(graph, species_index, 0 if torch.is_grad_enabled() else 1)
        return (*self._read(blocks, species_index, graph), blocks)

    def _head(self, irreps: tuple[Irrep, ...]) -> TensorHead:
        """Return the readout of Z* from the last features, which have these irreps."""
        return TensorHead(self.config.channels, irreps)

    def _read(
        self, blocks: list[Tensor], species_index: Tensor, graph: Graph
    ) -> tuple[Tensor, Tensor | None]:
        """Return the result of `irreps_components` from the last features."""
        born = self.born_head(blocks)
        # the trace part of the orthonormal basis is √3 times the mean of the diagonal
        shift = 3**0.5 * self.shift(species_index[: len(born)])  # of own atoms
        born = torch.cat([born[:, :1] + shift, born[:, 1:]], dim=1)
        return born, self._log_susceptibility(blocks, graph)

    def _features(self, graph: Graph, species_index: Tensor, table_uses: int) -> list[Tensor]:
        """Features (N, 2l+1, C) of own atoms after the last interaction, one block per irrep.

        Tables have only first derivatives with respect to positions; with 0 uses, none are made.
        """
        bonds, tables = self._bonds(graph, species_index, table_uses)
        return self._through_layers(graph, species_index, bonds, tables)

    def _through_layers(
        self,
        graph: Graph,
        species_index: Tensor,
        bonds: Bonds,
        tables: Sequence[RadialTable | None],
    ) -> list[Tensor]:
        species = Species(species_index, self.embedding.weight)
        blocks = self._first(species)
        for number, table in enumerate(tables):
            blocks = self._enter(number, blocks, graph)
            exchange = graph.exchange if number else None  # the first features are known
            blocks = self.interactions[number](blocks, bonds, species, table, exchange)
        return blocks

    def _first(self, species: Species) -> list[Tensor]:
        """Return the features before the first interaction, which depend on elements only."""
        return [self.start(species.elements)[species.index].unsqueeze(1)]

    def _log_susceptibility(self, blocks: list[Tensor], graph: Graph) -> Tensor | None:
        """ln(ε∞ - 1) of all structures, (S, 3, 3), from the last features."""
        if self.dielectric_head is None or graph.exchange is not None:  # needs all atoms
            return None
        atomic = self.dielectric_head([blocks[0], blocks[-1]])
        mean = mean_by_index(atomic, graph.structure, graph.n_structures)
        zeros = mean.new_zeros(len(mean), 3)
        return self.cartesian(torch.cat([mean[:, :1], zeros, mean[:, 1:]], dim=1))

    def step(self, graph: Graph) -> Callable[[Tensor], tuple[Tensor, Tensor | None]]:
        """Return a function for many graphs that differ only in their vectors, as in MD.

        For this class only: derived networks need more than the vectors.

        Parameters
        ----------
        graph : Graph
            With all pairs that may come within the cutoff.

        Returns
        -------
        callable
            Maps vectors (E, 3), Å, of which those beyond the cutoff do not count, to the result of
            `irreps_components`. It always performs the same operations on arrays of the same sizes,
            without synchronization with the GPU, so that they can be recorded.
        """
        species_index = self.element_index[graph.numbers]
        first, tables = self._bonds(graph, species_index, 1)
        functions = None if tables[0] is not None else self._functions

        def irreps_components(vectors: Tensor) -> tuple[Tensor, Tensor | None]:
            distances, harmonics = self._directions(first.edges, vectors)
            harmonics = harmonics * (distances <= self.cutoff)[:, None]
            distances = distances.clamp(SHORTEST, self.cutoff)  # tables have nothing else
            bonds = Bonds.described(first.edges, distances, harmonics, first.kinds, functions)
            blocks = self._through_layers(graph, species_index, bonds, tables)
            return self._read(blocks, species_index, graph)

        return irreps_components

    def prepared(self, graph: Graph) -> Graph:
        """Return the graph with data to be reused in several calls: here, none."""
        return graph

    def _enter(self, number: int, blocks: list[Tensor], graph: Graph) -> list[Tensor]:
        """Change features before an interaction; see `hybrid`."""
        return blocks

    def _bonds(
        self, graph: Graph, species_index: Tensor, table_uses: int
    ) -> tuple[Bonds, Sequence[RadialTable | None]]:
        """Functions of all bonds, and tables of the weights where these are allowed and faster."""
        edges = EdgeIndex(graph.senders, graph.receivers, graph.n_atoms, graph.n_own)
        pairs, which = pairs_of_elements(edges, species_index, len(self.elements), self.backend)
        distances, harmonics = self._directions(edges, graph.vectors)
        tabulated = table_uses > 0 and use_radial_table(
            distances, len(pairs), self.cutoff, self.backend, table_uses
        )
        functions = None if tabulated else self._functions
        bonds = Bonds.described(edges, distances, harmonics, which, functions)
        if tabulated:
            sources = [self.embedding, *(layer.radial for layer in self._layers)]
            tables = self._tables.get(sources, pairs.tolist(), partial(self._tabulate, pairs))
            limit_torch_threads()  # the kernels have the most to do now
            return bonds, tables
        if is_chunked(len(distances)):
            limit_torch_threads()
        return bonds, [None] * len(self.interactions)

    def _tabulate(self, pairs: Tensor) -> list[RadialTable]:
        """Tabulate the weights of all layers for some pairs of elements."""
        pairs = pairs.clone()
        return [
            layer.table(self.embedding.weight, self._functions, self.cutoff, pairs)
            for layer in self._layers
        ]

    def _directions(self, edges: EdgeIndex, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (E,) and harmonics (E, (l_max + 1)²) of bonds."""
        # here it is the cheapest to keep sums over neighbors near one
        factor = self.config.mean_neighbors**-0.5
        return distances_and_harmonics(edges, vectors, self.config.l_max, self.backend, factor)

    def _functions(self, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Functions (E, R) and envelope (E,) of the distances."""
        return self.basis(distances), smooth_cutoff(distances, self.cutoff)
