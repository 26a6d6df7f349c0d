"""Gate: the compiled kernels work on several channels at a time.

    python benchmarks/vectorized.py

Counts products of vectors in the code that the compiler has made: at least as many as a kernel has
terms. If two arrays may overlap, the compiler makes none, and a kernel takes several times as long.
Fails, with exit status 1, where a kernel has too few.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.radial_table import SHORTEST
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.kernels.interaction import interaction_kernels
from ase_equivar.network.kernels.launch_numba import convolution_kernels
from ase_equivar.network.kernels.terms import write_lines

N_CHANNELS = 32


def zeros(*shape: int) -> np.ndarray:
    """Room for features."""
    return np.zeros((*shape, N_CHANNELS), np.float32)


def convolutions(coupling: Coupling) -> Iterator[tuple[str, int, int]]:
    """Run each kernel of a convolution; its name, vector products found, and wanted."""
    module = convolution_kernels(coupling, N_CHANNELS, "float32")
    x, w = zeros(2, coupling.input_dim), zeros(1, len(coupling.paths))
    blocks = [zeros(2, len(block)) for block in coupling.blocks]
    first, distance = np.zeros(1, int), np.array([SHORTEST], np.float32)
    harmonics, start = np.zeros((1, 9), np.float32), np.array([0, 1, 1])
    plain = (x, harmonics, w)
    tabulated = (x, harmonics, zeros(2, 3, len(coupling.paths)), 2, 1, first, distance)
    one = [block[None] for block in blocks]  # gradients of one function
    n_terms = len(write_lines(coupling, repr).entries)
    for name, arguments, out in (
        ("forward", plain, blocks),
        ("grad_weights", (*plain, *blocks), [w.copy()]),
        ("grad_features", (*plain, *blocks), [x.copy()]),
        ("grad_harmonics", (*plain, *blocks), [harmonics.copy()]),
        ("forward_table", tabulated, blocks),
        ("grad_features_table", (*tabulated, *one), [x[None].copy()]),
        ("grad_bonds_table", (*tabulated, *one), [harmonics[None], np.zeros((1, 1), np.float32)]),
    ):
        kernel = getattr(module, name)
        kernel(*arguments, first, first, first, start, *out, 0, 2)
        yield name, vector_products(kernel), n_terms


def sending(coupling: Coupling) -> tuple[str, int, int]:
    """Run the product of features with a matrix."""
    taken = tuple((n, n) for n in range(len(coupling.inputs)))
    module: ModuleType = interaction_kernels(coupling, taken, N_CHANNELS, "float32")
    x, out = zeros(20, 3), zeros(20, 3)
    module.send_block(x, zeros(N_CHANNELS), out, 3, 0, 3, 0, 20)
    return "send_block", vector_products(module.send_block), 16


def vector_products(kernel: Any) -> int:
    """Count them in the code of a kernel that has run with one kind of arguments."""
    [code] = kernel.inspect_llvm().values()
    return len(re.findall(r"= fmul .*<\d+ x float>", code))


def main() -> int:
    """Print a line for each kernel, and tell how many have too few."""
    irreps = tuple(map(Irrep.parse, ("0e", "1o", "2e")))
    coupling = Coupling(irreps, irreps, 2)
    failed = 0
    for name, found, wanted in (*convolutions(coupling), sending(coupling)):
        failed += found < wanted
        print(f"{name:>20} {found:5} products of vectors, at least {wanted} wanted")
    return 1 if failed else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as empty:  # code out of a cache cannot be looked at
        os.environ["XDG_CACHE_HOME"] = empty
        sys.exit(main())
