"""Source code of the CPU kernels: a loop over edges, and in it one over the channels.

No message is ever stored: work is O(E · terms · channels) and memory O(N · components · channels)
beside the weights themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.radial_table import SHORTEST, SPACING
from ase_equivar.network.kernels.terms import cubic_factors, write_lines


def numba_source(coupling: Coupling, n_channels: int, scalar: str) -> str:
    """Write the CPU kernels of a coupling as Python.

    ``forward`` gives the result, ``grad_weights``, ``grad_features`` and ``grad_harmonics`` its
    gradients. ``forward_table`` gives the result with weights interpolated from a table (see
    `table`), ``grad_features_table`` and ``grad_bonds_table`` its gradients, the latter with
    respect to harmonics and to distances in units of the table's spacing. In them x are features, Y
    harmonics, w weights, O0, O1, ... the blocks of the result and G0, G1, ... their gradients; t is
    the table, and which tells the row in it of each edge.

    Arrays are walked through as flat ones, at places written as numbers: only so does the compiler
    see that what is written is not what is read, and does several channels at a time.

    Parameters
    ----------
    coupling : Coupling
    n_channels : int
    scalar : str
        "float32" or "float64", the precision of features and constants.
    """

    def constant(value: float) -> str:
        return f"F({value!r})"

    lines = write_lines(coupling, constant)
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
    # the four numbers of a cubic lie one after the other; weights of all paths and channels are
    # interpolated in one run
    n_w = n_p * n_channels
    values, slopes = cubic_factors(constant)
    table = "x, Y, t, n_points, refinement, which, distances"
    place = [
        f"place = (float64(distances[e]) - {SHORTEST})*refinement/{SPACING}",  # doubles: s is exact
        "k = which[e]*n_points + int(place)",
        "s = F(place - int(place))",
        f"p = t[k*{3 * n_w}:k*{3 * n_w} + {4 * n_w}]",
    ]

    def interpolate(**cubics: list[str]) -> list[str]:
        """Fill arrays of a run each, given by the factors of the four numbers."""
        sums = [f"interpolate(p, {', '.join(four)}, {a}_)" for a, four in cubics.items()]
        return [*place, *sums]

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
        rows = f"o[{block.start * n_channels}:{block.stop * n_channels}]"
        write_rows += [of_block(n, "O"), f"copy({rows}, o{n}_)"]

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
                "@compiled(nogil=True, fastmath=True)",
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
        return [loop, *("    " + line for part in parts for line in part)]

    def add_harmonics(*besides: list[str]) -> list[str]:
        sums = [f"q{m} += {value}" for m, value in lines.harmonics.items()]
        return [
            *(f"q{m} = F(0)" for m in range(n_y)),
            *over_channels(load("x", n_x), load("w", n_p), load_g, lines.scaled, sums, *besides),
            *(f"out[e*{n_y} + {m}] = q{m}" for m in range(n_y)),
        ]

    add_rows = edge + over_channels(load("x", n_x), load("w", n_p), store("+=", lines.rows))
    add_components = edge + over_channels(
        load("w", n_p), load_g, lines.scaled, store("+=", lines.components)
    )
    of_result, gradients = [f"O{n}" for n in numbers], [f"G{n}" for n in numbers]
    plain = ", ".join(["x, Y, w", *gradients])
    return "\n".join(
        [
            "import numpy as np\nfrom ase_equivar.machine_code import compiled\n"
            "from ase_equivar.network.kernels.feature_loops import copy, interpolate\n"
            "from numpy import float64\n"
            f"from numpy import {scalar} as F\n",
            kernel("forward", "x, Y, w", of_result, to_rows, [x_run, w_run, *add_rows], write_rows),
            kernel(
                "grad_weights",
                plain,
                ["out"],
                by_receiver(*g_runs),
                [
                    x_run,
                    run("o", "out", "e", n_p),
                    *edge,
                    *over_channels(load("x", n_x), load_g, store("=", lines.weights)),
                ],
            ),
            kernel(
                "grad_features",
                plain,
                ["out"],
                by_sender,
                [w_run, *g_runs, *add_components],
            ),
            kernel(
                "grad_harmonics",
                plain,
                ["out"],
                by_receiver(*g_runs),
                [x_run, w_run, *add_harmonics()],
            ),
            kernel(
                "forward_table",
                table,
                of_result,
                [f"w_ = np.empty({n_w}, t.dtype)", *to_rows],
                [x_run, *interpolate(w=values), *add_rows],
                write_rows,
            ),
            kernel(
                "grad_features_table",
                ", ".join([table, *gradients]),
                ["out"],
                [f"w_ = np.empty({n_w}, t.dtype)", *by_sender],
                [*interpolate(w=values), *g_runs, *add_components],
            ),
            kernel(
                "grad_bonds_table",
                ", ".join([table, *gradients]),
                ["out", "slope"],
                [f"w_, d_ = np.empty((2, {n_w}), t.dtype)", *by_receiver(*g_runs)],
                [
                    x_run,
                    *interpolate(w=values, d=slopes),
                    *edge,
                    "r = F(0)",
                    *add_harmonics(
                        load("d", n_p),
                        [f"r += d{path}*({value})" for path, value in lines.weights.items()],
                    ),
                    "slope[e] = r",
                ],
            ),
        ]
    )
