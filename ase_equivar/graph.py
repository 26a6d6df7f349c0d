"""Atoms to graph: one structure, or several laid end to end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from ase_equivar.near_pairs import Pairs
from ase_equivar.neighbours import NeighbourSearch

MIN_DISTANCE = 0.5  # Å; closer atoms are a mistake in the input, not chemistry
MIN_RELATIVE_VOLUME = 1e-6  # of the box with the same edge lengths and right angles


@dataclass(frozen=True)
class Graph:
    """One structure, or several laid end to end.

    Attributes
    ----------
    numbers : torch.Tensor
        Atomic numbers, int64, shape=(N,).
    senders : torch.Tensor
        Neighbour j of each edge, whose features travel. int64, shape=(E,).
    receivers : torch.Tensor
        Centre i of each edge, which sums what it gets. int64, ascending, shape=(E,).
    vectors : torch.Tensor
        r_j (of that image) − r_i in Å. Floating point, shape=(E, 3).
    structure : torch.Tensor
        Index of the structure that each atom belongs to. int64, ascending, shape=(N,).
    n_structures : int
        Number of structures, S.
    latent : tuple of torch.Tensor, optional
        What a pretrained potential knows of each atom, if that was worked out in advance; see
        `ase_equivar.network.latent`. Floating point, shapes (N, 2l+1, channels).
    """

    numbers: torch.Tensor
    senders: torch.Tensor
    receivers: torch.Tensor
    vectors: torch.Tensor
    structure: torch.Tensor
    n_structures: int
    latent: tuple[torch.Tensor, ...] | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms, N."""
        return len(self.numbers)

    @property
    def n_edges(self) -> int:
        """Number of directed edges, E: each pair within the cutoff counts twice."""
        return len(self.senders)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Graph:
        """Return the graph on another device; `dtype` is that of all but numbers."""
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


def check_atoms(atoms: Atoms) -> None:
    """Refuse a structure that no model could make sense of.

    Raises
    ------
    ValueError
        If there are no atoms; if a position or cell vector is not finite; if the cell vectors
        along periodic directions span no volume; if two atoms, or an atom and its own periodic
        image, are closer than 0.5 Å.
    """
    check_numbers_and_cell(atoms)
    _check_distances(atoms, NeighbourSearch(MIN_DISTANCE).pairs(atoms))


def check_elements(atoms: Atoms, known: Collection[int]) -> None:
    """Refuse elements that a model has never seen.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure.
    known : collection of int
        Atomic numbers of the elements in the model's training data.

    Raises
    ------
    ValueError
        Naming the unknown elements and listing the known ones.
    """
    present = set(atoms.numbers.tolist())
    unknown = sorted(present - set(known))
    if unknown:
        raise ValueError(
            f"the model has never seen {_symbols(unknown)} (in {_symbols(sorted(present))}); "
            f"it knows {_symbols(sorted(known))}"
        )


def build_graph(
    atoms: Atoms, cutoff: float | NeighbourSearch, *, dtype: torch.dtype = torch.float32
) -> Graph:
    """Connect every atom with all neighbours within a cutoff.

    All periodic images count, an atom's own among them, so that cells smaller than the cutoff
    are treated like any supercell of them. Positions need not lie inside the cell.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in 0 to 3 directions. Cell vectors along the others are ignored.
    cutoff : float or NeighbourSearch
        Largest distance of two connected atoms, Å; or what shall find them.
    dtype : torch.dtype
        Of `Graph.vectors`. Distances are always worked out in float64.

    Returns
    -------
    Graph
        With one structure, on the device of the search, which is the CPU for a mere number.

    Raises
    ------
    ValueError
        See `check_atoms`.
    """
    check_numbers_and_cell(atoms)
    search = cutoff if isinstance(cutoff, NeighbourSearch) else NeighbourSearch(cutoff)
    pairs = search.pairs(atoms, dtype)
    _check_distances(atoms, pairs)
    return Graph(
        numbers=torch.tensor(atoms.numbers, dtype=torch.int64, device=search.device),
        senders=pairs.neighbours,
        receivers=pairs.centres,
        vectors=pairs.vectors,
        structure=torch.zeros(len(atoms), dtype=torch.int64, device=search.device),
        n_structures=1,
    )


def collate(graphs: Sequence[Graph]) -> Graph:
    """Lay several graphs end to end; no edge joins two of them.

    Parameters
    ----------
    graphs : sequence of Graph
        On one device, with `vectors` of one dtype. At least one.

    Returns
    -------
    Graph
        With the structures counted through in the order given.
    """
    if not graphs:
        raise ValueError("collate needs at least one graph")
    first_atom = np.cumsum([0, *(graph.n_atoms for graph in graphs)]).tolist()
    first_structure = np.cumsum([0, *(graph.n_structures for graph in graphs)]).tolist()
    # The last entry of both lists is the total, left over when zipped with the graphs.
    shifted = list(zip(graphs, first_atom, first_structure, strict=False))
    return Graph(
        numbers=torch.cat([graph.numbers for graph in graphs]),
        senders=torch.cat([graph.senders + atom for graph, atom, _ in shifted]),
        receivers=torch.cat([graph.receivers + atom for graph, atom, _ in shifted]),
        vectors=torch.cat([graph.vectors for graph in graphs]),
        structure=torch.cat([graph.structure + structure for graph, _, structure in shifted]),
        n_structures=first_structure[-1],
        latent=_collated([graph.latent for graph in graphs]),
    )


def _collated(
    blocks: Sequence[tuple[torch.Tensor, ...] | None],
) -> tuple[torch.Tensor, ...] | None:
    """Lay blocks of several graphs end to end, if all have them."""
    there = [block for block in blocks if block is not None]
    if len(there) < len(blocks):
        return None
    return tuple(torch.cat(parts) for parts in zip(*there, strict=True))


def _symbols(numbers: Collection[int]) -> str:
    known = dict(enumerate(chemical_symbols))
    return ", ".join(known.get(number, f"number {number}") for number in numbers)


def check_numbers_and_cell(atoms: Atoms) -> None:
    """Do what `check_atoms` does but for the distances, which take a search."""
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms; give an Atoms object with at least one")
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        raise ValueError(
            f"the position of atom {index} ({atoms.symbols[index]}) is not finite: "
            f"{atoms.positions[index]}"
        )
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError(f"the cell has entries that are not finite: {atoms.cell.array.tolist()}")
    periodic = atoms.cell.array[atoms.pbc]
    lengths = np.linalg.norm(periodic, axis=1)
    volume = np.sqrt(max(np.linalg.det(periodic @ periodic.T), 0.0))
    if volume <= MIN_RELATIVE_VOLUME * lengths.prod():
        axes = ", ".join(axis for axis, on in zip("abc", atoms.pbc, strict=True) if on)
        raise ValueError(
            f"the structure is periodic along {axes}, but these cell vectors span no volume: "
            f"{periodic.tolist()}; set the cell, or pbc=False along directions without one"
        )


def _check_distances(atoms: Atoms, pairs: Pairs) -> None:
    if pairs.closest is None:
        return
    i, j, distance = pairs.closest
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
