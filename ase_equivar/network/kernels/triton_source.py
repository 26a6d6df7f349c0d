"""Source code of the GPU kernels: one program per atom, one thread per channel.

A program traverses the edges of its atom with the sums in registers and writes each row once: no
message is stored, there are no atomic additions, and results do not depend on the order in which
programs run.
"""

from __future__ import annotations

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.radial_table import SHORTEST, SPACING
from ase_equivar.network.kernels.terms import cubic_factors, write_lines

# Of these a large graph has pieces, which begin anywhere: compiled once for all of them.
UNALIGNED = ("Y", "which", "distances", "send", "recv", "order", "start")


def triton_source(coupling: Coupling, scalar: str) -> str:
    """Write the GPU kernels of a coupling as Python; names and arguments as in `numba_source`.

    Parameters
    ----------
    coupling : Coupling
    scalar : str
        "float32" or "float64", the precision of features and sums.
    """
    lines = write_lines(coupling, repr)
    n_y, n_p, n_stored = (coupling.l_max + 1) ** 2, len(coupling.paths), coupling.n_weights
    n_x, blocks = coupling.input_dim, coupling.blocks
    harmonics = [f"y{m} = tl.load(Y + e*{n_y} + {m})" for m in range(n_y)]
    edge = harmonics + lines.entries

    def at(array: str, index: str, size: int, place: int) -> str:
        return f"{array} + ({index}*{size} + {place})*n_channels + c"

    def load(array: str, index: str, size: int, n: int | None = None) -> list[str]:
        return [
            f"{array}{k} = tl.load({at(array, index, size, k)}, mask=here, other=0.0)"
            for k in range(size if n is None else n)
        ]

    def store(array: str, index: str, size: int, place: int, value: str) -> str:
        return f"tl.store({at(array, index, size, place)}, {value}, mask=here)"

    places = [(n, len(block), row - block.start) for n, block in enumerate(blocks) for row in block]
    load_g = [
        f"g{row} = tl.load({at(f'G{n}', 'i', size, place)}, mask=here, other=0.0)"
        for row, (n, size, place) in enumerate(places)
    ]
    write_rows = [
        store(f"O{n}", "i", size, place, f"s{row}") for row, (n, size, place) in enumerate(places)
    ]

    # cubics as in `numba_source`
    values, slopes = cubic_factors(repr)
    table = "x, Y, t, n_points, refinement, which, distances"
    place = [
        f"place = (tl.load(distances + e).to(tl.float64) - {SHORTEST})*refinement*{1 / SPACING!r}",
        "below = place.to(tl.int64)",
        f"s = (place - below.to(tl.float64)).to(tl.{scalar})",
        "k = 3*(tl.load(which + e)*n_points + below)",
    ]

    def interpolate(**cubics: list[str]) -> list[str]:
        written = [f"{a}_{q} = {f}" for a, four in cubics.items() for q, f in enumerate(four)]
        for p in range(n_p):
            written += [
                f"p{q} = tl.load({at('t', f'(k + {q})', n_stored, p)}, mask=here, other=0.0)"
                for q in range(4)
            ]
            written += [
                f"{a}{p} = " + " + ".join(f"{a}_{q}*p{q}" for q in range(4)) for a in cubics
            ]
        return place + written

    def kernel(
        name: str,
        arguments: str,
        out: list[str],
        before: list[str],
        each_edge: list[str],
        after: list[str],
        by_sender: bool = False,
    ) -> str:
        atom, walk = (
            ("j", ["e = tl.load(order + k)", "i = tl.load(recv + e)"])
            if by_sender
            else ("i", ["j = tl.load(send + e)"])
        )
        counter = "k" if by_sender else "e"
        body = [
            f"{atom} = tl.program_id(0).to(tl.int64)",
            "c = tl.program_id(1)*BLOCK + tl.arange(0, BLOCK)",
            "here = c < n_channels",
            *before,
            f"for {counter} in range(tl.load(start + {atom}), tl.load(start + {atom} + 1)):",
            *("    " + line for line in [*walk, *each_edge]),
            *after,
        ]
        return "\n".join(
            [
                f"@triton.jit(do_not_specialize_on_alignment={UNALIGNED})",
                f"def {name}({arguments}, send, recv, order, start, {', '.join(out)},",
                "    n_channels: tl.constexpr, BLOCK: tl.constexpr):",
                *("    " + line for line in body),
                "",
            ]
        )

    def zeros(numbers: list[int]) -> list[str]:
        return [f"s{n} = tl.full((BLOCK,), 0.0, tl.{scalar})" for n in numbers]

    def sums(expressions: dict[int, str]) -> list[str]:
        return [f"s{n} += {value}" for n, value in expressions.items()]

    # one program has all channels of an edge here, see `launch_triton`
    over_channels = [
        (m, f"tl.reduce({lines.harmonics[m]}, 0, add)" if m in lines.harmonics else "0.0")
        for m in range(n_y)
    ]
    rows, components = list(range(len(places))), list(range(n_x))  # some may get nothing
    by_distance = " + ".join(lines.slopes)
    of_result, gradients = ([f"{a}{n}" for n in range(len(blocks))] for a in "OG")
    plain = ", ".join(["x, Y, w", *gradients])
    return "\n".join(
        [
            "import triton\nimport triton.language as tl\n",
            "@triton.jit\ndef add(a, b):\n    return a + b\n",
            kernel(
                "forward",
                "x, Y, w",
                of_result,
                zeros(rows),
                edge + load("x", "j", n_x) + load("w", "e", n_stored, n_p) + sums(lines.rows),
                write_rows,
            ),
            kernel(
                "grad_weights",
                plain,
                ["out"],
                load_g,
                edge
                + load("x", "j", n_x)
                + [
                    store("out", "e", n_stored, path, value)
                    for path, value in lines.weights.items()
                ],
                [],
            ),
            kernel(
                "grad_features",
                plain,
                ["out"],
                zeros(components),
                edge
                + load("w", "e", n_stored, n_p)
                + load_g
                + lines.scaled
                + sums(lines.components),
                [store("out", "j", n_x, m, f"s{m}") for m in components],
                by_sender=True,
            ),
            kernel(
                "grad_harmonics",
                plain,
                ["out"],
                load_g,
                load("x", "j", n_x)
                + load("w", "e", n_stored, n_p)
                + lines.products
                + [f"tl.store(out + e*{n_y} + {m}, {total})" for m, total in over_channels],
                [],
            ),
            kernel(
                "forward_table",
                table,
                of_result,
                zeros(rows),
                edge + interpolate(w=values) + load("x", "j", n_x) + sums(lines.rows),
                write_rows,
            ),
            kernel(
                "grad_features_table",
                ", ".join([table, *gradients]),
                ["out"],
                zeros(components),
                edge + interpolate(w=values) + load_g + lines.scaled + sums(lines.components),
                [store("out", "j", n_x, m, f"s{m}") for m in components],
                by_sender=True,
            ),
            kernel(
                "grad_bonds_table",
                ", ".join([table, *gradients]),
                ["out", "slope"],
                load_g,
                harmonics
                + interpolate(w=values, d=slopes)
                + load("x", "j", n_x)
                + lines.products
                + [f"tl.store(out + e*{n_y} + {m}, {total})" for m, total in over_channels]
                + [f"tl.store(slope + e, tl.reduce({by_distance}, 0, add))"],
                [],
            ),
        ]
    )
