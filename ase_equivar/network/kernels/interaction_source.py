"""Source code of a whole interaction of the gated network, for CPUs.

A thread takes its atoms through all steps of `gated_interaction`, some atoms at a time, so that
what lies between convolution and result never leaves the processor's cache, and Python, which
serves one thread after the other, is asked once for each layer.

Arrays are flat, and places in them numbers where the channels are gone through: see `numba_source`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ase_equivar.network.coupling import Coupling

ROWS = TERMS = 4  # of a product of matrices, worked on in registers
ATOMS_AT_ONCE = 4 * ROWS


def feature_source(n_channels: int, n_blocks: int, scalar: str) -> str:
    """Write what all interactions with that many blocks of new features have in common.

    ``send_block`` gives what atoms send of one block of their features; the others are steps behind
    the convolution.

    Parameters
    ----------
    n_channels, n_blocks : int
    scalar : str
        "float32" or "float64".
    """
    width = n_channels * n_blocks
    # e^-y = 2^n 2^f with -1/2 <= f <= 1/2: the exponent of a number and a Taylor polynomial. The
    # compiler has vectors of these, and none of exponentials.
    shift, exponent, n_terms = (23, 127, 8) if scalar == "float32" else (52, 1023, 14)
    power = f"F({math.log(2) ** (n_terms - 1) / math.factorial(n_terms - 1)!r})"
    for k in reversed(range(n_terms - 1)):
        power = f"F({math.log(2) ** k / math.factorial(k)!r}) + f*({power})"
    linears = "\n".join(_linear(n, n_channels) for n in sorted({n_channels, width}))
    return f"""
import numpy as np
from ase_equivar.machine_code import compiled
from ase_equivar.network.kernels.feature_loops import copy
from numpy import {scalar} as F, {scalar.replace("float", "int")} as I

fast = compiled(nogil=True, fastmath=True, error_model="numpy")
C, WIDTH, AT_ONCE = {n_channels}, {width}, {ATOMS_AT_ONCE}

{linears}
@fast
def send_block(x, w, out, dim, offset, total, first, last):
    x, w, out = x.reshape(-1), w.reshape(-1), out.reshape(-1)
    v, z = np.empty(AT_ONCE*dim*C, x.dtype), np.empty(AT_ONCE*dim*C, x.dtype)
    for i in range(first, last, AT_ONCE):
        n = min(AT_ONCE, last - i)
        copy(x[i*dim*C:(i + n)*dim*C], v)
        linear_{n_channels}(v, w, z, n*dim)
        for a in range(n):
            copy(z[a*dim*C:(a + 1)*dim*C], out[((i + a)*total + offset)*C:])

@fast
def scalars(y, bias, mask, g, power, bits, new):
    for c in range(WIDTH):
        y[c] += bias[c]
        s = min(max(y[c]*F({-1 / math.log(2)!r}), F(-100)), F(100))
        n = np.floor(s + F(0.5))
        f = s - n
        bits[c] = (I(n) + I({exponent})) << I({shift})
        g[c] = {power}
    for c in range(WIDTH):
        g[c] = mask[c]/(F(1) + g[c]*power[c])
    for c in range(C):
        new[c] = y[c]*g[c]

