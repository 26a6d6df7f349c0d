"""The compiled loop of `open_search`."""

from __future__ import annotations

from typing import Any

from ase_equivar.machine_code import compiled


@compiled(nogil=True)
def around(
    positions: Any,
    boxes: Any,
    starts: Any,
    order: Any,
    sorted_positions: Any,
    cutoff: float,
    offsets: Any,
    neighbors: Any,
    vectors: Any,
) -> tuple[int, int, float]:
    """Fill in the neighbors of the first atoms; return the closest two and their distance.

    Parameters
    ----------
    positions, boxes : ndarray, shapes (n, 3)
        Of the atoms whose neighbors are wanted; `boxes` has the indices of boxes at least as wide
        as the cutoff.
    starts : ndarray, shape (X, Y, Z + 1)
        Where the atoms of each box start in `order`; the last of each row, where they end.
    order, sorted_positions : ndarray, shapes (N,) and (N, 3)
        All atoms by boxes, and their positions.
    cutoff : float
    offsets : ndarray, shape (n + 1,)
        Where the neighbors of each atom start. If `neighbors` is empty, it is filled in.
    neighbors, vectors : ndarray, shapes (E,) and (E, 3)
    """
    filling = len(neighbors) > 0
    n, first, second, least = 0, -1, -1, cutoff * cutoff
    n_x, n_y, n_z = starts.shape[0], starts.shape[1], starts.shape[2] - 1
    for i in range(len(positions)):
        u, v, w = positions[i, 0], positions[i, 1], positions[i, 2]
        low, high = max(boxes[i, 2] - 1, 0), min(boxes[i, 2] + 2, n_z)
        for a in range(max(boxes[i, 0] - 1, 0), min(boxes[i, 0] + 2, n_x)):
            for b in range(max(boxes[i, 1] - 1, 0), min(boxes[i, 1] + 2, n_y)):
                for k in range(starts[a, b, low], starts[a, b, high]):
                    x = sorted_positions[k, 0] - u
                    y = sorted_positions[k, 1] - v
                    z = sorted_positions[k, 2] - w
                    square = x * x + y * y + z * z
                    if square <= cutoff * cutoff and order[k] != i:
                        if filling:
                            neighbors[n] = order[k]
                            vectors[n, 0], vectors[n, 1], vectors[n, 2] = x, y, z
                            if first < 0 or square < least:
                                first, second, least = i, order[k], square
                        n += 1
        if not filling:
            offsets[i + 1] = n
    return first, second, least**0.5
