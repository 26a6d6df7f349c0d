"""The compiled loop of `neighbors.filter_pairs`."""

from __future__ import annotations

from typing import Any

from ase_equivar.machine_code import compiled


# Products and sums in the order of the source, so that a pair has the same vector in every list.
@compiled(nogil=True)
def near(
    positions: Any,
    cell: Any,
    i: Any,
    j: Any,
    shifts: Any,
    cutoff: float,
    centers: Any,
    neighbors: Any,
    vectors: Any,
) -> tuple[int, int, float]:
    """Fill in the pairs within the cutoff; return their number, the closest and its distance."""
    n, closest, least = 0, -1, cutoff * cutoff
    for e in range(len(i)):
        a, b = i[e], j[e]
        s, t, u = shifts[e, 0], shifts[e, 1], shifts[e, 2]
        x = positions[b, 0] - positions[a, 0] + (s * cell[0, 0] + t * cell[1, 0] + u * cell[2, 0])
        y = positions[b, 1] - positions[a, 1] + (s * cell[0, 1] + t * cell[1, 1] + u * cell[2, 1])
        z = positions[b, 2] - positions[a, 2] + (s * cell[0, 2] + t * cell[1, 2] + u * cell[2, 2])
        square = x * x + y * y + z * z
        if square <= cutoff * cutoff:
            centers[n], neighbors[n] = a, b
            vectors[n, 0], vectors[n, 1], vectors[n, 2] = x, y, z
            if n == 0 or square < least:
                closest, least = n, square
            n += 1
    return n, closest, least**0.5
