"""Equivar as published, written with e3nn's own layers.

Kutana, Shimizu, Watanabe, Asahi, Sci. Rep. (2025), doi 10.1038/s41598-025-01250-5.
The paper labels every degree-1 feature ``1e``; such a network is equivariant under rotations
(``parity=False``), but a mirror image gets wrong charges. ``parity=True`` gives the harmonics
their true parity and carries every feature in both, which makes it equivariant under O(3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from e3nn import o3
from torch import Tensor, nn

from ase_equivar.graph import Graph
from ase_equivar.network.basis import (
    GaussianBasis,
    ShiftedSoftplus,
    bond_harmonics,
    smooth_cutoff,
)
from ase_equivar.network.readout import CartesianTensor, RawTensors
from ase_equivar.network.scatter import sum_by_index

N_ELEMENTS = 100  # rows of the published embedding
FEATURE_DEGREES = (0, 1, 2)


@dataclass(frozen=True)
class EquivarConfig:
    """Shape of an `Equivar` network; the defaults are BM2's.

    Attributes
    ----------
    elements : tuple of int
        Atomic numbers that the network was trained on.
    cutoff : float
        Largest bond length in Å.
    embedding : int
        Numbers d that describe an element.
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


PRESETS = {"bm1": EquivarConfig(features=64), "bm2": EquivarConfig(features=32)}


class Interaction(nn.Module):
    """Tensor product of node and edge features, summed over neighbours, added to the node."""

    def __init__(self, config: EquivarConfig, nodes: o3.Irreps, edge_basis: o3.Irreps) -> None:
        super().__init__()
        n = self.n_scalars = config.features
        edges = o3.Irreps([(n, ir) for _, ir in edge_basis if ir.l in FEATURE_DEGREES])
        self.edge_linear = o3.Linear(edge_basis, edges, biases=True)
        self.softplus = ShiftedSoftplus()
        self.edge_scalars = o3.Linear(f"{n}x0e", f"{n}x0e")
        # "uvu": node channel u, weighted over the edge channels v; all paths add up per irrep
        instructions = [
            (i, j, k, "uvu", True)
            for i, (_, node) in enumerate(nodes)
            for j, (_, edge) in enumerate(edges)
            for k, (_, out) in enumerate(nodes)
            if out in node * edge
        ]
        self.product = o3.TensorProduct(nodes, edges, nodes, instructions)
        self.mix = o3.Linear(nodes, nodes, biases=True)

    def forward(
        self, nodes: Tensor, edge_basis: Tensor, envelope: Tensor | None, graph: Graph
    ) -> Tensor:
        """(N, nodes) features and (E, edge_basis) bond functions to (N, nodes) features."""
        edges = self.edge_linear(edge_basis)
        scalars = self.edge_scalars(self.softplus(edges[:, : self.n_scalars]))
        edges = torch.cat([scalars, edges[:, self.n_scalars :]], dim=1)
        messages = self.product(nodes[graph.senders], edges)
        if envelope is not None:
            messages = messages * envelope[:, None]
        total: Tensor = nodes + self.mix(sum_by_index(messages, graph.receivers, len(nodes)))
        return total


class Equivar(nn.Module):
    """Z* of a graph of atoms by the published network; it has no head for ε∞.

    Parameters
    ----------
    config : EquivarConfig
    """

    def __init__(self, config: EquivarConfig) -> None:
        super().__init__()
        self.shape = config
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
            Interaction(config, nodes, edge_basis) for _ in range(config.interactions)
        )
        self.readout = o3.Linear(nodes, "0e + 1e + 2e", biases=True)
        self.cartesian = CartesianTensor()

    @property
    def config(self) -> dict[str, Any]:
        """Everything that `build_network` needs to make this network again."""
        return {"architecture": "equivar", **asdict(self.shape)}

    @property
    def cutoff(self) -> float:
        """Largest bond length in Å."""
        return self.shape.cutoff

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that the network was trained on."""
        return self.shape.elements

    @property
    def has_dielectric(self) -> bool:
        """False: the published network predicts Z* only."""
        return False

    def forward(self, graph: Graph) -> RawTensors:
        """Predict the raw Z* of every atom of `graph`."""
        born, _ = self.parts(graph)
        return RawTensors(born_charges=self.cartesian(born), dielectric=None)

    def parts(self, graph: Graph) -> tuple[Tensor, None]:
        """Irreducible parts (N, 9) of Z*, ordered 0e, 1e, 2e."""
        distances = torch.linalg.vector_norm(graph.vectors, dim=1)
        harmonics = bond_harmonics(graph.vectors, self.shape.l_max)
        radial = self.basis(distances)
        # every Gaussian times every harmonic, laid out as e3nn's R x l for each degree
        edge_basis = torch.cat(
            [
                (radial[:, :, None] * harmonics[:, None, d**2 : (d + 1) ** 2]).flatten(1)
                for d in range(self.shape.l_max + 1)
            ],
            dim=1,
        )
        envelope = smooth_cutoff(distances, self.cutoff) if self.shape.smooth else None
        nodes = self.start(self.embedding(graph.numbers))
        for interaction in self.interactions:
            nodes = interaction(nodes, edge_basis, envelope, graph)
        parts: Tensor = self.readout(nodes)
        return parts, None
