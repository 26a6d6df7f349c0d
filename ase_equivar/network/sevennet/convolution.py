"""SevenNet's convolution with the kernels of this package: ten times as fast, without gradients.

It is the convolution of `convolution`, except that irreps differ in their channels, all count as
even, and weights depend only on the distance, so one table serves all elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ase_equivar.network.convolution import Convolution
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.chunking import concatenate_chunks
from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.edge_index import Chunk
from ase_equivar.network.execution.radial_table import tabulate
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.layout import unpacked


@dataclass
class _Part:
    """The convolution of one irrep of the input, and its place in SevenNet's convolution.

    Attributes
    ----------
    convolution : Convolution
    columns : list of slice
        Columns of SevenNet's radial weights, one slice for each path.
    factors : list of float
        Factors of SevenNet's paths relative to those here.
    slots : list of int
        Places of the paths in SevenNet's output.
    """

    convolution: Convolution
    columns: list[slice] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)


class TabulatedConvolution:
    """One of SevenNet's convolutions, with its radial network in a table.

    Parameters
    ----------
    literal : torch.nn.Module
        A `sevenn.nn.convolution.IrrepsConvolution`.
    embedding : torch.nn.Module
        The `sevenn.nn.edge_embedding.EdgeEmbedding` of the same potential.
    cutoff : float
        Cutoff of the potential, Å.
    """

    def __init__(self, literal: Any, embedding: nn.Module, cutoff: float) -> None:
        product = literal.convolution
        self._inputs, self._outputs = product.irreps_in1, product.irreps_out
        self._parts = [
            _part(product, number, max(product.irreps_in2.ls))
            for number in range(len(self._inputs))
        ]
        self._denominator = float(literal.denominator)
        device = next(literal.parameters()).device
        self._tables = [
            tabulate(
                lambda r, part=part: _weights(literal, embedding, part, r),  # type: ignore[misc]
                cutoff,
                device,
            )
            for part in self._parts
        ]

    def __call__(self, flat: Tensor, bonds: Bonds, backend: str) -> Tensor:
        """Convolve features in e3nn's layout, (N, Σ channels · components)."""
        blocks = unpacked(flat, self._inputs)
        for part in self._parts:
            part.convolution.backend = backend

        def receive(chunk: Chunk) -> list[Tensor]:
            return [self._received(blocks, bonds.take(chunk)) / self._denominator]

        [received] = concatenate_chunks(bonds.edges, receive)
        return received

    def _received(self, blocks: Sequence[Tensor], bonds: Bonds) -> Tensor:
        """Collect the results of some atoms, in SevenNet's order of paths."""
        found: list[Tensor] = [blocks[0]] * len(self._outputs)
        for part, block, table in zip(self._parts, blocks, self._tables, strict=True):
            messages = part.convolution.tabulated(block, bonds, table)
            n_channels, coupling = block.shape[2], part.convolution.coupling
            for slot, path, place in zip(part.slots, coupling.paths, coupling.slots, strict=True):
                columns = slice(place * n_channels, (place + 1) * n_channels)
                found[slot] = messages[path.output][:, :, columns].transpose(1, 2).flatten(1)
        return torch.cat(found, dim=1)


def _part(product: Any, number: int, l_max: int) -> _Part:
    """Match the paths of one input with those of e3nn's product.

    Raises
    ------
    ValueError
        If paths allowed by rotations are missing.
    """
    sent = product.irreps_in1[number]
    sizes = [one.path_shape[0] * one.path_shape[1] for one in product.instructions]
    ends = torch.tensor(sizes).cumsum(0).tolist()
    there = {
        (one.i_in2, _ours(product.irreps_out[one.i_out].ir)): (one, slice(end - size, end))
        for one, size, end in zip(product.instructions, sizes, ends, strict=True)
        if one.i_in1 == number
    }
    outputs = tuple(sorted({ir for _, ir in there}, key=lambda ir: ir.degree))
    coupling = Coupling((_ours(sent.ir),), outputs, l_max, parity=False)
    part = _Part(Convolution(coupling, sent.mul))
    if len(coupling.paths) != len(there):
        raise ValueError("this potential leaves out paths that rotations allow")
    for path in coupling.paths:
        one, columns = there[path.degree, outputs[path.output]]
        part.columns.append(columns)
        # ours has the root of the dimension in its coefficients
        part.factors.append(float(one.path_weight) / outputs[path.output].dim ** 0.5)
        part.slots.append(one.i_out)
    return part


def _ours(irrep: Any) -> Irrep:
    """Convert an irrep of e3nn."""
    return Irrep(irrep.l, irrep.p)


def _weights(literal: Any, embedding: nn.Module, part: _Part, distances: Tensor) -> Tensor:
    """Weights (1, G, n_paths, C) of the paths at these distances, Å."""
    import sevenn._keys as key

    along = torch.nn.functional.pad(distances[:, None].float(), (0, 2))  # SevenNet's precision
    embedded = embedding({key.EDGE_VEC: along})[key.EDGE_EMBEDDING]
    weights = literal.weight_nn(embedded)
    paths = [weights[:, c] * f for c, f in zip(part.columns, part.factors, strict=True)]
    return torch.stack(paths, dim=1).unsqueeze(0)
