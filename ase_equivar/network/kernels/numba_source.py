"""Source code of the CPU kernels: a loop over edges, and in it one over the channels.

No message is ever stored: work is O(E · terms · channels) and memory O(N · components · channels)
beside the weights themselves.
"""

from __future__ import annotations

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.kernels.terms import write_lines


def numba_source(coupling: Coupling, scalar: str) -> str:
    """Write the CPU kernels of a coupling as Python.

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
    lines = write_lines(coupling, lambda value: f"F({value!r})")
    n_y, n_p, n_rows = (coupling.l_max + 1) ** 2, len(coupling.paths), coupling.output_dim
    edge = [f"y{m} = Y[e, {m}]" for m in range(n_y)] + lines.entries
    load_x = [f"x{m} = x[j, {m}, c]" for m in range(coupling.input_dim)]
    load_w = [f"w{p} = w[e, {p}, c]" for p in range(n_p)]
    load_g = [f"g{r} = g[i, {r}, c]" for r in range(n_rows)]
    forward = [f"out[i, {row}, c] += {value}" for row, value in lines.rows.items()]
    grad_w = [f"out[e, {path}, c] = {value}" for path, value in lines.weights.items()]
    grad_x = [f"out[j, {m}, c] += {value}" for m, value in lines.components.items()]

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

    def over_channels(*parts: list[str]) -> list[str]:
        return [*edge, "for c in range(x.shape[2]):", *("    " + x for part in parts for x in part)]

    from_table = [*interpolate, *over_channels(load_x, load_v, forward)]
    table_arguments = "x, Y, t, n_points, which, where"
    plain = "x, Y, w, g"
    return "\n".join(
        [
            f"import numpy as np\nfrom numba import njit\nfrom numpy import {scalar} as F\n",
            kernel("forward", plain, by_receiver, over_channels(load_x, load_w, forward)),
            kernel("grad_weights", plain, by_receiver, over_channels(load_x, load_g, grad_w)),
            kernel(
                "grad_features",
                plain,
                by_sender,
                over_channels(load_w, load_g, lines.scaled, grad_x),
            ),
            kernel("forward_table", table_arguments, scratch + by_receiver, from_table),
        ]
    )
