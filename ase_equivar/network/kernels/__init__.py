"""Compiled kernels of the convolution, with their gradients: numba's on the CPU, Triton's on GPUs.

Both are generated from one list of terms (`terms`) and take the same arguments; e3nn's own product
is their reference in the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.radial_table import SPACING, RadialTable


@cache
def _launcher(backend: str) -> Callable[..., None]:
    """Import the launcher of the kernels of a backend, "numba" or "triton"."""
    if backend == "numba":
        from ase_equivar.network.kernels import launch_numba

        return launch_numba.launch
    from ase_equivar.network.kernels import launch_triton

    return launch_triton.launch


# kernels that differentiate by features, harmonics and weights, the first three of their arrays
BY_ARRAY = ("grad_features", "grad_harmonics", "grad_weights")


@dataclass(frozen=True)
class _Call:
    """Data shared by a convolution and all its derivatives."""

    coupling: Coupling
    edges: EdgeIndex
    backend: str
    n_channels: int

    def launch(
        self, kernel: str, arrays: tuple[Tensor | int, ...], out: tuple[Tensor, ...]
    ) -> None:
        """Launch a kernel that fills `out`."""
        by_sender = kernel.startswith("grad_features")
        index = _by_sender(self.edges) if by_sender else _by_receiver(self.edges)
        _launcher(self.backend)(kernel, self.coupling, self.n_channels, arrays, index, out)

    def run(self, kernel: str, arrays: tuple[Tensor | None, ...]) -> Any:
        """Run a kernel on features, harmonics, weights and the blocks of a gradient.

        The variable of differentiation is None and is not read.
        """
        edges, coupling = self.edges, self.coupling
        like = next(a for a in arrays if a is not None)
        arguments = tuple(
            like.new_empty((0, 0) if slot == 1 else (0, 0, 0)) if a is None else a
            for slot, a in enumerate(arrays)  # harmonics, the second, have two axes
        )
        if kernel == "forward":
            blocks = _empty_blocks(coupling, edges, like)
            self.launch(kernel, arguments, blocks)
            return blocks
        shapes = {
            "grad_features": (edges.n_senders, coupling.input_dim, self.n_channels),
            "grad_harmonics": (len(edges.senders), (coupling.l_max + 1) ** 2),
            "grad_weights": (len(edges.senders), len(coupling.paths), self.n_channels),
        }
        out = like.new_empty(shapes[kernel])
        self.launch(kernel, arguments, (out,))
        return out


class _Convolve(torch.autograd.Function):
    """g · convolve(x, y, w), differentiated by g, features x, harmonics y or weights w.

    It is linear in each of the four: differentiated with respect to g it is the convolution itself,
    and derivatives of the others are again of this kind, to any order.
    """

    @staticmethod
    def forward(ctx: Any, kernel: str, call: _Call, *arrays: Tensor | None) -> Any:
        arrays = tuple(None if a is None else a.contiguous() for a in arrays)
        ctx.save_for_backward(*arrays)
        ctx.kernel, ctx.call = kernel, call
        return call.run(kernel, arrays)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Insert the gradient in place of the missing variable of differentiation."""
        needed = ctx.needs_input_grad[2:]
        arrays = list(ctx.saved_tensors)
        if ctx.kernel == "forward":
            arrays += grads
        else:
            arrays[BY_ARRAY.index(ctx.kernel)] = grads[0]
        found: list[Any] = [None] * len(needed)
        for n, kernel in enumerate(BY_ARRAY):
            if needed[n]:
                others = [*arrays[:n], None, *arrays[n + 1 :]]
                found[n] = _Convolve.apply(kernel, ctx.call, *others)
        if any(needed[3:]):
            found[3:] = _Convolve.apply("forward", ctx.call, *arrays[:3])
        return None, None, *found


def _empty_blocks(coupling: Coupling, edges: EdgeIndex, like: Tensor) -> tuple[Tensor, ...]:
    """Allocate the result, one block (N, 2l+1, paths · C) for each output."""
    n_channels = like.shape[2]
    return tuple(
        like.new_empty(edges.n_receivers, ir.dim, width * n_channels)
        for ir, width in zip(coupling.outputs, coupling.widths, strict=True)
    )


def _by_receiver(edges: EdgeIndex) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # edges lie in this order anyway, so that kernels do not look at the third
    return edges.senders, edges.receivers, edges.receivers, edges.receiver_starts


def _by_sender(edges: EdgeIndex) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return edges.senders, edges.receivers, *edges.by_sender


def convolve(
    coupling: Coupling,
    features: Tensor,
    harmonics: Tensor,
    weights: Tensor,
    edges: EdgeIndex,
    backend: str,
) -> list[Tensor]:
    """`convolution.Convolution` by "numba" or "triton"; shapes as there."""
    call = _Call(coupling, edges, backend, features.shape[2])
    return list(_Convolve.apply("forward", call, features, harmonics, weights))


class _ConvolveTabulated(torch.autograd.Function):
    """Convolution with interpolated weights, with first derivatives with respect to its inputs."""

    @staticmethod
    def forward(
        ctx: Any,
        call: _Call,
        table: RadialTable,
        which: Tensor,
        features: Tensor,
        harmonics: Tensor,
        distances: Tensor,
    ) -> tuple[Tensor, ...]:
        features, harmonics = features.contiguous(), harmonics.contiguous()
        ctx.call, ctx.table = call, table
        ctx.save_for_backward(features, harmonics, which, distances)
        arrays = _with_table(table, features, harmonics, which, distances)
        blocks = _empty_blocks(call.coupling, call.edges, features)
        call.launch("forward_table", arrays, blocks)
        return blocks

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        features, harmonics, which, distances = ctx.saved_tensors
        arrays = _with_table(ctx.table, features, harmonics, which, distances)
        arrays += tuple(grad.contiguous() for grad in grads)
        by_features = by_harmonics = by_distance = None
        if ctx.needs_input_grad[3]:
            by_features = torch.empty_like(features)
            ctx.call.launch("grad_features_table", arrays, (by_features,))
        if any(ctx.needs_input_grad[4:]):
            by_harmonics = torch.empty_like(harmonics)
            by_distance = harmonics.new_empty(len(harmonics))
            ctx.call.launch("grad_bonds_table", arrays, (by_harmonics, by_distance))
            by_distance *= ctx.table.refinement / SPACING
        return None, None, None, by_features, by_harmonics, by_distance


def _with_table(
    table: RadialTable, features: Tensor, harmonics: Tensor, which: Tensor, distances: Tensor
) -> tuple[Tensor | int, ...]:
    """Return the first arguments of kernels with a table."""
    n_points = table.values.shape[1]
    return features, harmonics, table.values, n_points, table.refinement, which, distances


def convolve_tabulated(
    coupling: Coupling,
    features: Tensor,
    harmonics: Tensor,
    table: RadialTable,
    which: Tensor,
    distances: Tensor,
    edges: EdgeIndex,
    backend: str,
) -> list[Tensor]:
    """Convolve with weights that are interpolated edge by edge.

    It has first derivatives with respect to features, harmonics and distances, not weights.

    Parameters
    ----------
    coupling, features, harmonics, edges, backend
        As in `convolve`.
    table : RadialTable
        Weights on a grid, values of shape (T, G, 3, n_paths, C).
    which : Tensor of int64, shape (E,)
        Entry of the first axis of the table for each edge.
    distances : Tensor, shape (E,)
        In Å, within the table's range.
    """
    call = _Call(coupling, edges, backend, features.shape[2])
    return list(_ConvolveTabulated.apply(call, table, which, features, harmonics, distances))
