"""Functions of all bonds of a graph, and the decision to use tables of weights instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ase_equivar.network.execution.backends import is_compiled, used_backend
from ase_equivar.network.execution.chunking import concatenate_chunks
from ase_equivar.network.execution.edge_index import Chunk, EdgeIndex
from ase_equivar.network.execution.radial_table import SHORTEST, RadialTable
from ase_equivar.network.irreps import spherical_harmonics

# Distances in a table, and how many steps of an MD may pay them off: those of two elements and 5 Å
# are made in some 20 milliseconds, those of three in some 40.
SMALL_TABLES = ((3200, 8), (7200, 4))


@dataclass(frozen=True)
class Bonds:
    """Edges of a graph and functions of them.

    Attributes
    ----------
    edges : EdgeIndex
    distances : Tensor, shape (E,), Å
    harmonics : Tensor, shape (E, (l_max + 1)²)
    kinds : Tensor of int64, shape (E,)
        Index of the function in a table for each bond.
    radial, envelope : Tensor, shapes (E, R) and (E,)
        Functions of the distance; empty if tables replace everything derived from them.
    """

    edges: EdgeIndex
    distances: Tensor
    harmonics: Tensor
    kinds: Tensor
    radial: Tensor
    envelope: Tensor

    @classmethod
    def described(
        cls,
        edges: EdgeIndex,
        distances: Tensor,
        harmonics: Tensor,
        kinds: Tensor,
        functions: Callable[[Tensor], tuple[Tensor, Tensor]] | None,
    ) -> Bonds:
        """Return bonds with `radial` and `envelope` from functions; None if there are tables."""
        radial, envelope = functions(distances) if functions else (distances[:0], distances[:0])
        return cls(edges, distances, harmonics, kinds, radial, envelope)

    def take(self, chunk: Chunk) -> Bonds:
        """Return the bonds of some receivers."""
        return Bonds(
            chunk.index,
            self.distances[chunk.edges],
            self.harmonics[chunk.edges],
            self.kinds[chunk.edges],
            self.radial[chunk.edges],
            self.envelope[chunk.edges],
        )


def distances_and_harmonics(
    edges: EdgeIndex, vectors: Tensor, l_max: int, backend: str, factor: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return lengths (E,) of all bonds, and `irreps.spherical_harmonics` times a factor."""
    if torch.is_grad_enabled():
        return _lengths(vectors), spherical_harmonics(vectors, l_max) * factor
    if used_backend(backend, vectors.device) == "numba":
        from ase_equivar.network.kernels import bonds  # compiles

        return bonds.distances_and_harmonics(edges, vectors, l_max, factor)

    def harmonics(chunk: Chunk) -> list[Tensor]:  # some twenty numbers per bond on the way
        return [spherical_harmonics(vectors[chunk.edges], l_max) * factor]

    [found] = concatenate_chunks(edges, harmonics, by_edge=True)
    return _lengths(vectors), found


def _lengths(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths


def pairs_of_elements(
    edges: EdgeIndex, species_index: Tensor, n_elements: int, backend: str
) -> tuple[Tensor, Tensor]:
    """Return the pairs of elements that have bonds.

    Returns
    -------
    pairs : Tensor of int64, shape (P,)
        Element of the sender times `n_elements`, plus that of the receiver; ascending.
    which : Tensor of int64, shape (E,)
        Index of the pair of each bond.
    """
    if used_backend(backend, species_index.device) == "numba":
        from ase_equivar.network.kernels import bonds  # compiles

        return bonds.pairs_of_elements(edges, species_index, n_elements)
    codes = species_index[edges.senders] * n_elements + species_index[edges.receivers]
    # what torch.unique gives, without sorting the edges
    present = torch.zeros(n_elements**2, dtype=torch.bool, device=codes.device)
    present[codes] = True
    return present.nonzero().flatten(), (present.cumsum(0) - 1)[codes]


def use_radial_table(
    distances: Tensor, n_kinds: int, cutoff: float, backend: str, uses: int = 1
) -> bool:
    """Whether tables are accurate enough, and cheaper than weights for individual bonds.

    Usually tables are calculated from fewer distances than the graph has edges. Those of two or
    three elements may need several times as many: the next MD steps reuse them, and a loop over
    crystals loses little. The decision depends on the graph only, not on earlier ones, so that a
    restarted run is identical bit for bit.

    Parameters
    ----------
    distances : Tensor, shape (E,), Å
    n_kinds : int
        Number of functions in a table.
    cutoff : float
        Largest distance in Å.
    backend : str
        As in `backends.used_backend`.
    uses : int
        Number of passes over the bonds that need their weights, forward and backward.
    """
    size = 2 * max(n_kinds, 1) * RadialTable.n_points(cutoff)  # with the middles
    uses *= next((steps for largest, steps in SMALL_TABLES if size <= largest), 1)
    return (
        is_compiled(backend, distances.device)
        and distances.dtype == torch.float32
        and len(distances) * uses >= size
        and float(distances.detach().min()) >= SHORTEST
    )
