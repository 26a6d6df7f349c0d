"""CPU kernels of the convolution, written out term by term for one coupling and compiled by numba.

For every edge the products Σ_m2 C[m1 m2 m3] Y[m2] are formed once, for all channels; then one loop
over the channels does the rest in registers. No message is ever stored: work is
O(E · terms · channels) and memory O(N · components · channels) beside the weights themselves.

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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ase_equivar.network.convolution import Coupling, EdgeIndex

MIN_EDGES_PER_THREAD = 500  # below, handing out the work costs more than it saves


@dataclass(frozen=True)
class _Term:
    """One entry of the edge matrix A[row, m1] = Σ_m2 C Y[m2]."""

    path: int
    row: int
    component: int
    expression: str


def _terms(coupling: Coupling) -> list[_Term]:
    terms = []
    offsets = np.cumsum([0, *[ir.dim for ir in coupling.inputs]])
    row = 0
    for number, path in enumerate(coupling.paths):
        table = coupling.coefficients(path).numpy()
        first = path.degree**2
        for m3 in range(table.shape[2]):
            for m1 in range(table.shape[0]):
                entries = [
                    f"F({table[m1, m2, m3]!r})*y{first + m2}".replace("np.float64", "")
                    for m2 in range(table.shape[1])
                    if abs(table[m1, m2, m3]) > 1e-12
                ]
                if entries:
                    m = int(offsets[path.input]) + m1
                    terms.append(_Term(number, row, m, " + ".join(entries)))
            row += 1
    return terms


def _sums(
    terms: list[_Term], key: Callable[[_Term], int], text: Callable[[int, _Term], str]
) -> dict[int, str]:
    """Group the terms by `key`, each group written as one sum."""
    groups: dict[int, list[str]] = {}
    for number, term in enumerate(terms):
        groups.setdefault(key(term), []).append(text(number, term))
    return {k: " + ".join(v) for k, v in groups.items()}


def _source(coupling: Coupling, scalar: str) -> str:
    """Python source of the three kernels: result, gradient of weights, gradient of features."""
    terms = _terms(coupling)
    n_y, n_p, n_rows = (coupling.l_max + 1) ** 2, len(coupling.paths), coupling.output_dim
    path_of_row = {term.row: term.path for term in terms}
    edge = [f"y{m} = Y[e, {m}]" for m in range(n_y)]
    edge += [f"a{t} = {term.expression}" for t, term in enumerate(terms)]
    load_x = [f"x{m} = x[j, {m}, c]" for m in range(coupling.input_dim)]
    load_w = [f"w{p} = w[e, {p}, c]" for p in range(n_p)]
    load_g = [f"g{r} = g[i, {r}, c]" for r in range(n_rows)]
    rows = _sums(terms, lambda t: t.row, lambda n, t: f"a{n}*x{t.component}")
    forward = [f"out[i, {r}, c] += w{path_of_row[r]}*({s})" for r, s in rows.items()]
    by_path: dict[int, list[str]] = {}
    for r, s in rows.items():
        by_path.setdefault(path_of_row[r], []).append(f"g{r}*({s})")
    grad_w = [f"out[e, {p}, c] = {' + '.join(s)}" for p, s in by_path.items()]
    columns = _sums(terms, lambda t: t.component, lambda n, t: f"a{n}*h{t.row}")
    scaled = [f"h{r} = w{path_of_row[r]}*g[i, {r}, c]" for r in range(n_rows)]
    grad_x = [f"out[j, {m}, c] += {s}" for m, s in columns.items()]

    def kernel(name: str, outer: list[str], body: list[str]) -> str:
        head = [
            "@njit(cache=True, nogil=True, fastmath=True)",
            f"def {name}(x, Y, w, g, send, recv, order, start, out, first, last):",
        ]
        inner = [" " * 12 + line for line in edge]
        inner += [" " * 12 + "for c in range(x.shape[2]):"]
        inner += [" " * 16 + line for line in body]
        return "\n".join(head + outer + inner) + "\n"

    by_receiver = [
        "    for i in range(first, last):",
        "        for e in range(start[i], start[i + 1]):",
        "            j = send[e]",
    ]
    by_sender = [
        "    for j in range(first, last):",
        "        for k in range(start[j], start[j + 1]):",
        "            e = order[k]",
        "            i = recv[e]",
    ]
    return "\n".join(
        [
            f"from numba import njit\nfrom numpy import {scalar} as F\n",
            kernel("forward", by_receiver, load_x + load_w + forward),
            kernel("grad_weights", by_receiver, load_x + load_g + grad_w),
            kernel("grad_features", by_sender, load_w + scaled + grad_x),
        ]
    )


@cache
def _kernels(coupling: Coupling, dtype: torch.dtype) -> ModuleType:
    """Return the compiled kernels as a module, its source in the cache folder for numba."""
    source = _source(coupling, {torch.float64: "float64", torch.float32: "float32"}[dtype])
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
    n_atoms = len(start) - 1
    kernel = getattr(_kernels(coupling, x.dtype), name)
    arrays = [t.detach().numpy() for t in (x, y, w, g)]
    index = [t.numpy() for t in (edges.senders, edges.receivers, order, start)]
    n_threads = torch.get_num_threads()
    if n_threads == 1 or len(y) < MIN_EDGES_PER_THREAD * n_threads:
        kernel(*arrays, *index, out.numpy(), 0, n_atoms)
        return
    # every thread owns a run of atoms with about the same number of edges
    shares = np.linspace(0, len(y), n_threads + 1)
    cuts = np.searchsorted(start.numpy(), shares)
    cuts[0], cuts[-1] = 0, n_atoms
    jobs = [
        _threads(n_threads).submit(partial(kernel, *arrays, *index, out.numpy(), first, last))
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
