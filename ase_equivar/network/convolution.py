"""The equivariant convolution over neighbors, channel by channel.

    out_i[m3, path, c] = Σ_j w_ij[path, c] Σ_{m1 m2} C[m1 m2 m3] x_j[m1, c] Y_ij[m2]

A path joins one irrep of the features, one degree of the bond's spherical harmonics and one irrep
of the result. Features are stored as (atoms, components, channels), with all channels of a
component contiguous in memory for efficiency. The result has one block per irrep, with the paths
that lead to it side by side, ready for the subsequent product with a matrix.

Three implementations give the same numbers: `kernels`, which gather, multiply and add without
storing messages; torch's own operations, if no compiler works; and e3nn's TensorProduct, the
reference in the tests.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.backends import used_backend
from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.radial_table import RadialTable
from ase_equivar.network.execution.scatter import sum_by_index
from ase_equivar.network.layout import unpacked

if TYPE_CHECKING:
    from ase_equivar.network.kernels import TabulatedGradients


class Convolution(nn.Module):
    """Convolution over neighbors without weights of its own; they are given per bond.

    Parameters
    ----------
    coupling : Coupling
        Irreps and paths.
    channels : int
        Channels of every irrep.
    """

    def __init__(self, coupling: Coupling, channels: int) -> None:
        super().__init__()
        self.coupling = coupling
        self.channels = channels
        self.backend = "auto"

    def forward(
        self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: EdgeIndex
    ) -> list[Tensor]:
        """Convolve.

        Parameters
        ----------
        features : Tensor, shape (N_senders, input_dim, C)
        harmonics : Tensor, shape (E, (l_max + 1)²)
        weights : Tensor, shape (E, n_paths, C)
        edges : EdgeIndex
            Senders and receivers.

        Returns
        -------
        list of Tensor, shapes (N_receivers, 2l+1, paths · C)
            One for each irrep of the result; `Coupling.slots` gives the places of the paths.
        """
        backend = used_backend(self.backend, features.device)
        if backend == "e3nn":
            return self._literal(features, harmonics, weights, edges)
        if backend == "torch":
            return self._by_torch(features, harmonics, weights, edges)
        from ase_equivar.network.kernels import convolve  # compiles on first use

        return convolve(self.coupling, features, harmonics, weights, edges, backend)

    def tabulated(self, features: Tensor, bonds: Bonds, table: RadialTable) -> list[Tensor]:
        """Convolve with weights from a table; see `kernels.convolve_tabulated`."""
        from ase_equivar.network.kernels import convolve_tabulated

        backend = used_backend(self.backend, features.device)
        return convolve_tabulated(self.coupling, features, bonds, table, backend)

    def tabulated_gradients(
        self,
        features: Tensor,
        bonds: Bonds,
        table: RadialTable,
        gradients: Sequence[Tensor],
        *,
        by_features: bool = True,
    ) -> TabulatedGradients:
        """Differentiate functions of the result; see `kernels.tabulated_gradients`."""
        from ase_equivar.network.kernels import tabulated_gradients

        backend = used_backend(self.backend, features.device)
        return tabulated_gradients(
            self.coupling, features, bonds, table, backend, gradients, by_features=by_features
        )

    def _by_torch(
        self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: EdgeIndex
    ) -> list[Tensor]:
        """Compute all messages, one path after the other; differentiable to any order."""
        sent = features[edges.senders].split([ir.dim for ir in self.coupling.inputs], dim=1)
        directions = harmonics.split([2 * d + 1 for d in range(self.coupling.l_max + 1)], dim=1)
        # an irrep that no path leads to has columns only where paths are added up: zeros
        found = [
            [features.new_zeros(edges.n_receivers, ir.dim, self.channels if width else 0)]
            if width == 0 or self.coupling.summed
            else []
            for ir, width in zip(self.coupling.outputs, self.coupling.widths, strict=True)
        ]
        for number, path in enumerate(self.coupling.paths):
            coefficients = self.coupling.coefficients(path).to(features)
            matrices = torch.einsum("abc,eb->eca", coefficients, directions[path.degree])
            messages = (matrices @ sent[path.input]) * weights[:, number, None]
            received = sum_by_index(messages, edges.receivers, edges.n_receivers)
            if self.coupling.summed:
                found[path.output] = [found[path.output][0] + received]
            else:
                found[path.output].append(received)
        return [torch.cat(parts, dim=2) for parts in found]

    def _literal(
        self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: EdgeIndex
    ) -> list[Tensor]:
        """Apply e3nn's own tensor product on every edge, then sum over the senders."""
        product = _e3nn_product(self.coupling, self.channels, features.dtype, features.device)
        dims_in = [ir.dim for ir in self.coupling.inputs]
        # e3nn keeps the components of one channel together: (channel, component)
        sent = torch.cat(
            [x.transpose(1, 2).flatten(1) for x in features[edges.senders].split(dims_in, dim=1)],
            dim=1,
        )
        messages = product(sent, harmonics, weights.flatten(1))
        total = sum_by_index(messages, edges.receivers, edges.n_receivers)
        found = iter(unpacked(total, product.irreps_out))
        return [
            torch.cat([next(found) for _ in range(width)], dim=2)
            if width
            else total.new_empty(len(total), ir.dim, 0)
            for ir, width in zip(self.coupling.outputs, self.coupling.widths, strict=True)
        ]


@cache
def _e3nn_product(
    coupling: Coupling, channels: int, dtype: torch.dtype, device: torch.device
) -> Any:
    """Return e3nn's tensor product for `coupling`, with weights per edge."""
    from ase_equivar.network.e3nn_layers import o3

    # one irrep for each of the paths that lie side by side
    outputs = [n for n, width in enumerate(coupling.widths) for _ in range(width)]
    degrees = range(coupling.l_max + 1)
    with _default_dtype:  # one for all threads
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)  # e3nn takes the precision of its coefficients from there
        try:
            product = o3.TensorProduct(
                o3.Irreps([(channels, str(ir)) for ir in coupling.inputs]),
                o3.Irreps([(1, str(coupling.harmonic(degree))) for degree in degrees]),
                o3.Irreps([(channels, str(coupling.outputs[n])) for n in outputs]),
                [
                    (path.input, path.degree, outputs.index(path.output) + slot, "uvu", True)
                    for path, slot in zip(coupling.paths, coupling.slots, strict=True)
                ],
                path_normalization="none",
                shared_weights=False,
                internal_weights=False,
            )
        finally:
            torch.set_default_dtype(default)
    return product.to(device)


_default_dtype = threading.Lock()
