"""CPU kernels of the convolution, compiled by numba and shared out over threads.

Compiling takes a few seconds per network; the result is kept in the user's cache folder
(``$XDG_CACHE_HOME/ase_equivar``, ``~/.cache/ase_equivar`` by default).
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ase_equivar.network.convolution import Coupling, EdgeIndex
from ase_equivar.network.kernel_source import kernel_source
from ase_equivar.network.table import RadialTable

MIN_EDGES_PER_THREAD = 500  # below, handing out the work costs more than it saves


@cache
def _kernels(coupling: Coupling, dtype: torch.dtype) -> ModuleType:
    """Return the compiled kernels as a module, its source in the cache folder for numba."""
    source = kernel_source(coupling, {torch.float64: "float64", torch.float32: "float32"}[dtype])
    digest = hashlib.sha256(f"{numba.__version__}\n{source}".encode()).hexdigest()[:16]
    name = f"convolution_{digest}"
    path = _cache_folder() / f"{name}.py"
    if not path.is_file():
        # written aside and moved, so that a process beside this one never reads half a file
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(source)
        Path(file.name).replace(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the path ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba looks the functions of its cache up by module
    spec.loader.exec_module(module)
    return module


@cache
def _cache_folder() -> Path:
    """Return the user's cache folder, or one that lasts as long as this process."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ase_equivar"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="ase_equivar-"))


class _Convolve(torch.autograd.Function):
    """Gradients with respect to features and weights; the bonds themselves are fixed."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, y: Tensor, coupling: Coupling, edges: EdgeIndex
    ) -> Tensor:
        x, w, y = x.contiguous(), w.contiguous(), y.contiguous()
        ctx.save_for_backward(x, w, y)
        ctx.coupling, ctx.edges = coupling, edges
        out = x.new_zeros(edges.n_receivers, coupling.output_dim, x.shape[2])
        _run("forward", coupling, edges, x, y, w, out, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, w, y = ctx.saved_tensors
        g = grads[0].contiguous()
        grad_x, grad_w = torch.zeros_like(x), torch.empty_like(w)
        _run("grad_weights", ctx.coupling, ctx.edges, x, y, w, g, grad_w)
        _run("grad_features", ctx.coupling, ctx.edges, x, y, w, g, grad_x)
        return grad_x, grad_w, None, None, None


def _run(
    name: str,
    coupling: Coupling,
    edges: EdgeIndex,
    x: Tensor,
    y: Tensor,
    w: Tensor,
    g: Tensor,
    out: Tensor,
) -> None:
    if name == "grad_features":
        order, start = edges.by_sender
    else:
        order, start = edges.receivers, edges.receiver_starts  # the order is not looked at
    _share_out(name, coupling, (x, y, w, g), edges, order, start, out)


def _share_out(
    name: str,
    coupling: Coupling,
    arrays: tuple[Tensor | int, ...],
    edges: EdgeIndex,
    order: Tensor,
    start: Tensor,
    out: Tensor,
) -> None:
    """Run a kernel on all threads; each owns a run of atoms with about as many edges."""
    n_atoms, n_edges = len(start) - 1, len(edges.senders)
    index = (edges.senders, edges.receivers, order, start)
    kernel = partial(
        getattr(_kernels(coupling, out.dtype), name),
        *(a if isinstance(a, int) else a.detach().numpy() for a in (*arrays, *index, out)),
    )
    n_threads = torch.get_num_threads()
    if n_threads == 1 or n_edges < MIN_EDGES_PER_THREAD * n_threads:
        kernel(0, n_atoms)
        return
    cuts = np.searchsorted(start.numpy(), np.linspace(0, n_edges, n_threads + 1))
    cuts[0], cuts[-1] = 0, n_atoms
    jobs = [
        _threads(n_threads).submit(partial(kernel, first, last))
        for first, last in itertools.pairwise(cuts.tolist())
    ]
    for job in jobs:
        job.result()


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="ase_equivar")


def convolve(
    coupling: Coupling, features: Tensor, harmonics: Tensor, weights: Tensor, edges: EdgeIndex
) -> Tensor:
    """`convolution.Convolution` on the CPU; shapes as there.

    Raises
    ------
    ValueError
        When a gradient with respect to the harmonics, that is the positions, is asked for.
    """
    if harmonics.requires_grad:
        raise ValueError(
            "the numba backend gives no gradient with respect to atomic positions; "
            'use backend "e3nn"'
        )
    out: Tensor = _Convolve.apply(features, weights, harmonics, coupling, edges)
    return out


def convolve_tabulated(
    coupling: Coupling,
    features: Tensor,
    harmonics: Tensor,
    table: RadialTable,
    which: Tensor,
    distances: Tensor,
    edges: EdgeIndex,
) -> Tensor:
    """Convolve with weights that are interpolated edge by edge; without gradients.

    Parameters
    ----------
    coupling, features, harmonics, edges
        As in `convolution.Convolution`.
    table : RadialTable
        Weights on a grid, values of shape (T, G, n_paths, C).
    which : Tensor of int64, shape (E,)
        Entry of the first axis of the table for each edge.
    distances : Tensor, shape (E,)
        In Å, within the table's range.
    """
    out = features.new_zeros(edges.n_receivers, coupling.output_dim, features.shape[2])
    n_tables, n_points = table.values.shape[:2]
    values = table.values.view(n_tables * n_points, -1)
    where = table.cells(distances)
    arrays = (features.contiguous(), harmonics, values, n_points, which, where)
    order, start = edges.receivers, edges.receiver_starts
    _share_out("forward_table", coupling, arrays, edges, order, start, out)
    return out
