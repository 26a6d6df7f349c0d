"""Equivar as published, with the parameters of e3nn's own layers.

Kutana, Shimizu, Watanabe, Asahi, Sci. Rep. (2025), doi 10.1038/s41598-025-01250-5. The paper labels
every degree-1 feature ``1e``; such a network is equivariant under rotations (``parity=False``), but
a mirror image gets wrong charges. ``parity=True`` gives the harmonics their true parity and every
feature both parities, which makes it equivariant under O(3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ase_equivar.graph import Graph
from ase_equivar.network.basis import GaussianBasis, smooth_cutoff
from ase_equivar.network.e3nn_layers import o3
from ase_equivar.network.equivar_config import N_ELEMENTS, EquivarConfig
from ase_equivar.network.equivar_interaction import FEATURE_DEGREES, EquivarInteraction
from ase_equivar.network.execution.backends import check_backend
from ase_equivar.network.execution.chunking import is_chunked
from ase_equivar.network.execution.edge_features import (
    Bonds,
    distances_and_harmonics,
    use_radial_table,
)
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.parameter_cache import ParameterCache
from ase_equivar.network.execution.radial_table import RadialTable, tabulate
from ase_equivar.network.execution.threads import limit_torch_threads, torch_threads_restored
from ase_equivar.network.layout import unpacked
from ase_equivar.network.readout import CartesianTensor, RawTensors, raw_tensors


class Equivar(nn.Module):
    """Z* of a graph of atoms by the published network; it has no head for ε∞.

    Parameters
    ----------
    config : EquivarConfig
    """

    def __init__(self, config: EquivarConfig) -> None:
        super().__init__()
        self.config = config
        n = config.features
        if config.parity:
            nodes = o3.Irreps([(n, (degree, p)) for degree in FEATURE_DEGREES for p in (1, -1)])
        else:
            nodes = o3.Irreps([(n, (degree, 1)) for degree in FEATURE_DEGREES])
        edge_basis = o3.Irreps(
            [
                (config.radial_functions, (degree, (-1) ** degree if config.parity else 1))
                for degree in range(config.l_max + 1)
            ]
        )
        self.basis = GaussianBasis(config.radial_functions, config.cutoff)
        self.embedding = nn.Embedding(N_ELEMENTS, config.embedding)
        self.start = o3.Linear(f"{config.embedding}x0e", nodes, biases=True)
        self.interactions = nn.ModuleList(
            EquivarInteraction(nodes, edge_basis) for _ in range(config.interactions)
        )
        self.readout = o3.Linear(nodes, "0e + 1e + 2e", biases=True)
        self.cartesian = CartesianTensor()
        self._backend = "auto"
        self._tables: ParameterCache[list[RadialTable]] = ParameterCache()

    @property
    def backend(self) -> str:
        """What computes the interactions, see `backends`; "e3nn": e3nn's layers, run literally."""
        return self._backend

    @backend.setter
    def backend(self, name: str) -> None:
        check_backend(name)
        self._backend = name
        for interaction in self._layers:
            interaction.convolution.backend = name

    @property
    def build_config(self) -> dict[str, Any]:
        """The configuration from which `build_network` rebuilds this network."""
        return {"architecture": "equivar", **asdict(self.config)}

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
        """Atomic numbers that the network was trained on."""
        return self.config.elements

    @property
    def has_dielectric(self) -> bool:
        """False: the published network predicts Z* only."""
        return False

    def prepared(self, graph: Graph) -> Graph:
        """Return the graph with data to be reused in several calls: here, none."""
        return graph

    def forward(self, graph: Graph) -> RawTensors:
        """Predict the raw Z* of every atom of `graph`."""
        with torch_threads_restored():
            return raw_tensors(self.cartesian, *self.irreps_components(graph))

    def irreps_components(self, graph: Graph) -> tuple[Tensor, None]:
        """Irreducible parts (N, 9) of Z*, ordered 0e, 1e, 2e."""
        nodes = self.start(self.embedding(graph.numbers))
        bonds, tables = self._bonds(graph)
        if self.backend == "e3nn":
            basis = self._edge_basis(bonds)
            for interaction in self._layers:
                nodes = interaction.literal(nodes, basis, bonds)
        else:
            nodes = self._channels_last(nodes)
            for interaction, table in zip(self._layers, tables, strict=True):
                nodes = interaction(nodes, bonds, table)
            nodes = self._components_last(nodes)
        parts: Tensor = self.readout(nodes)
        return parts, None

    @property
    def _layers(self) -> list[EquivarInteraction]:
        return [layer for layer in self.interactions if isinstance(layer, EquivarInteraction)]

    def _bonds(self, graph: Graph) -> tuple[Bonds, Sequence[RadialTable | None]]:
        """Functions of all bonds, and tables of the weights where these are faster."""
        edges = EdgeIndex(graph.senders, graph.receivers, graph.n_atoms, graph.n_atoms)
        distances, harmonics = distances_and_harmonics(
            edges, graph.vectors, self.config.l_max, self.backend
        )
        tabulated = not torch.is_grad_enabled() and use_radial_table(
            distances, 1, self.cutoff, self.backend
        )
        kinds, functions = torch.zeros_like(graph.senders), None if tabulated else self._functions
        bonds = Bonds.described(edges, distances, harmonics, kinds, functions)
        if not tabulated:
            if self.backend != "e3nn" and is_chunked(len(distances)):
                limit_torch_threads()
            return bonds, [None] * len(self.interactions)
        sources = [source for layer in self._layers for source in layer.weight_sources]
        tables = self._tables.get(sources, graph.vectors.device, self._tabulate)
        limit_torch_threads()
        return bonds, tables

    def _functions(self, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Functions (E, R) and envelope (E,) of the distances."""
        smooth = smooth_cutoff if self.config.smooth else _no_cutoff
        return self.basis(distances), smooth(distances, self.cutoff)

    def _tabulate(self) -> list[RadialTable]:
        """Tabulate the weights of all layers, which are the same for all elements."""
        device = self.embedding.weight.device
        return [
            # Gaussians are narrow
            tabulate(partial(self._weights_at, layer), self.cutoff, device, refinement=2)
            for layer in self._layers
        ]

    def _weights_at(self, interaction: EquivarInteraction, distances: Tensor) -> Tensor:
        dtype = self.embedding.weight.dtype
        radial, envelope = (x.to(dtype) for x in self._functions(distances))
        return interaction.weights(radial, envelope).unsqueeze(0)

    def _edge_basis(self, bonds: Bonds) -> Tensor:
        """Every radial function times every harmonic, in e3nn's layout R x l for each degree."""
        blocks = bonds.harmonics.split([2 * d + 1 for d in range(self.config.l_max + 1)], dim=1)
        return torch.cat(
            [(bonds.radial[:, :, None] * block[:, None]).flatten(1) for block in blocks], dim=1
        )

    def _channels_last(self, nodes: Tensor) -> Tensor:
        """e3nn's layout (N, Σ channels · components) to (N, components, channels)."""
        return torch.cat(unpacked(nodes, self.readout.irreps_in), dim=1)

    def _components_last(self, nodes: Tensor) -> Tensor:
        """Undo `_channels_last`."""
        blocks = nodes.split([ir.dim for _, ir in self.readout.irreps_in], dim=1)
        return torch.cat([block.transpose(1, 2).flatten(1) for block in blocks], dim=1)


def _no_cutoff(distances: Tensor, cutoff: float) -> Tensor:
    """Envelope of the published network, which ends abruptly."""
    return torch.ones_like(distances)
