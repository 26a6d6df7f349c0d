"""Functions of bonds on a CPU, without gradients: one pass each, shared out over threads."""

from __future__ import annotations

import itertools
from functools import cache
from types import ModuleType

import numba
import numpy as np
import torch
from torch import Tensor

from ase_equivar.compile_cache import load_source
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.irreps import spherical_harmonics
from ase_equivar.network.kernels.launch_numba import MIN_EDGES_PER_THREAD_FAST, share_out
from ase_equivar.network.kernels.terms import scalar_name


def distances_and_harmonics(
    edges: EdgeIndex, vectors: Tensor, l_max: int, factor: float
) -> tuple[Tensor, Tensor]:
    """Work out lengths (E,) of vectors (E, 3), and `irreps.spherical_harmonics` times a factor."""
    distances = vectors.new_empty(len(vectors))
    harmonics = vectors.new_empty(len(vectors), (l_max + 1) ** 2)
    kernel, start = _kernels(l_max, factor, vectors.dtype).directions, edges.receiver_starts
    arguments = [vectors.contiguous(), start, distances, harmonics]
    share_out(kernel, arguments, start, MIN_EDGES_PER_THREAD_FAST)
    return distances, harmonics


def pairs_of_elements(
    edges: EdgeIndex, species_index: Tensor, n_elements: int
) -> tuple[Tensor, Tensor]:
    """Give what `network.bonds.pairs_of_elements` does."""
    codes = torch.empty_like(edges.senders)
    present = torch.zeros(n_elements**2, dtype=torch.bool)
    kernel, start = _kernels(0, 1.0, torch.float32).pairs, edges.receiver_starts
    arguments = [edges.senders, start, species_index, present, codes]
    share_out(kernel, arguments, start, MIN_EDGES_PER_THREAD_FAST)
    which = (np.cumsum(present.numpy()) - 1)[codes.numpy()]
    return present.nonzero().flatten(), torch.from_numpy(which)


@cache
def _kernels(l_max: int, factor: float, dtype: torch.dtype) -> ModuleType:
    source = bonds_source(l_max, factor, scalar_name(dtype))
    return load_source("bonds", numba.__version__, source)


def bonds_source(l_max: int, factor: float, scalar: str) -> str:
    """Write the kernels as Python; harmonics are worked out in double precision.

    On the unit sphere a harmonic of degree l is one polynomial of which all terms have degree l:
    its coefficients are found from values of `irreps.spherical_harmonics`.
    """
    directions = np.random.default_rng(0).normal(size=(50 * (l_max + 1), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = spherical_harmonics(torch.from_numpy(directions), l_max).numpy()
    lines = []
    for degree in range(l_max + 1):
        powers = [p for p in itertools.product(range(degree + 1), repeat=3) if sum(p) == degree]
        monomials = np.stack([(directions**p).prod(axis=1) for p in powers], axis=1)
        columns = range(degree**2, (degree + 1) ** 2)
        coefficients = np.linalg.lstsq(monomials, values[:, columns], rcond=None)[0]
        for column, numbers in zip(columns, coefficients.T, strict=True):
            terms = [
                "*".join([repr(factor * number), *"x" * p, *"y" * q, *"z" * r])
                for number, (p, q, r) in zip(numbers.tolist(), powers, strict=True)
                if abs(number) > 1e-10
            ]
            lines.append(f"            harmonics[e, {column}] = {' + '.join(terms)}")
    return "\n".join(
        [
            "import numpy as np\nfrom ase_equivar.machine_code import compiled",
            "from numpy import float64 as D",
            f"from numpy import {scalar} as F\n",
            "@compiled(nogil=True, error_model='numpy')",
            "def directions(vectors, start, distances, harmonics, first, last):",
            "    for e in range(start[first], start[last]):",
            "        x, y, z = D(vectors[e, 0]), D(vectors[e, 1]), D(vectors[e, 2])",
            # rounded as torch rounds: networks run literally then see the same distances, and
            # Gaussians of the published one, which are narrow, the same weights
            "        distances[e] = np.sqrt(F(z*z + F(y*y + F(x*x))))",
            "        r = np.sqrt(x*x + y*y + z*z)",
            "        x, y, z = x/r, y/r, z/r",
            *(line[4:] for line in lines),
            "",
            "@compiled(nogil=True)",
            "def pairs(senders, start, species, present, codes, first, last):",
            "    n = int(len(present)**0.5 + 0.5)",
            "    for i in range(first, last):",
            "        for e in range(start[i], start[i + 1]):",
            "            code = species[senders[e]]*n + species[i]",
            "            codes[e] = code",
            "            present[code] = True",
            "",
        ]
    )
