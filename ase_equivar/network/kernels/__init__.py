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
    ) -> Tensor:
        x, w, y = x.contiguous(), w.contiguous(), y.contiguous()
        ctx.save_for_backward(x, w, y)
        ctx.coupling, ctx.edges, ctx.backend = coupling, edges, backend
        out = x.new_empty(edges.n_receivers, coupling.output_dim, x.shape[2])
        _launcher(backend)("forward", coupling, (x, y, w, out), _by_receiver(edges), out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        x, w, y = ctx.saved_tensors
        arrays = (x, y, w, grads[0].contiguous())
        grad_x, grad_w = torch.empty_like(x), torch.empty_like(w)
        run, coupling, edges = _launcher(ctx.backend), ctx.coupling, ctx.edges
        run("grad_weights", coupling, arrays, _by_receiver(edges), grad_w)
        run("grad_features", coupling, arrays, _by_sender(edges), grad_x)
        return grad_x, grad_w, None, None, None, None


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
) -> Tensor:
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
    out: Tensor = _Convolve.apply(features, weights, harmonics, coupling, edges, backend)
    return out


def convolve_tabulated(
    coupling: Coupling,
    features: Tensor,
    harmonics: Tensor,
    table: RadialTable,
    which: Tensor,
    distances: Tensor,
    edges: EdgeIndex,
    backend: str,
) -> Tensor:
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
    out = features.new_empty(edges.n_receivers, coupling.output_dim, features.shape[2])
    n_tables, n_points = table.values.shape[:2]
    values = table.values.view(n_tables * n_points, -1)
    where = table.cells(distances)
    arrays = (features.contiguous(), harmonics, values, n_points, which, where)
    _launcher(backend)("forward_table", coupling, arrays, _by_receiver(edges), out)
    return out
