"""Source code of the CPU kernels: a loop over edges, and in it one over the channels.

No message is ever stored: work is O(E · terms · channels) and memory O(N · components · channels)
beside the weights themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    kernels = _Kernels(coupling, n_channels)
    return "\n".join(
        [
            "import numpy as np\nfrom ase_equivar.machine_code import compiled\n"
            "from ase_equivar.network.kernels.feature_loops import copy, interpolate\n"
            "from numpy import float64\n"
            f"from numpy import {scalar} as F\n",
            kernels.forward(),
            kernels.grad_weights(),
            kernels.grad_features(),
            kernels.grad_harmonics(),
            kernels.forward_table(),
            kernels.grad_features_table(),
            kernels.grad_bonds_table(),
        ]
    )


PLAIN = "x, Y, w"
TABLE = "x, Y, t, n_points, refinement, which, distances"


class _Kernels:
    """The text of each kernel: `_kernel` of lines before, in and after the loop over edges.

    Names in these lines: i is the receiver, j the sender, e the edge, c the channel. A name with an
    underscore, x_, is what a flat array has for one atom or edge, its *run*; o is the run that is
    filled.
    """

    def __init__(self, coupling: Coupling, n_channels: int) -> None:
        self._c, self._lines = n_channels, write_lines(coupling, _constant)
        self._n_y, self._n_p = (coupling.l_max + 1) ** 2, len(coupling.paths)
        self._n_x, self._n_rows = coupling.input_dim, coupling.output_dim
        self._blocks = coupling.blocks
        # weights of all paths and channels are interpolated in one run
        self._n_stored = coupling.n_weights
        self._n_w = self._n_stored * n_channels
        self._values, self._slopes = cubic_factors(_constant)
        self._harmonics = [f"y{m} = Y[e, {m}]" for m in range(self._n_y)]
        self._edge = self._harmonics + self._lines.entries
        self._x_run = self._run("x_", "x", "j", self._n_x)
        self._w_run = self._run("w_", "w", "e", self._n_stored)
        self._g_runs, self._g_runs_of_direction = (
            [self._block_run("G", n, receiver) for n in range(len(self._blocks))]
            for receiver in ("i", "(n*n_receivers + i)")
        )
        self._results = [f"O{n}" for n in range(len(self._blocks))]
        self._gradients = [f"G{n}" for n in range(len(self._blocks))]

    def forward(self) -> str:
        inner = [self._x_run, self._w_run, *self._add_rows()]
        return self._kernel(
            "forward", PLAIN, self._results, self._to_rows(), inner, self._write_rows()
        )

    def grad_weights(self) -> str:
        products = self._store("=", self._lines.weights)
        inner = [
            self._x_run,
            self._run("o", "out", "e", self._n_stored),
            *self._edge,
            *self._over_channels(self._load("x", self._n_x), self._load_gradients(), products),
        ]
        return self._gradient("grad_weights", PLAIN, _by_receiver(*self._g_runs), inner)

    def grad_features(self) -> str:
        outer = _by_sender(self._run("o", "out", "j", self._n_x), "o[:] = 0")
        inner = [self._w_run, *self._g_runs, *self._edge, *self._add_components()]
        return self._gradient("grad_features", PLAIN, outer, inner)

    def grad_harmonics(self) -> str:
        inner = [self._x_run, self._w_run, *self._add_harmonics("e")]
        return self._gradient("grad_harmonics", PLAIN, _by_receiver(*self._g_runs), inner)

    def forward_table(self) -> str:
        outer = [f"w_ = np.empty({self._n_w}, t.dtype)", *self._to_rows()]
        inner = [self._x_run, *self._interpolate(w=self._values), *self._add_rows()]
        return self._kernel("forward_table", TABLE, self._results, outer, inner, self._write_rows())

    def grad_features_table(self) -> str:
        filled = self._run("o", "out", "(n*n_senders + j)", self._n_x)
        outer = [
            f"w_ = np.empty({self._n_w}, t.dtype)",
            *_by_sender(*_for_directions(filled, "o[:] = 0")),
        ]
        inner = [
            *self._interpolate(w=self._values),
            *self._edge,
            *_for_directions(filled, *self._g_runs_of_direction, *self._add_components()),
        ]
        sizes = ["n_directions, n_senders = out.shape[:2]", "n_receivers = G0.shape[1]"]
        return self._gradient("grad_features_table", TABLE, outer, inner, sizes=sizes)

    def grad_bonds_table(self) -> str:
        outer = [f"w_, d_ = np.empty((2, {self._n_w}), t.dtype)", *_by_receiver()]
        slopes = [f"r += {value}" for value in self._lines.slopes]
        each = [
            *self._g_runs_of_direction,
            "r = F(0)",
            "place = n*n_edges + e",
            *self._add_harmonics("place", self._load("d", self._n_p), slopes),
            "slope[place] = r",
        ]
        inner = [
            self._x_run,
            *self._interpolate(w=self._values, d=self._slopes),
            *self._harmonics,
            *_for_directions(*each),
        ]
        sizes = ["n_directions, n_edges = slope.shape", "n_receivers = G0.shape[1]"]
        return self._gradient("grad_bonds_table", TABLE, outer, inner, ["out", "slope"], sizes)

    def _gradient(
        self,
        name: str,
        arguments: str,
        outer: Iterable[str],
        inner: Iterable[str],
        out: Sequence[str] = ("out",),
        sizes: Iterable[str] = (),
    ) -> str:
        """Write a kernel that takes the gradient of the result too."""
        arguments = ", ".join([arguments, *self._gradients])
        return self._kernel(name, arguments, out, outer, inner, sizes=sizes)

    @staticmethod
    def _kernel(
        name: str,
        arguments: str,
        out: Sequence[str],
        outer: Iterable[str],
        inner: Iterable[str],
        after: Iterable[str] = (),
        sizes: Iterable[str] = (),
    ) -> str:
        flat = [a for a in arguments.split(", ") if a in ("x", "w", "t") or a[0] == "G"]
        return "\n".join(
            [
                "@compiled(nogil=True, fastmath=True)",
                f"def {name}({arguments}, send, recv, order, start,",
                f"    {', '.join(out)}, first, last):",
                *("    " + size for size in sizes),
                *(f"    {array} = {array}.reshape(-1)" for array in (*flat, *out)),
                *("    " + line for line in outer),
                *(" " * 12 + line for line in inner),
                *(" " * 8 + line for line in after),
                "",
            ]
        )

    def _run(self, name: str, array: str, index: str, size: int) -> str:
        """Take what a flat array has for one atom or edge."""
        size *= self._c
        return f"{name} = {array}[{index}*{size}:({index} + 1)*{size}]"

    def _block_run(self, array: str, n: int, receiver: str = "i") -> str:
        """Take what a block of the result, or of its gradient, has for the receiver."""
        return self._run(f"{array.lower()}{n}_", f"{array}{n}", receiver, len(self._blocks[n]))

    def _load(self, name: str, size: int) -> list[str]:
        return [f"{name}{k} = {name}_[{k * self._c} + c]" for k in range(size)]

    def _load_gradients(self) -> list[str]:
        return [
            f"g{row} = g{n}_[{(row - block.start) * self._c} + c]"
            for n, block in enumerate(self._blocks)
            for row in block
        ]

    def _store(self, how: str, values: dict[int, str]) -> list[str]:
        return [f"o[{k * self._c} + c] {how} {value}" for k, value in values.items()]

    def _over_channels(self, *parts: Iterable[str]) -> list[str]:
        return [f"for c in range({self._c}):", *("    " + line for part in parts for line in part)]

    def _to_rows(self) -> list[str]:
        """Go through receivers, whose rows are added up in one place."""
        return [f"o = np.empty({self._n_rows * self._c}, x.dtype)", *_by_receiver("o[:] = 0")]

    def _write_rows(self) -> list[str]:
        """Bring the rows of a receiver to their blocks, when its edges are done."""
        lines = []
        for n, block in enumerate(self._blocks):
            rows = f"o[{block.start * self._c}:{block.stop * self._c}]"
            lines += [self._block_run("O", n), f"copy({rows}, o{n}_)"]
        return lines

    def _add_rows(self) -> list[str]:
        """Add what an edge gives to the result."""
        loads = self._load("x", self._n_x), self._load("w", self._n_p)
        return self._edge + self._over_channels(*loads, self._store("+=", self._lines.rows))

    def _add_components(self) -> list[str]:
        """Add what an edge gives to the gradient by features."""
        loads = self._load("w", self._n_p), self._load_gradients(), self._lines.scaled
        sums = self._store("+=", self._lines.components)
        return self._over_channels(*loads, sums)

    def _add_harmonics(self, place: str, *besides: list[str]) -> list[str]:
        """Add up the gradient by the harmonics of an edge, and do other things for each channel."""
        loads = self._load("x", self._n_x), self._load("w", self._n_p), self._load_gradients()
        sums = [f"q{m} += {value}" for m, value in self._lines.harmonics.items()]
        return [
            *(f"q{m} = F(0)" for m in range(self._n_y)),
            *self._over_channels(*loads, self._lines.products, sums, *besides),
            *(f"out[{place}*{self._n_y} + {m}] = q{m}" for m in range(self._n_y)),
        ]

    def _interpolate(self, **cubics: list[str]) -> list[str]:
        """Fill arrays of a run each from the table, given by the factors of its four numbers.

        These lie one after the other. Distances are doubles here, so that s is exact.
        """
        size = 3 * self._n_w
        return [
            f"place = (float64(distances[e]) - {SHORTEST})*refinement/{SPACING}",
            "k = which[e]*n_points + int(place)",
            "s = F(place - int(place))",
            f"p = t[k*{size}:k*{size} + {4 * self._n_w}]",
            *(f"interpolate(p, {', '.join(four)}, {name}_)" for name, four in cubics.items()),
        ]


def _constant(value: float) -> str:
    return f"F({value!r})"


def _for_directions(*lines: str) -> list[str]:
    """Do something for each of several gradients that were given."""
    return ["for n in range(n_directions):", *("    " + line for line in lines)]


def _by_sender(*before: str) -> list[str]:
    """Go through senders and their edges; lines before those of each sender."""
    return [
        "for j in range(first, last):",
        *("    " + line for line in before),
        "    for k in range(start[j], start[j + 1]):",
        "        e = order[k]",
        "        i = recv[e]",
    ]


def _by_receiver(*before: str) -> list[str]:
    """Go through receivers and their edges; lines before those of each receiver."""
    return [
        "for i in range(first, last):",
        *("    " + line for line in before),
        "    for e in range(start[i], start[i + 1]):",
        "        j = send[e]",
    ]
