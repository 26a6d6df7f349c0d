"""A small equivariant network with weights known in advance, for tests of everything around it."""

import torch

from ase_equivar.graph import Graph
from ase_equivar.network import RawTensors


class ToyNetwork(torch.nn.Module):
    """Z_i = q(z_i)·1 + v_i ⊗ m_i with two different sums v, m over neighbors: not symmetric.

    It is smooth at the cutoff, equivariant under rotations and inversion, and breaks the sum
    rule. `calls` counts forward passes.
    """

    def __init__(self, elements=(6, 7, 8, 11, 12, 17), cutoff=4.3, has_dielectric=True, scale=1.0):
        super().__init__()
        self.elements = tuple(elements)
        self.cutoff = cutoff
        self.has_dielectric = has_dielectric
        self.calls = 0
        self.scale = torch.nn.Parameter(torch.tensor(float(scale)))

    def forward(self, graph: Graph) -> RawTensors:
        self.calls += 1
        distances = graph.vectors.norm(dim=1, keepdim=True)
        weights = (1 - (distances / self.cutoff) ** 2) ** 2
        charges = self.scale * graph.numbers.to(graph.vectors.dtype)[:, None] / 10
        sent = weights * graph.vectors / distances

        def summed(messages: torch.Tensor) -> torch.Tensor:
            total = messages.new_zeros(len(graph.numbers), messages.shape[1])
            return total.index_add(0, graph.receivers, messages)

        v = summed(sent * charges[graph.senders])
        m = summed(sent * weights * charges[graph.senders] ** 2) + 0.3 * v
        sign = torch.where(graph.numbers % 2 == 0, -1.0, 1.0).to(charges.dtype)
        identity = torch.eye(3, dtype=charges.dtype, device=charges.device)
        born = (sign * charges[:, 0] + 0.1 * summed(weights)[:, 0])[:, None, None] * identity
        born = born + v[:, :, None] * m[:, None, :]
        if not self.has_dielectric:
            return RawTensors(born_charges=born, dielectric=None)
        outer = v[:, :, None] * v[:, None, :]
        total = outer.new_zeros(graph.n_structures, 3, 3).index_add(0, graph.structure, outer)
        return RawTensors(born_charges=born, dielectric=2 * identity + total)
