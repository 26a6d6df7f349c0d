"""Source code of the CPU kernels: the convolution of one coupling, written out term by term.

For every edge the products Σ_m2 C[m1 m2 m3] Y[m2] are formed once, for all channels; then one loop
over the channels does the rest in registers. No message is ever stored: work is
O(E · terms · channels) and memory O(N · components · channels) beside the weights themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ase_equivar.network.convolution import Coupling

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class _Term:
    """One entry of the edge matrix A[row, m1] = Σ_m2 C Y[m2]."""

    path: int
    row: int
    component: int
    expression: str


def _terms(coupling: Coupling) -> list[_Term]:
    terms = []
    columns = np.cumsum([0, *[ir.dim for ir in coupling.inputs]])
    irreps_out, slots = coupling.slots
    first_rows = np.cumsum([0, *[ir.dim for ir in irreps_out]])
    for number, (path, slot) in enumerate(zip(coupling.paths, slots, strict=True)):
        table = coupling.coefficients(path).numpy()
        first = path.degree**2
        for m1, m3 in itertools.product(range(table.shape[0]), range(table.shape[2])):
            entries = [
                f"F({float(table[m1, m2, m3])!r})*y{first + m2}"
                for m2 in range(table.shape[1])
                if abs(table[m1, m2, m3]) > 1e-12
            ]
            if entries:
                row, component = int(first_rows[slot]) + m3, int(columns[path.input]) + m1
                terms.append(_Term(number, row, component, " + ".join(entries)))
    return terms


def _sums(
    terms: list[_Term], key: Callable[[_Term], _Key], text: Callable[[int, _Term], str]
) -> dict[_Key, str]:
    """Group the terms by `key`, each group written as one sum."""
    groups: dict[_Key, list[str]] = {}
    for number, term in enumerate(terms):
        groups.setdefault(key(term), []).append(text(number, term))
    return {k: " + ".join(v) for k, v in groups.items()}


def kernel_source(coupling: Coupling, scalar: str) -> str:
    """Write the kernels of a coupling as Python.

    ``forward`` gives the result, ``grad_weights`` and ``grad_features`` its gradients, and
    ``forward_table`` the result with weights interpolated from a table (see `table`). In them x
    are features, Y harmonics, w weights, g the gradient of the result; t is the table, and which
    and where tell the row and the place in it of each edge.

    Parameters
    ----------
    coupling : Coupling
    scalar : str
        "float32" or "float64", the precision of features and constants.
    """
    terms = _terms(coupling)
    n_y, n_p, n_rows = (coupling.l_max + 1) ** 2, len(coupling.paths), coupling.output_dim
    edge = [f"y{m} = Y[e, {m}]" for m in range(n_y)]
    edge += [f"a{t} = {term.expression}" for t, term in enumerate(terms)]
    load_x = [f"x{m} = x[j, {m}, c]" for m in range(coupling.input_dim)]
    load_w = [f"w{p} = w[e, {p}, c]" for p in range(n_p)]
    load_g = [f"g{r} = g[i, {r}, c]" for r in range(n_rows)]
    products = _sums(terms, lambda t: (t.path, t.row), lambda n, t: f"a{n}*x{t.component}")
    by_row: dict[int, list[str]] = {}
    by_path: dict[int, list[str]] = {}
    for (path, row), product in products.items():
        by_row.setdefault(row, []).append(f"w{path}*({product})")
        by_path.setdefault(path, []).append(f"g{row}*({product})")
    forward = [f"out[i, {row}, c] += {' + '.join(s)}" for row, s in by_row.items()]
    grad_w = [f"out[e, {path}, c] = {' + '.join(s)}" for path, s in by_path.items()]
    columns = _sums(terms, lambda t: t.component, lambda n, t: f"a{n}*h{t.path}_{t.row}")
    scaled = [f"h{path}_{row} = w{path}*g[i, {row}, c]" for path, row in products]
    grad_x = [f"out[j, {m}, c] += {s}" for m, s in columns.items()]

    # cubic through four points of the table, at -1, 0, 1 and 2 cells from the one below, for the
    # weights of all paths and channels in one run
    interpolate = [
        "k = which[e]*n_points + int(where[e])",
        "s = where[e] - F(int(where[e]))",
        "b0 = s*(F(1) - s)*(s - F(2))*F(1/6)",
        "b1 = (s + F(1))*(s - F(1))*(s - F(2))*F(0.5)",
        "b2 = (s + F(1))*s*(F(2) - s)*F(0.5)",
        "b3 = (s + F(1))*s*(s - F(1))*F(1/6)",
        "for n in range(t.shape[1]):",
        "    v[n] = b0*t[k-1, n] + b1*t[k, n] + b2*t[k+1, n] + b3*t[k+2, n]",
    ]
    scratch = ["    v = np.empty(t.shape[1], t.dtype)", f"    w = v.reshape(({n_p}, x.shape[2]))"]
    load_v = [f"w{p} = w[{p}, c]" for p in range(n_p)]
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

    def kernel(name: str, arguments: str, outer: list[str], each_edge: list[str]) -> str:
        return "\n".join(
            [
                "@njit(cache=True, nogil=True, fastmath=True)",
                f"def {name}({arguments}, send, recv, order, start, out, first, last):",
                *outer,
                *(" " * 12 + line for line in each_edge),
                "",
            ]
        )

    def over_channels(*lines: list[str]) -> list[str]:
        return [*edge, "for c in range(x.shape[2]):", *("    " + x for part in lines for x in part)]

    from_table = [*interpolate, *over_channels(load_x, load_v, forward)]
    table_arguments = "x, Y, t, n_points, which, where"
    plain = "x, Y, w, g"
    return "\n".join(
        [
            f"import numpy as np\nfrom numba import njit\nfrom numpy import {scalar} as F\n",
            kernel("forward", plain, by_receiver, over_channels(load_x, load_w, forward)),
            kernel("grad_weights", plain, by_receiver, over_channels(load_x, load_g, grad_w)),
            kernel("grad_features", plain, by_sender, over_channels(load_w, scaled, grad_x)),
            kernel("forward_table", table_arguments, scratch + by_receiver, from_table),
        ]
    )
