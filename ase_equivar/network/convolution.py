"""The equivariant convolution over neighbours, channel by channel.

    out_i[path, m3, c] = Σ_j w_ij[path, c] Σ_{m1 m2} C[m1 m2 m3] x_j[m1, c] Y_ij[m2]

A path joins one irrep of the features, one degree of the bond's spherical harmonics and one irrep
of the result. Features lie as (atoms, components, channels): all channels of one component side
by side, which is what a processor likes.

Two ways compute the same numbers: e3nn's TensorProduct run literally, which is the oracle of the
tests, and `kernels`, which gather, multiply and add without storing messages.
"""

from __future__ import annotations

import threading
from functools import cache

import torch
from e3nn import o3
from torch import Tensor, nn

from ase_equivar.network.backends import used_backend
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.edges import EdgeIndex
from ase_equivar.network.layout import unpacked
from ase_equivar.network.scatter import sum_by_index
from ase_equivar.network.table import RadialTable


class Convolution(nn.Module):
    """Weightless convolution over neighbours; the weights come with each bond.

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
    ) -> Tensor:
        """Convolve.

        Parameters
        ----------
        features : Tensor, shape (N_senders, input_dim, C)
        harmonics : Tensor, shape (E, (l_max + 1)²)
        weights : Tensor, shape (E, n_paths, C)
        edges : EdgeIndex
            Who sends to whom.

        Returns
        -------
        Tensor, shape (N_receivers, output_dim, C)
            Which rows are whose: see `Coupling.rows`.
        """
        backend = used_backend(self.backend, features.device)
        if backend == "e3nn":
            return self._literal(features, harmonics, weights, edges)
        from ase_equivar.network.kernels import convolve  # compiles on first use

        return convolve(self.coupling, features, harmonics, weights, edges, backend)

    def tabulated(
        self,
        features: Tensor,
        harmonics: Tensor,
        table: RadialTable,
        which: Tensor,
        distances: Tensor,
        edges: EdgeIndex,
    ) -> Tensor:
        """Convolve with weights from a table; see `kernels.convolve_tabulated`."""
        from ase_equivar.network.kernels import convolve_tabulated

        backend = used_backend(self.backend, features.device)
        return convolve_tabulated(
            self.coupling, features, harmonics, table, which, distances, edges, backend
        )

    def _literal(
        self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: EdgeIndex
    ) -> Tensor:
        """e3nn's own tensor product on every edge, then a sum over the senders."""
        product = _e3nn_product(self.coupling, self.channels, features.dtype, features.device)
        dims_in = [ir.dim for ir in self.coupling.inputs]
        # e3nn keeps the components of one channel together: (channel, component)
        sent = torch.cat(
            [x.transpose(1, 2).flatten(1) for x in features[edges.senders].split(dims_in, dim=1)],
            dim=1,
        )
        messages = product(sent, harmonics, weights.flatten(1))
        total = sum_by_index(messages, edges.receivers, edges.n_receivers)
        out = total.new_zeros(len(total), self.coupling.output_dim, self.channels)
        blocks = unpacked(total, product.irreps_out)
        for slot, rows in zip(self.coupling.slots[1], self.coupling.rows, strict=True):
            out[:, rows.start : rows.stop : rows.step] = blocks[slot]
        return out


@cache
def _e3nn_product(
    coupling: Coupling, channels: int, dtype: torch.dtype, device: torch.device
) -> o3.TensorProduct:
    """Return the literal tensor product of `coupling`, weights coming with each edge."""
    irreps_out, slots = coupling.slots
    degrees = range(coupling.l_max + 1)
    with _default_dtype:  # one for all threads
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)  # e3nn takes the precision of its coefficients from there
        try:
            product = o3.TensorProduct(
                o3.Irreps([(channels, ir) for ir in coupling.inputs]),
                o3.Irreps([(1, (d, (-1) ** d if coupling.parity else 1)) for d in degrees]),
                o3.Irreps([(channels, ir) for ir in irreps_out]),
                [
                    (path.input, path.degree, slot, "uvu", True)
                    for path, slot in zip(coupling.paths, slots, strict=True)
                ],
                path_normalization="none",
                shared_weights=False,
                internal_weights=False,
            )
        finally:
            torch.set_default_dtype(default)
    return product.to(device)


_default_dtype = threading.Lock()
