"""Atoms to graph: one structure, or several concatenated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.graph.morton_order import morton_sort
from ase_equivar.graph.neighbors import MOST_KEPT, NeighborSearch, Pairs
from ase_equivar.structures.validation import check_elements, check_structure

MIN_DISTANCE = 0.5  # Å; closer atoms are an error in the input


@dataclass(frozen=True)
class Graph:
    """One structure, or several concatenated.

    Attributes
    ----------
    numbers : torch.Tensor
        Atomic numbers, int64, shape=(N,).
    senders : torch.Tensor
        Neighbor j of each edge, whose features are sent. int64, shape=(E,).
    receivers : torch.Tensor
        Center i of each edge, which sums the messages. int64, ascending, shape=(E,).
    vectors : torch.Tensor
        r_j (of that image) − r_i in Å. Floating point, shape=(E, 3).
    structure : torch.Tensor
        Index of the structure that each atom belongs to. int64, ascending, shape=(N,).
    n_structures : int
        Number of structures, S.
    latent : tuple of torch.Tensor, optional
        Features of each atom in a pretrained potential, if calculated in advance; see
        `ase_equivar.network.sevennet.features`. Floating point, shapes (N, 2l+1, channels).
    n_foreign : int
        Number of atoms, the last ones, that belong to other processes and receive no edges.
    exchange : callable, optional
        For a structure shared by several processes, which must call it together: fills the rows of
        foreign atoms of an array (N, ...) from their owners. See `ase_equivar.engines.halo`.
    places : numpy.ndarray or slice
        Index in the graph of each atom of the structure, shape=(N,): values of the graph's atoms
        are reordered to the order of the structure by ``values[graph.places]``.
    """

    numbers: torch.Tensor
    senders: torch.Tensor
    receivers: torch.Tensor
    vectors: torch.Tensor
    structure: torch.Tensor
    n_structures: int
    latent: tuple[torch.Tensor, ...] | None = None
    n_foreign: int = 0
    exchange: Callable[[torch.Tensor], None] | None = None
    places: NDArray[np.int64] | slice = field(default_factory=lambda: slice(None))

    @property
    def n_atoms(self) -> int:
        """Number of atoms, N."""
        return len(self.numbers)

    @property
    def n_own(self) -> int:
        """Number of atoms that are not foreign."""
        return self.n_atoms - self.n_foreign

    @property
    def n_edges(self) -> int:
        """Number of directed edges, E: each pair within the cutoff counts twice."""
        return len(self.senders)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Graph:
        """Return the graph on another device; `dtype` applies to all floating-point tensors."""
        return replace(
            self,
            numbers=self.numbers.to(device=device),
            senders=self.senders.to(device=device),
            receivers=self.receivers.to(device=device),
            vectors=self.vectors.to(device=device, dtype=dtype),
            structure=self.structure.to(device=device),
            latent=None
            if self.latent is None
            else tuple(block.to(device=device, dtype=dtype) for block in self.latent),
        )


@dataclass(frozen=True)
class Geometry:
    """Snapshot of the inputs of a network from a structure; shapes as in `ase.Atoms`."""

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]

    @classmethod
    def of(cls, atoms: Atoms) -> Geometry:
        """Return the geometry of `atoms`; much faster than copying `atoms`."""
        arrays = atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc
        return cls(*(array.copy() for array in arrays))

    def is_of(self, atoms: Atoms) -> bool:
        """Whether a structure has exactly this geometry."""
        return (
            np.array_equal(self.positions, atoms.positions)
            and np.array_equal(self.numbers, atoms.numbers)
            and np.array_equal(self.cell, atoms.cell.array)
            and np.array_equal(self.pbc, atoms.pbc)
        )


def build_graph(
    atoms: Atoms,
    cutoff: float | NeighborSearch,
    *,
    dtype: torch.dtype = torch.float32,
    known: Collection[int] | None = None,
) -> Graph:
    """Connect every atom with all neighbors within a cutoff.

    All periodic images count, including those of the atom itself, so that cells smaller than the
    cutoff give the same results as their supercells. Positions need not lie inside the cell. The
    atoms of a large structure are sorted so that neighbors are close in memory; see `Graph.places`.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in 0 to 3 directions. Cell vectors along the others are ignored.
    cutoff : float or NeighborSearch
        Largest distance between connected atoms, Å; or a neighbor search to use.
    dtype : torch.dtype
        Type of `Graph.vectors`. Distances are always calculated in float64.
    known : collection of int, optional
        Atomic numbers of the elements that a model supports; others are refused.

    Returns
    -------
    Graph
        With one structure, on the device of the search; on the CPU if `cutoff` is a number.

    Raises
    ------
    ValueError
        See `check_atoms` and `check_elements`.
    """
    check_structure(atoms)
    if known is not None:
        check_elements(atoms, known)
    search = cutoff if isinstance(cutoff, NeighborSearch) else NeighborSearch(cutoff)
    # a list kept for the next MD step needs the order of the previous step
    order = morton_sort(atoms) if len(atoms) > MOST_KEPT else None
    pairs = search.pairs(atoms if order is None else atoms[order], dtype)
    check_distances(atoms, pairs, order)
    numbers = atoms.numbers if order is None else atoms.numbers[order]
    return Graph(
        numbers=torch.tensor(numbers, dtype=torch.int64, device=search.device),
        senders=pairs.neighbors,
        receivers=pairs.centers,
        vectors=pairs.vectors,
        structure=torch.zeros(len(atoms), dtype=torch.int64, device=search.device),
        n_structures=1,
        places=slice(None) if order is None else np.argsort(order),
    )


def check_atoms(atoms: Atoms) -> None:
    """Refuse a structure that is invalid for any model.

    Raises
    ------
    TypeError, ValueError
        As `ase_equivar.structures.validation.check_structure`; and if two atoms, or an atom and its
        own periodic image, are closer than 0.5 Å.
    """
    check_structure(atoms)
    check_distances(atoms, NeighborSearch(MIN_DISTANCE).pairs(atoms))


def check_distances(atoms: Atoms, pairs: Pairs, order: NDArray[np.int64] | None = None) -> None:
    """Refuse two atoms, or an atom and its own image, closer than 0.5 Å."""
    if pairs.closest is None:
        return
    i, j, distance = pairs.closest
    if order is not None:  # the order of the atoms in which the pairs were found
        i, j = int(order[i]), int(order[j])
    if distance >= MIN_DISTANCE:
        return
    pair = (
        f"atom {i} ({atoms.symbols[i]}) and its own periodic image"
        if i == j
        else f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]})"
    )
    raise ValueError(
        f"{pair} are {distance:.3f} Å apart, closer than {MIN_DISTANCE} Å; "
        "check positions, cell and units (Å)"
    )


def collate(graphs: Sequence[Graph]) -> Graph:
    """Concatenate several graphs; no edge joins two of them.

    Parameters
    ----------
    graphs : sequence of Graph
        At least one; all on one device, with `vectors` of the same dtype.

    Returns
    -------
    Graph
        With the structures numbered in the order given.
    """
    if not graphs:
        raise ValueError("collate needs at least one graph")
    first_atom = np.cumsum([0, *(graph.n_atoms for graph in graphs)]).tolist()
    first_structure = np.cumsum([0, *(graph.n_structures for graph in graphs)]).tolist()
    # The last entry of both lists is the total, which zip with the graphs leaves out.
    shifted = list(zip(graphs, first_atom, first_structure, strict=False))
    return Graph(
        numbers=torch.cat([graph.numbers for graph in graphs]),
        senders=torch.cat([graph.senders + atom for graph, atom, _ in shifted]),
        receivers=torch.cat([graph.receivers + atom for graph, atom, _ in shifted]),
        vectors=torch.cat([graph.vectors for graph in graphs]),
        structure=torch.cat([graph.structure + structure for graph, _, structure in shifted]),
        n_structures=first_structure[-1],
        latent=_collated([graph.latent for graph in graphs]),
        places=_collated_places(graphs),
    )


def _collated_places(graphs: Sequence[Graph]) -> NDArray[np.int64] | slice:
    """Concatenate places, numbered through all graphs, if the atoms of any are sorted."""
    if all(isinstance(graph.places, slice) for graph in graphs):
        return slice(None)
    first_atom = np.cumsum([0, *(graph.n_atoms for graph in graphs[:-1])])
    return np.concatenate(
        [
            first + np.arange(graph.n_atoms)[graph.places]
            for graph, first in zip(graphs, first_atom, strict=True)
        ]
    )


def _collated(
    blocks: Sequence[tuple[torch.Tensor, ...] | None],
) -> tuple[torch.Tensor, ...] | None:
    """Concatenate blocks of several graphs, if all have them."""
    there = [block for block in blocks if block is not None]
    if len(there) < len(blocks):
        return None
    return tuple(torch.cat(parts) for parts in zip(*there, strict=True))
