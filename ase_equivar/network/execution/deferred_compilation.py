"""Z* by PyTorch alone until it pays to compile the kernels of a network.

On a machine whose cache has no kernels for a network, the first prediction of a small crystal
would take seconds of compilation. PyTorch gives the same numbers to rounding (1e-6 of the largest
weight, where kernels interpolate weights), at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from ase_equivar.compile_cache import KernelNotKeptError, only_kept_kernels

logger = logging.getLogger(__name__)

MOST_EDGES = 200_000
"""Edges that PyTorch works on, in all calls of a network together, before kernels are compiled:
by then it has taken a third of the time of compilation longer than kernels would have."""

_Result = TypeVar("_Result")


class DeferredCompilation:
    """Runs a network by the kernels of the cache, or by PyTorch, or compiles what is missing.

    What is done depends on the cache and on the structures that went before, never on time: a run
    that begins without kernels changes over at one of its steps, and a later one, which has them,
    gives the same numbers to rounding.

    Parameters
    ----------
    network : torch.nn.Module
    is_possible : bool
        Whether the network may run by kernels of the CPU or by PyTorch, as seems best. If not, it
        runs as it is.
    """

    def __init__(self, network: Any, is_possible: bool) -> None:
        self._network = network
        self._chosen = getattr(network, "backend", None)
        self._by_torch, self._by_kernels, self._is_over = False, False, not is_possible
        self._edges_left = MOST_EDGES

    @property
    def backend(self) -> str | None:
        """What replaces kernels now: "torch" or None."""
        return "torch" if self._by_torch else None

    @property
    def is_pending(self) -> bool:
        """Whether it is not known yet that this network runs by kernels."""
        return not (self._is_over or self._by_kernels)

    def run(self, work: Callable[[], _Result], n_edges: int) -> _Result:
        """Call a function that runs the network.

        Parameters
        ----------
        work : callable
        n_edges : int
            Directed edges of the structures that it runs the network on.
        """
        if self._is_over:
            return work()
        if not self._by_torch:
            try:
                with only_kept_kernels():
                    found = work()
                self._by_kernels = True
                return found
            except KernelNotKeptError:
                self._by_torch, self._by_kernels = True, False
                logger.info(
                    "kernels for this model are not in the cache: PyTorch computes Z*, the same "
                    "to rounding, until it pays to compile them"
                )
        self._edges_left -= n_edges
        if self._edges_left < 0:
            self._by_torch, self._is_over = False, True
            return work()
        self._network.backend = "torch"
        try:
            return work()
        finally:
            self._network.backend = self._chosen
