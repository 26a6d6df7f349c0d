"""The equivariant convolution over neighbours, channel by channel.

    out_i[path, m3, c] = Σ_j w_ij[path, c] Σ_{m1 m2} C[m1 m2 m3] x_j[m1, c] Y_ij[m2]

A path joins one irrep of the features, one degree of the bond's spherical harmonics and one irrep
of the result. Features lie as (atoms, components, channels): all channels of one component side
by side, which is what a processor likes.

Two ways compute the same numbers: `e3nn`, which is its TensorProduct run literally and the oracle
of the tests, and `numba`, which gathers, multiplies and adds without storing messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from e3nn import o3
from torch import Tensor, nn

from ase_equivar.network.scatter import sum_by_index
from ase_equivar.network.table import RadialTable

BACKENDS = ("numba", "e3nn")


@dataclass(frozen=True)
class Path:
    """One coupling: irrep `input` of the features × degree `degree` → irrep `output`.

    `input` and `output` are places in the lists of irreps.
    """

    input: int
    degree: int
    output: int


@dataclass(frozen=True)
class Coupling:
    """Everything about a convolution but its weights: irreps, paths and coefficients.

    Attributes
    ----------
    inputs, outputs : tuple of e3nn.o3.Irrep
        Irreps of the features (each once; channels are counted elsewhere).
    l_max : int
        Largest degree of the bond harmonics.
    parity : bool
        Whether the harmonics have their true parity (-1)^l. If not, all count as even.
    summed : bool
        Whether all paths that lead to one irrep are added up. If not, each has its own rows.
    """

    inputs: tuple[o3.Irrep, ...]
    outputs: tuple[o3.Irrep, ...]
    l_max: int
    parity: bool = True
    summed: bool = False

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """All couplings that rotation and inversion allow, ordered by output."""
        return tuple(
            Path(i, degree, k)
            for k, target in enumerate(self.outputs)
            for i, source in enumerate(self.inputs)
            for degree in range(self.l_max + 1)
            if target in source * o3.Irrep(degree, (-1) ** degree if self.parity else 1)
        )

    @cached_property
    def slots(self) -> tuple[tuple[o3.Irrep, ...], tuple[int, ...]]:
        """Irreps whose rows the result has one after the other, and which of them a path fills."""
        paths = self.paths
        if self.summed:
            return self.outputs, tuple(path.output for path in paths)
        return tuple(self.outputs[path.output] for path in paths), tuple(range(len(paths)))

    @cached_property
    def input_dim(self) -> int:
        """Components of the features."""
        return sum(ir.dim for ir in self.inputs)

    @cached_property
    def output_dim(self) -> int:
        """Components of the result."""
        return sum(ir.dim for ir in self.slots[0])

    def coefficients(self, path: Path) -> Tensor:
        """Clebsch–Gordan coefficients (dim1, dim2, dim3) in e3nn's component normalization."""
        source, target = self.inputs[path.input], self.outputs[path.output]
        w3j = o3.wigner_3j(source.l, path.degree, target.l, dtype=torch.float64)
        return w3j * target.dim**0.5


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
        self.backend = "numba"

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
            Rows ordered by path, or by irrep if the paths are summed, then by component.
        """
        if self.backend == "numba" and features.device.type == "cpu":
            from ase_equivar.network.kernels import convolve  # compiles on first use

            return convolve(self.coupling, features, harmonics, weights, edges)
        return self._literal(features, harmonics, weights, edges)

    def tabulated(
        self,
        features: Tensor,
        harmonics: Tensor,
        table: RadialTable,
        which: Tensor,
        distances: Tensor,
        edges: EdgeIndex,
    ) -> Tensor:
        """Convolve on the CPU with weights from a table; see `kernels.convolve_tabulated`."""
        from ase_equivar.network.kernels import convolve_tabulated

        return convolve_tabulated(
            self.coupling, features, harmonics, table, which, distances, edges
        )

    def _literal(
        self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: EdgeIndex
    ) -> Tensor:
        """e3nn's own tensor product on every edge, then a sum over the senders."""
        product = _e3nn_product(self.coupling, self.channels, features.dtype, features.device)
        dims_in = [ir.dim for ir in self.coupling.inputs]
        dims_out = [ir.dim for ir in self.coupling.slots[0]]
        # e3nn keeps the components of one channel together: (channel, component)
        sent = torch.cat(
            [x.transpose(1, 2).flatten(1) for x in features[edges.senders].split(dims_in, dim=1)],
            dim=1,
        )
        messages = product(sent, harmonics, weights.flatten(1))
        total = sum_by_index(messages, edges.receivers, edges.n_receivers)
        blocks = total.split([self.channels * dim for dim in dims_out], dim=1)
        return torch.cat(
            [
                block.view(-1, self.channels, dim).transpose(1, 2)
                for block, dim in zip(blocks, dims_out, strict=True)
            ],
            dim=1,
        )


@cache
def _e3nn_product(
    coupling: Coupling, channels: int, dtype: torch.dtype, device: torch.device
) -> o3.TensorProduct:
    """Return the literal tensor product of `coupling`, weights coming with each edge."""
    irreps_out, slots = coupling.slots
    degrees = range(coupling.l_max + 1)
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


class EdgeIndex:
    """Senders and receivers, with the orders in which kernels walk through them.

    Parameters
    ----------
    senders, receivers : Tensor of int64, shape (E,)
        Receivers ascend.
    n_senders, n_receivers : int
        Atoms that may send, and atoms that receive; the same in a whole graph.
    """

    def __init__(
        self, senders: Tensor, receivers: Tensor, n_senders: int, n_receivers: int
    ) -> None:
        self.senders = senders
        self.receivers = receivers
        self.n_senders = n_senders
        self.n_receivers = n_receivers
        self._by_sender: tuple[Tensor, Tensor] | None = None
        self.receiver_starts = _starts(receivers, n_receivers)

    @property
    def by_sender(self) -> tuple[Tensor, Tensor]:
        """Edges ordered by sender, and where each sender's edges start (for the backward pass)."""
        if self._by_sender is None:
            order = torch.argsort(self.senders, stable=True)
            self._by_sender = order, _starts(self.senders, self.n_senders)
        return self._by_sender

    def pieces(self, max_edges: int) -> Iterator[Piece]:
        """Cut into runs of receivers with about `max_edges` edges each (one atom's at least)."""
        starts = self.receiver_starts.cpu()
        first = 0
        while first < self.n_receivers:
            target = starts[first] + max_edges
            last = int(torch.searchsorted(starts, target, right=True)) - 1
            last = min(max(last, first + 1), self.n_receivers)
            edges = slice(int(starts[first]), int(starts[last]))
            yield Piece(
                atoms=slice(first, last),
                edges=edges,
                index=EdgeIndex(
                    self.senders[edges],
                    self.receivers[edges] - first,
                    self.n_senders,
                    last - first,
                ),
            )
            first = last


@dataclass(frozen=True)
class Piece:
    """Some receivers of a graph, and all their edges.

    Attributes
    ----------
    atoms, edges : slice
        Which atoms and edges of the graph.
    index : EdgeIndex
        Receivers counted from the first of these atoms, senders as in the graph.
    """

    atoms: slice
    edges: slice
    index: EdgeIndex


def _starts(index: Tensor, size: int) -> Tensor:
    """Offsets (size + 1,) of the groups of a sorted index with these values."""
    counts = torch.bincount(index, minlength=size)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
