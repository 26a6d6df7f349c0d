"""Source code of the CPU kernels: a loop over edges, and in it one over the channels.

No message is ever stored: work is O(E · terms · channels) and memory O(N · components · channels)
beside the weights themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.kernels.terms import write_lines


def numba_source(coupling: Coupling, n_channels: int, scalar: str) -> str:
    """Write the CPU kernels of a coupling as Python.

    ``forward`` gives the result, ``grad_weights``, ``grad_features`` and ``grad_harmonics`` its
    gradients, and ``forward_table`` the result with weights interpolated from a table (see
    `table`). In them x are features, Y harmonics, w weights, O0, O1, ... the blocks of the result
    and G0, G1, ... their gradients; t is the table, and which and where tell the row and the place
    in it of each edge.

    Arrays are walked through as flat ones, at places written as numbers: only so does the compiler
    see that what is written is not what is read, and does several channels at a time.

    Parameters
    ----------
    coupling : Coupling
    n_channels : int
    scalar : str
        "float32" or "float64", the precision of features and constants.
    """
    lines = write_lines(coupling, lambda value: f"F({value!r})")
    n_y, n_p = (coupling.l_max + 1) ** 2, len(coupling.paths)
    n_x, n_rows, blocks = coupling.input_dim, coupling.output_dim, coupling.blocks

    def run(name: str, array: str, index: str, size: int) -> str:
        """Take what a flat array has for one atom or edge."""
        return f"{name} = {array}[{index}*{size * n_channels}:({index} + 1)*{size * n_channels}]"

    def load(name: str, size: int) -> list[str]:
        return [f"{name}{k} = {name}_[{k * n_channels} + c]" for k in range(size)]

    def store(how: str, values: dict[int, str]) -> list[str]:
        return [f"o[{k * n_channels} + c] {how} {value}" for k, value in values.items()]

    def of_block(index: int, blocks_of: str) -> str:
        return run(f"{blocks_of.lower()}{index}_", f"{blocks_of}{index}", "i", len(blocks[index]))

    edge = [f"y{m} = Y[e, {m}]" for m in range(n_y)] + lines.entries
    x_run, w_run = run("x_", "x", "j", n_x), run("w_", "w", "e", n_p)
    numbers = range(len(blocks))
    g_runs = [of_block(n, "G") for n in numbers]
    load_g = [
        f"g{row} = g{n}_[{(row - block.start) * n_channels} + c]"
        for n, block in enumerate(blocks)
        for row in block
    ]
    # cubic through four points of the table, at -1, 0, 1 and 2 cells from the one below, for the
    # weights of all paths and channels in one run
    n_w = n_p * n_channels
    interpolate = [
        "k = which[e]*n_points + int(where[e])",
        "s = F(where[e] - int(where[e]))",
        "b0 = s*(F(1) - s)*(s - F(2))*F(1/6)",
        "b1 = (s + F(1))*(s - F(1))*(s - F(2))*F(0.5)",
        "b2 = (s + F(1))*s*(F(2) - s)*F(0.5)",
        "b3 = (s + F(1))*s*(s - F(1))*F(1/6)",
        f"p = t[(k - 1)*{n_w}:(k + 3)*{n_w}]",
        f"for n in range({n_w}):",
        f"    w_[n] = b0*p[n] + b1*p[n + {n_w}] + b2*p[n + {2 * n_w}] + b3*p[n + {3 * n_w}]",
    ]

    def by_receiver(*before: str) -> list[str]:
        return [
            "for i in range(first, last):",
            *("    " + line for line in before),
            "    for e in range(start[i], start[i + 1]):",
            "        j = send[e]",
        ]

    by_sender = [
        "for j in range(first, last):",
        "    " + run("o", "out", "j", n_x),
        "    o[:] = 0",
        "    for k in range(start[j], start[j + 1]):",
        "        e = order[k]",
        "        i = recv[e]",
    ]
    # an atom's rows are added up in one place, and go to their blocks when its edges are done
    to_rows = [f"o = np.empty({n_rows * n_channels}, x.dtype)", *by_receiver("o[:] = 0")]
    write_rows = []
    for n, block in enumerate(blocks):
        write_rows += [
            of_block(n, "O"),
            f"for n in range({len(block) * n_channels}):",
            f"    o{n}_[n] = o[{block.start * n_channels} + n]",
        ]

    def kernel(
        name: str,
        arguments: str,
        out: list[str],
        outer: list[str],
        inner: list[str],
        after: Sequence[str] = (),
    ) -> str:
        flat = [a for a in arguments.split(", ") if a in ("x", "w", "t") or a[0] == "G"]
        return "\n".join(
            [
                "@njit(cache=True, nogil=True, fastmath=True)",
                f"def {name}({arguments}, send, recv, order, start,",
                f"    {', '.join(out)}, first, last):",
                *(f"    {array} = {array}.reshape(-1)" for array in (*flat, *out)),
                *("    " + line for line in outer),
                *(" " * 12 + line for line in inner),
                *(" " * 8 + line for line in after),
                "",
            ]
        )

    def over_channels(*parts: list[str]) -> list[str]:
        loop = f"for c in range({n_channels}):"
        return [*edge, loop, *("    " + line for part in parts for line in part)]

    add_rows = over_channels(load("x", n_x), load("w", n_p), store("+=", lines.rows))
    of_result = [f"O{n}" for n in numbers]
    plain = ", ".join(["x, Y, w", *(f"G{n}" for n in numbers)])
    return "\n".join(
        [
            f"import numpy as np\nfrom numba import njit\nfrom numpy import {scalar} as F\n",
            kernel("forward", "x, Y, w", of_result, to_rows, [x_run, w_run, *add_rows], write_rows),
            kernel(
                "grad_weights",
                plain,
                ["out"],
                by_receiver(*g_runs),
                [
                    x_run,
                    run("o", "out", "e", n_p),
                    *over_channels(load("x", n_x), load_g, store("=", lines.weights)),
                ],
            ),
            kernel(
                "grad_features",
                plain,
                ["out"],
                by_sender,
                [
                    w_run,
                    *g_runs,
                    *over_channels(
                        load("w", n_p), load_g, lines.scaled, store("+=", lines.components)
                    ),
                ],
            ),
            kernel(
                "grad_harmonics",
                plain,
                ["out"],
                by_receiver(*g_runs),
                [
                    x_run,
                    w_run,
                    *(f"q{m} = F(0)" for m in range(n_y)),
                    f"for c in range({n_channels}):",
                    *("    " + line for line in (*load("x", n_x), *load("w", n_p), *load_g)),
                    *("    " + line for line in lines.scaled),
                    *(f"    q{m} += {value}" for m, value in lines.harmonics.items()),
                    *(f"out[e*{n_y} + {m}] = q{m}" for m in range(n_y)),
                ],
            ),
            kernel(
                "forward_table",
                "x, Y, t, n_points, which, where",
                of_result,
                [f"w_ = np.empty({n_w}, t.dtype)", *to_rows],
                [x_run, *interpolate, *add_rows],
                write_rows,
            ),
        ]
    )
