"""Senders and receivers of edges, and the orders in which kernels traverse them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


class EdgeIndex:
    """Senders and receivers, with the orders in which kernels traverse the edges.

    Parameters
    ----------
    senders, receivers : Tensor of int64, shape (E,)
        Receivers must ascend.
    n_senders, n_receivers : int
        Numbers of atoms that may send and that receive; equal for a whole graph.
    """

    def __init__(
        self, senders: Tensor, receivers: Tensor, n_senders: int, n_receivers: int
    ) -> None:
        self.senders = senders
        self.receivers = receivers
        self.n_senders = n_senders
        self.n_receivers = n_receivers
        self._by_sender: tuple[Tensor, Tensor] | None = None
        self._cut: tuple[int, list[Chunk]] | None = None
        self.receiver_starts = _starts(receivers, n_receivers)

    @property
    def by_sender(self) -> tuple[Tensor, Tensor]:
        """Edges ordered by sender, and where each sender's edges start (for the backward pass)."""
        if self._by_sender is None:
            order = torch.argsort(self.senders, stable=True)
            self._by_sender = order, _starts(self.senders, self.n_senders)
        return self._by_sender

    def chunks(self, max_edges: int) -> list[Chunk]:
        """Divide into ranges of receivers with about `max_edges` edges each (at least one atom)."""
        n_edges = len(self.senders)
        if n_edges <= max_edges:
            return [Chunk(slice(0, self.n_receivers), slice(0, n_edges), self)]
        if self._cut is None or self._cut[0] != max_edges:  # every layer asks for the same
            self._cut = max_edges, list(self._runs(max_edges))
        return self._cut[1]

    def _runs(self, max_edges: int) -> Iterator[Chunk]:
        starts = self.receiver_starts.cpu()
        first = 0
        while first < self.n_receivers:
            target = starts[first] + max_edges
            last = int(torch.searchsorted(starts, target, right=True)) - 1
            last = min(max(last, first + 1), self.n_receivers)
            edges = slice(int(starts[first]), int(starts[last]))
            yield Chunk(
                atoms=slice(first, last),
                edges=edges,
                index=EdgeIndex(
                    self.senders[edges],
                    self.receivers[edges] - first,
                    self.n_senders,
                    last - first,
                ),
            )
            first = last


@dataclass(frozen=True)
class Chunk:
    """Some receivers of a graph, and all their edges.

    Attributes
    ----------
    atoms, edges : slice
        Atoms and edges of the graph in this chunk.
    index : EdgeIndex
        Receivers are counted from the first of these atoms, senders as in the graph.
    """

    atoms: slice
    edges: slice
    index: EdgeIndex


def _starts(index: Tensor, size: int) -> Tensor:
    """Offsets (size + 1,) of the groups of a sorted index with these values."""
    counts = torch.bincount(index, minlength=size)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
