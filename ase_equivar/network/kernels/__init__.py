"""Compiled kernels of the convolution, with their gradients: numba's on the CPU, Triton's on GPUs.

Both are generated from one list of terms (`terms`) and take the same arguments; e3nn's own product
is their reference in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.edge_features import Bonds
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

    def launch_for_each(
        self,
        kernel: str,
        arrays: tuple[Tensor | int, ...],
        gradients: tuple[Tensor, ...],
        out: tuple[Tensor, ...],
    ) -> None:
        """Launch a kernel for several gradients, the first axis of `gradients` and of `out`."""
        if self.backend == "numba":
            self.launch(kernel, (*arrays, *gradients), out)
            return
        for n in range(len(out[0])):
            one, found = (tuple(array[n] for array in side) for side in (gradients, out))
            self.launch(kernel, (*arrays, *one), found)

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


def convolve_tabulated(
    coupling: Coupling, features: Tensor, bonds: Bonds, table: RadialTable, backend: str
) -> list[Tensor]:
    """Convolve with weights that are interpolated bond by bond.

    torch does not differentiate it; see `tabulated_gradients`.

    Parameters
    ----------
    coupling, features, backend
        As in `convolve`.
    bonds : Bonds
        Their `kinds` are indices into the first axis of the table, their `distances` are in its
        range.
    table : RadialTable
        Weights on a grid, values of shape (T, G, 3, n_paths, C).
    """
    call = _Call(coupling, bonds.edges, backend, features.shape[2])
    blocks = _empty_blocks(coupling, bonds.edges, features)
    call.launch("forward_table", _with_table(features, bonds, table), blocks)
    return list(blocks)


def tabulated_gradients(
    coupling: Coupling,
    features: Tensor,
    bonds: Bonds,
    table: RadialTable,
    backend: str,
    gradients: Sequence[Tensor],
    *,
    by_features: bool,
) -> TabulatedGradients:
    """Differentiate F functions of the result of `convolve_tabulated`.

    Weights are interpolated once for all of them.

    Parameters
    ----------
    coupling, features, bonds, table, backend
        As in `convolve_tabulated`.
    gradients : sequence of Tensor, shapes (F, N, 2l+1, paths · C)
        Gradients of the functions with respect to the first blocks of the result; they do not
        depend on the other blocks.
    by_features : bool
        Whether gradients with respect to features are wanted.
    """
    n_functions, like = len(gradients[0]), bonds.harmonics
    call = _Call(coupling.to_first(len(gradients)), bonds.edges, backend, features.shape[2])
    arrays = _with_table(features, bonds, table)
    blocks = tuple(gradient.contiguous() for gradient in gradients)
    of_features = features.new_empty((n_functions, *features.shape)) if by_features else None
    of_harmonics = like.new_empty((n_functions, *like.shape))
    of_distances = like.new_empty(n_functions, len(like))
    if of_features is not None:
        call.launch_for_each("grad_features_table", arrays, blocks, (of_features,))
    call.launch_for_each("grad_bonds_table", arrays, blocks, (of_harmonics, of_distances))
    of_distances *= table.refinement / SPACING
    return TabulatedGradients(of_features, of_harmonics, of_distances)


@dataclass(frozen=True)
class TabulatedGradients:
    """Gradients of F functions.

    Attributes
    ----------
    features : Tensor or None, shape (F, N_senders, input_dim, C)
    harmonics : Tensor, shape (F, E, (l_max + 1)²)
    distances : Tensor, shape (F, E)
    """

    features: Tensor | None
    harmonics: Tensor
    distances: Tensor


def _with_table(features: Tensor, bonds: Bonds, table: RadialTable) -> tuple[Tensor | int, ...]:
    """Return the first arguments of kernels with a table."""
    n_points, refinement = table.values.shape[1], table.refinement
    features, harmonics = features.contiguous(), bonds.harmonics.contiguous()
    return features, harmonics, table.values, n_points, refinement, bonds.kinds, bonds.distances