"""


def _linear(n_out: int, n_channels: int) -> str:
    """Write the product of rows with a matrix (n_in, n_out); some rows beyond `n_rows` come along.

    `n_in` is a multiple of the number of channels.
    """
    rows = range(ROWS)

    def product(n_terms: int, first: str, last: str) -> list[str]:
        terms = range(n_terms)
        return [
            f"        for k in range({first}, {last}, {n_terms}):",
            *(f"            x{r}_{u} = xs[{r}*n_in + k + {u}]" for r in rows for u in terms),
            f"            ws = w[k*{n_out}:(k + {n_terms})*{n_out}]",
            f"            for c in range({n_out}):",
            *(f"                w{u} = ws[{u * n_out} + c]" for u in terms),
            *(
                f"                o[{r * n_out} + c] += "
                + " + ".join(f"x{r}_{u}*w{u}" for u in terms)
                for r in rows
            ),
        ]

    whole = f"n_in - n_in % {TERMS}" if n_channels % TERMS else "n_in"
    return "\n".join(
        [
            "@fast",
            f"def linear_{n_out}(x, w, out, n_rows):",
            f"    n_in = len(w) // {n_out}",
            f"    for m in range(0, n_rows, {ROWS}):",
            f"        xs, o = x[m*n_in:(m + {ROWS})*n_in], out[m*{n_out}:(m + {ROWS})*{n_out}]",
            "        o[:] = 0",
            *product(TERMS, "0", whole),
            *(product(1, whole, "n_in") if n_channels % TERMS else []),
            "",
        ]
    )


def interaction_source(
    coupling: Coupling,
    taken: Sequence[tuple[int, int]],
    n_channels: int,
    convolutions: str,
    features: str,
) -> str:
    """Write the kernels that make new features of what all atoms have sent, as Python.

    ``send`` fills S with what atoms send, and B0, B1, ... are its matrices, one for each block.
    In ``receive`` and ``receive_table`` S is what was sent, X0, X1, ... are the blocks of the old
    features and N0, N1, ... those of the new ones; A and K are the matrices after the convolution
    and of the residual; bias and scale have a row for each element, and mask one for each block of
    new features. The other arguments are those of ``forward`` and ``forward_table``.

    Parameters
    ----------
    coupling : Coupling
    taken : sequence of (int, int)
        Blocks of old features that are added to new ones: places among the inputs and the outputs.
    n_channels : int
    convolutions, features : str
        Modules of what `numba_source` and `feature_source` write.
    """
    c, inputs, outputs = n_channels, coupling.inputs, coupling.outputs
    n_gates = c * len(outputs)
    old, new, a, m, y = (
        [f"{letter}{n}" for n in range(count)]
        for letter, count in zip("XNAmy", [len(inputs), *[len(outputs)] * 4], strict=True)
    )
    k = [f"K{slot}" for slot in range(len(taken))]
    flat = [*old, *a, *k, "bias", "scale", "mask", *new]

    def of(array: str, atom: str, size: int) -> str:
        return f"{array}[{atom}*{size}:({atom} + 1)*{size}]"

    room, steps, of_atom = [], [], []
    for n, ir in enumerate(outputs):
        into, width = c * coupling.widths[n], c if n else n_gates
        room += [
            f"m{n} = np.empty({ATOMS_AT_ONCE * ir.dim * into}, S.dtype)",
            f"y{n} = np.empty({ATOMS_AT_ONCE * ir.dim * width}, S.dtype)",
        ]
        steps += [f"linear_{width}(m{n}, A{n}, y{n}, n*{ir.dim})"]
        mixed, result = of(y[n], "q", ir.dim * width), of(new[n], "atom", ir.dim * c)
        if n == 0:
            of_atom += [
                f"scalars({mixed}, {of('bias', 'element', n_gates)}, mask, g, p, bits, {result})"
            ]
        else:
            of_atom += [f"gated({mixed}, g[{n * c}:{(n + 1) * c}], {result})"]
    for slot, (at, n) in enumerate(taken):
        size = inputs[at].dim * c
        room += [f"{x}{slot} = np.empty({ATOMS_AT_ONCE * size}, S.dtype)" for x in "vz"]
        steps += [
            f"copy(X{at}[i*{size}:(i + n)*{size}], v{slot})",
            f"linear_{c}(v{slot}, K{slot}, z{slot}, n*{inputs[at].dim})",
        ]
        factors = of("scale", f"(element*{len(taken)} + {slot})", c)
        of_atom += [
            f"add_scaled({of(f'z{slot}', 'q', size)}, {factors}, {of(new[n], 'atom', size)})"
        ]

    before = [f"B{n}" for n in range(len(inputs))]
    dims = [ir.dim for ir in inputs]
    sends = [
        f"    send_block({x}, {b}, S, {dim}, {end - dim}, {sum(dims)}, first, last)"
        for x, b, dim, end in zip(old, before, dims, itertools.accumulate(dims), strict=True)
    ]

    def receive(name: str, convolution: str, weights: str) -> list[str]:
        return [
            "@compiled(nogil=True, fastmath=True)",
            f"def {name}(S, Y, {weights}, senders, start, {', '.join([*old, *a, *k])},",
            f"    bias, scale, mask, species, {', '.join(new)}, first, last):",
            *(f"    {array} = {array}.reshape(-1)" for array in flat),
            *("    " + line for line in room),
            f"    g, p = np.empty({n_gates}, S.dtype), np.empty({n_gates}, S.dtype)",
            "    bits = p.view(I)",
            f"    for i in range(first, last, {ATOMS_AT_ONCE}):",
            f"        n = min({ATOMS_AT_ONCE}, last - i)",
            # kernels that go by receiver do not look at the order of edges, nor at receivers
            f"        {convolution}(S, Y, {weights}, senders, senders, senders,",
            f"            start[i:i + n + 1], {', '.join(m)}, 0, n)",
            *("        " + line for line in steps),
            "        for q in range(n):",
            "            atom = i + q",
            "            element = species[atom]",
            *("            " + line for line in of_atom),
            "",
        ]

    return "\n".join(
        [
            "import numpy as np\nfrom ase_equivar.machine_code import compiled",
            f"from {convolutions} import forward, forward_table",
            f"from {features} import linear_{c}, linear_{n_gates}",
            f"from {features} import scalars, send_block, I",
            "from ase_equivar.network.kernels.feature_loops import add_scaled, copy, gated\n",
            "@compiled(nogil=True)",
            f"def send({', '.join([*old, *before])}, S, first, last):",
            *sends,
            "",
            *receive("receive", "forward", "w"),
            *receive("receive_table", "forward_table", "t, n_points, refinement, which, distances"),
        ]
    )
