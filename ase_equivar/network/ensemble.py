"""Several networks as one: their mean is more accurate, and their spread indicates how accurate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ase_equivar.graph import Graph
from ase_equivar.network.execution.threads import torch_threads_restored
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.readout import CartesianTensor, RawTensors, raw_tensors


class Ensemble(nn.Module):
    """Mean of Z* and of ln(ε∞ - 1) of several networks.

    Parameters
    ----------
    members : sequence of torch.nn.Module
        At least two `GatedNetwork` or `HybridNetwork`, with the same cutoff and elements; either
        all or none predict ε∞.

    Raises
    ------
    ValueError
        If they are incompatible.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        for member in members:
            if not isinstance(member, GatedNetwork):
                kind = type(member).__name__
                raise ValueError(f"members of an ensemble cannot be {kind} networks")
        if len(members) < 2:
            raise ValueError(f"an ensemble needs at least two members, not {len(members)}")
        for name in ("cutoff", "elements", "has_dielectric"):
            values = {getattr(member, name) for member in members}
            if len(values) > 1:
                listed = " and ".join(map(str, sorted(values)))
                raise ValueError(f"members of an ensemble must have one {name}, not {listed}")
        self._networks = nn.ModuleList(members)
        self.cartesian = CartesianTensor()

    @property
    def members(self) -> list[GatedNetwork]:
        """The networks."""
        return [network for network in self._networks if isinstance(network, GatedNetwork)]

    @property
    def build_config(self) -> dict[str, Any]:
        """The configuration from which `build_network` rebuilds this ensemble."""
        return {
            "architecture": "ensemble",
            "members": [member.build_config for member in self.members],
        }

    @property
    def cutoff(self) -> float:
        """Largest bond length in Å."""
        return self.members[0].cutoff

    @property
    def receptive_field(self) -> float:
        """Largest distance, Å, at which an atom can affect the Z* of another."""
        return max(member.receptive_field for member in self.members)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that the members support."""
        return self.members[0].elements

    @property
    def has_dielectric(self) -> bool:
        """Whether ε∞ is predicted."""
        return self.members[0].has_dielectric

    @property
    def backend(self) -> str:
        """What computes the convolutions, see `backends`."""
        return self.members[0].backend

    @backend.setter
    def backend(self, name: str) -> None:
        for member in self.members:
            member.backend = name

    def prepared(self, graph: Graph) -> Graph:
        """Return the graph unchanged: each member prepares it itself."""
        return graph

    def forward(self, graph: Graph) -> RawTensors:
        """Predict the raw tensors of every atom and structure of `graph`."""
        return raw_tensors(self.cartesian, *self._components_and_features(graph))

    def irreps_components(self, graph: Graph) -> tuple[Tensor, Tensor | None]:
        """Means of the irreducible parts (N, 9) of Z*, and of ln(ε∞ - 1), (S, 3, 3)."""
        return self._components_and_features(graph)[:2]

    def _components_and_features(self, graph: Graph) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        found = []
        for member in self.members:
            with torch_threads_restored():
                found.append(member.components_and_features(graph))
        born = torch.stack([parts for parts, _, _ in found]).mean(dim=0)
        logs = [log for _, log, _ in found if log is not None]
        features = [block for _, _, blocks in found for block in blocks]
        return born, torch.stack(logs).mean(dim=0) if logs else None, features
