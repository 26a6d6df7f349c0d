"""Compiled kernels of the convolution, with their gradients: numba's on the CPU, Triton's on GPUs.

Both are written from one list of terms (`terms`) and take the same arguments; e3nn's own product
is their oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.edges import EdgeIndex
from ase_equivar.network.table import RadialTable


@cache
def _launcher(backend: str) -> Callable[..., None]:
    """Import what runs the kernels of a backend, "numba" or "triton"."""
    if backend == "numba":
        from ase_equivar.network.kernels import launch_numba

        return launch_numba.launch
    from ase_equivar.network.kernels import launch_triton

    return launch_triton.launch


class _Convolve(torch.autograd.Function):
    """Gradients with respect to features and weights; the bonds themselves are fixed."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w: Tensor,
        y: Tensor,
        coupling: Coupling,
        edges: EdgeIndex,
        backend: str,
    ) -> tuple[Tensor, ...]:
        x, w, y = x.contiguous(), w.contiguous(), y.contiguous()
        ctx.save_for_backward(x, w, y)
        ctx.coupling, ctx.edges, ctx.backend = coupling, edges, backend
        blocks = _empty_blocks(coupling, edges, x)
        index, n_channels = _by_receiver(edges), x.shape[2]
        _launcher(backend)("forward", coupling, n_channels, (x, y, w), index, blocks)
        return blocks

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        x, w, y = ctx.saved_tensors
        arrays = (x, y, w, *(grad.contiguous() for grad in grads))
        grad_x, grad_w = torch.empty_like(x), torch.empty_like(w)
        run, n_channels = _launcher(ctx.backend), x.shape[2]
        by_receiver, by_sender = _by_receiver(ctx.edges), _by_sender(ctx.edges)
        run("grad_weights", ctx.coupling, n_channels, arrays, by_receiver, (grad_w,))
        run("grad_features", ctx.coupling, n_channels, arrays, by_sender, (grad_x,))
        return grad_x, grad_w, None, None, None, None


def _empty_blocks(coupling: Coupling, edges: EdgeIndex, like: Tensor) -> tuple[Tensor, ...]:
    """Make room for the result, one block (N, 2l+1, paths · C) for each output."""
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
    """`convolution.Convolution` by "numba" or "triton"; shapes as there.

    Raises
    ------
    ValueError
        When a gradient with respect to the harmonics, that is the positions, is asked for.
    """
    if harmonics.requires_grad:
        raise ValueError(
            f"the {backend} backend gives no gradient with respect to atomic positions; "
            'use backend "e3nn"'
        )
    return list(_Convolve.apply(features, weights, harmonics, coupling, edges, backend))


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
    """Convolve with weights that are interpolated edge by edge; without gradients.

    Parameters
    ----------
    coupling, features, harmonics, edges, backend
        As in `convolve`.
    table : RadialTable
        Weights on a grid, values of shape (T, G, n_paths, C).
    which : Tensor of int64, shape (E,)
        Entry of the first axis of the table for each edge.
    distances : Tensor, shape (E,)
        In Å, within the table's range.
    """
    blocks = _empty_blocks(coupling, edges, features)
    n_tables, n_points = table.values.shape[:2]
    values = table.values.view(n_tables * n_points, -1)
    where = table.cells(distances)
    arrays = (features.contiguous(), harmonics, values, n_points, which, where)
    index, n_channels = _by_receiver(edges), features.shape[2]
    _launcher(backend)("forward_table", coupling, n_channels, arrays, index, blocks)
    return list(blocks)
