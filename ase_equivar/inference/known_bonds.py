"""Pairs of atoms that the training data lack: closer than any there, or not bonded there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from ase_equivar.graph import Graph

SHORT = 0.8
"""Fraction of the shortest distance in the training data below which a pair is unusual. Thermal
motion in water, or in crystals at 600 K, does not bring atoms as close."""
NEAR = 1.3
"""Multiple of the sum of covalent radii beyond which a pair is ignored: elements that never come
within the cutoff of each other in the training data are nothing unusual, unless they are bonded."""
N_NUMBERS = 119


@dataclass(frozen=True)
class UnusualPair:
    """Two atoms that are closer than the training data cover.

    Attributes
    ----------
    atoms : tuple of int
        Indices in the structure.
    symbols : tuple of str
    distance : float
        Å.
    shortest : float or None
        Shortest distance of these elements in the training data, Å; None if they never come within
        the cutoff there.
    """

    atoms: tuple[int, int]
    symbols: tuple[str, str]
    distance: float
    shortest: float | None

    @property
    def relative_distance(self) -> float:
        """The distance over the shortest one in the training data; 0 if there is none."""
        return 0.0 if self.shortest is None else self.distance / self.shortest

    def describe(self, cutoff: float) -> str:
        """Return what the training data lack, as part of a sentence."""
        pair = f"{'–'.join(self.symbols)} (atoms {self.atoms[0]} and {self.atoms[1]})"
        if self.shortest is None:
            return f"no {pair} within {cutoff:g} Å"
        return f"no {pair} closer than {self.shortest:.2f} Å, and here it is {self.distance:.2f} Å"


@dataclass(frozen=True)
class KnownBonds:
    """The shortest distance of each pair of elements in the training data.

    Attributes
    ----------
    shortest : ndarray, shape (119, 119)
        Å, by atomic numbers, symmetric; infinite where no pair comes within the cutoff.
    """

    shortest: NDArray[np.float64]

    @classmethod
    def of(cls, graphs: list[Graph]) -> KnownBonds:
        """Find the shortest distances in some graphs."""
        shortest = np.full((N_NUMBERS, N_NUMBERS), np.inf)
        for graph in graphs:
            numbers = graph.numbers.numpy()
            pair = numbers[graph.senders.numpy()], numbers[graph.receivers.numpy()]
            np.minimum.at(shortest, pair, graph.vectors.norm(dim=1).double().numpy())
        return cls(np.minimum(shortest, shortest.T))

    def unusual(self, graph: Graph) -> tuple[UnusualPair, ...]:
        """Return the worst pair of atoms of each two elements, of those that are unusual.

        Parameters
        ----------
        graph : Graph
            Of one structure.
        """
        numbers = graph.numbers.cpu().numpy()
        senders, receivers = graph.senders.cpu().numpy(), graph.receivers.cpu().numpy()
        distances = graph.vectors.norm(dim=1).cpu().double().numpy()
        wrong = np.flatnonzero(distances < self._limits[numbers[senders], numbers[receivers]])
        if not wrong.size:
            return ()
        senders, receivers, distances = senders[wrong], receivers[wrong], distances[wrong]
        ends = numbers[senders], numbers[receivers]
        low, high = np.minimum(*ends), np.maximum(*ends)
        ratios = distances / self.shortest[low, high]  # 0 where the pair was never seen
        # the order of the structure: atoms of large graphs are sorted
        places = np.empty(graph.n_atoms, dtype=np.int64)
        places[np.arange(graph.n_atoms)[graph.places]] = np.arange(graph.n_atoms)
        found: dict[tuple[int, int], UnusualPair] = {}
        for edge in np.lexsort((distances, ratios)):
            pair = int(low[edge]), int(high[edge])
            if pair in found:
                continue
            both = sorted((int(senders[edge]), int(receivers[edge])), key=lambda k: numbers[k])
            first, second = (int(places[atom]) for atom in both)
            shortest = self.shortest[pair]
            found[pair] = UnusualPair(
                (first, second),
                (chemical_symbols[pair[0]], chemical_symbols[pair[1]]),
                float(distances[edge]),
                float(shortest) if np.isfinite(shortest) else None,
            )
        return tuple(found.values())

    @cached_property
    def _limits(self) -> NDArray[np.float64]:
        """Distance below which a pair is unusual, Å, by atomic numbers."""
        bonds = covalent_radii[:N_NUMBERS, None] + covalent_radii[:N_NUMBERS]
        return np.minimum(SHORT * self.shortest, NEAR * bonds)
