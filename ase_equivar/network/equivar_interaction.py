"""The interaction block of the published Equivar, in e3nn's form and in an equivalent, faster one.

A path of the block's tensor product, with node channels u, edge channels v and weights W, is Σ_v
W[u, v] x[u] ⊗ e[v]. The edge features are functions of the distance times the bond's harmonics,
e[v] = f_v(r) Y, so that the sum is x[u] ⊗ Y · w_u(r) with w_u(r) = Σ_v W[u, v] f_v(r): a product
channel by channel, with weights that depend only on the distance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ase_equivar.network.basis import ShiftedSoftplus
from ase_equivar.network.convolution import Convolution
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.e3nn_layers import o3
from ase_equivar.network.execution.chunking import concatenate_chunks
from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.edge_index import Chunk
from ase_equivar.network.execution.radial_table import RadialTable
from ase_equivar.network.execution.scatter import sum_by_index
from ase_equivar.network.irreps import Irrep

FEATURE_DEGREES = (0, 1, 2)


class EquivarInteraction(nn.Module):
    """Tensor product of node and edge features, summed over neighbors, added to the node.

    Parameters
    ----------
    nodes : e3nn.o3.Irreps
        Irreps of the atoms' features, each once and with the same number of channels.
    edge_basis : e3nn.o3.Irreps
        Irreps of the functions of a bond: as many of each degree as there are radial functions.
    """

    def __init__(self, nodes: o3.Irreps, edge_basis: o3.Irreps) -> None:
        super().__init__()
        n = self.n_scalars = nodes[0].mul
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
        irreps = tuple(Irrep(ir.l, ir.p) for _, ir in nodes)
        parity = any(ir.parity < 0 for ir in irreps)
        self.convolution = Convolution(
            Coupling(irreps, irreps, len(edges) - 1, parity=parity, summed=True), n
        )

    def literal(self, nodes: Tensor, edge_basis: Tensor, bonds: Bonds) -> Tensor:
        """(N, nodes) features and (E, edge_basis) bond functions to (N, nodes) features."""
        edges = self.edge_linear(edge_basis)
        scalars = self.edge_scalars(self.softplus(edges[:, : self.n_scalars]))
        edges = torch.cat([scalars, edges[:, self.n_scalars :]], dim=1)
        index = bonds.edges
        messages = self.product(nodes[index.senders], edges) * bonds.envelope[:, None]
        total: Tensor = nodes + self.mix(sum_by_index(messages, index.receivers, len(nodes)))
        return total

    def forward(self, nodes: Tensor, bonds: Bonds, table: RadialTable | None) -> Tensor:
        """As `literal`, for features stored as (N, components, channels), channel by channel."""
        if torch.is_grad_enabled():  # the backward pass wants everything anyway
            return nodes + self._mixed(self._messages(nodes, bonds, table))

        def update(chunk: Chunk) -> list[Tensor]:
            messages = self._messages(nodes, bonds.take(chunk), table)
            return [nodes[chunk.atoms] + self._mixed(messages)]

        # weights of all edges at once would take most of the memory
        [updated] = concatenate_chunks(bonds.edges, update)
        return updated

    def _messages(self, nodes: Tensor, bonds: Bonds, table: RadialTable | None) -> list[Tensor]:
        if table is None:
            weights = self.weights(bonds.radial, bonds.envelope)
            return self.convolution(nodes, bonds.harmonics, weights, bonds.edges)
        return self.convolution.tabulated(nodes, bonds, table)

    @property
    def weight_sources(self) -> tuple[nn.Module, ...]:
        """Modules whose parameters enter `weights`."""
        return self.edge_linear, self.edge_scalars, self.product

    def weights(self, radial: Tensor, envelope: Tensor) -> Tensor:
        """Weights (E, n_paths, n) of the paths, from (E, R) functions and an (E,) envelope."""
        matrices = _matrices(self.edge_linear)
        [to_scalars] = _matrices(self.edge_scalars)
        scalars = radial @ matrices[0] + self.edge_linear.bias
        functions = [self.softplus(scalars) @ to_scalars]
        of_path = {
            (one.i_in1, one.i_in2, one.i_out): weight.T * one.path_weight
            for one, weight in zip(
                self.product.instructions, self.product.weight_views(), strict=True
            )
        }
        columns = []
        for path in self.convolution.coupling.paths:
            matrix = of_path[path.input, path.degree, path.output]
            # our convolution has the root of the dimension in its coefficients, as e3nn's paths do
            matrix = matrix / self.convolution.coupling.outputs[path.output].dim ** 0.5
            if path.degree == 0:
                columns.append(functions[0] @ matrix)
            else:  # two linear maps are one
                columns.append(radial @ (matrices[path.degree] @ matrix))
        return torch.stack(columns, dim=1) * envelope[:, None, None]

    def _mixed(self, messages: list[Tensor]) -> Tensor:
        """`mix` on one block (N, 2l+1, channels) per irrep, to (N, components, channels)."""
        blocks = [x @ matrix for x, matrix in zip(messages, _matrices(self.mix), strict=True)]
        blocks[self.convolution.coupling.outputs.index(Irrep.parse("0e"))] += self.mix.bias
        return torch.cat(blocks, dim=1)


def _matrices(linear: o3.Linear) -> list[Tensor]:
    """One matrix (channels in, channels out) per output irrep of a linear map of e3nn."""
    # e3nn's own weight_views stumbles over biases
    ours = [one for one in linear.instructions if one.i_in >= 0]
    sizes = [one.path_shape[0] * one.path_shape[1] for one in ours]
    return [
        weight.view(one.path_shape) * one.path_weight
        for one, weight in zip(ours, linear.weight.split(sizes), strict=True)
    ]
