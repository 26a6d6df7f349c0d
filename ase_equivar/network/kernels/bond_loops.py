"""Loops over the bonds of some atoms, compiled by numba; see `bonds`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_equivar.machine_code import compiled


@compiled(nogil=True, error_model="numpy")
def directions(
    vectors: Any, start: Any, scales: Any, distances: Any, harmonics: Any, first: int, last: int
) -> None:
    """Fill in lengths, and harmonics by recursion in their degree, in double precision.

    `scales` (l_max + 1, l_max + 1) has the factors of `irreps.harmonic_scales`, by degree and
    order; the azimuth is counted from z to x about the y axis.
    """
    l_max = len(scales) - 1
    for e in range(start[first], start[last]):
        x, y, z = vectors[e, 0], vectors[e, 1], vectors[e, 2]
        # rounded as torch rounds, at each step to the precision of the array: networks run
        # literally then see the same distances, and Gaussians, which are narrow, the same weights
        distances[e] = x * x
        distances[e] = np.float64(y) * y + distances[e]
        distances[e] = np.float64(z) * z + distances[e]
        distances[e] = np.sqrt(distances[e])
        u, v, w = np.float64(x), np.float64(y), np.float64(z)
        r = np.sqrt(u * u + v * v + w * w)
        u, v, w = u / r, v / r, w / r
        cosine, sine, top = 1.0, 0.0, 1.0  # of m times the azimuth, times sin^m of the polar angle
        for m in range(l_max + 1):
            below, legendre = 0.0, top
            for degree in range(m, l_max + 1):
                middle, value = degree * (degree + 1), scales[degree, m] * legendre
                harmonics[e, middle - m] = value * sine
                harmonics[e, middle + m] = value * cosine  # last: the only one for m = 0
                above = ((2 * degree + 1) * v * legendre - (degree + m) * below) / (degree + 1 - m)
                below, legendre = legendre, above
            top *= 2 * m + 1
            cosine, sine = cosine * w - sine * u, cosine * u + sine * w


@compiled(nogil=True)
def pairs(
    senders: Any, start: Any, species: Any, present: Any, codes: Any, first: int, last: int
) -> None:
    """Assign each bond the number of its pair of elements; mark it in `present` (n_elements²,)."""
    n_elements = int(len(present) ** 0.5 + 0.5)
    for i in range(first, last):
        for e in range(start[i], start[i + 1]):
            code = species[senders[e]] * n_elements + species[i]
            codes[e] = code
            present[code] = True
