"""A whole interaction of the gated network on a CPU, without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from ase_equivar.compile_cache import load_source
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.radial_table import RadialTable
from ase_equivar.network.kernels.interaction_source import feature_source, interaction_source
from ase_equivar.network.kernels.launch_numba import (
    MIN_EDGES_PER_THREAD_FAST,
    VERSION,
    convolution_kernels,
    share_out,
)


@dataclass(frozen=True)
class InteractionSteps:
    """Definition of an interaction without its bonds and atoms.

    Attributes
    ----------
    coupling : Coupling
    taken : tuple of (int, int)
        Blocks of old features that are added to new ones: indices among inputs and outputs.
    before, after, skip : sequence of ndarray, shapes (channels in, channels out)
        Matrices before the convolution, after it, and for the blocks taken.
    bias : ndarray, shape (n_elements, n_blocks · C)
        Added to the input of the gates.
    scale : ndarray, shape (n_elements, len(taken) · C)
        Factors of the blocks taken.
    mask : ndarray, shape (n_blocks, C)
        Factors of the new features, usually 1.
    """

    coupling: Coupling
    taken: tuple[tuple[int, int], ...]
    before: Sequence[NDArray[Any]]
    after: Sequence[NDArray[Any]]
    skip: Sequence[NDArray[Any]]
    bias: NDArray[Any]
    scale: NDArray[Any]
    mask: NDArray[Any]

    def send(self, blocks: Sequence[Tensor], out: Tensor, starts: Tensor) -> None:
        """Fill `out` (N, input_dim, C) with the features that atoms send.

        Atoms are divided among threads by their edges, of which `starts` gives the first ones.
        """
        arguments: list[Tensor | NDArray[Any]] = [*blocks, *self.before, out]
        share_out(self._kernels.send, arguments, starts, MIN_EDGES_PER_THREAD_FAST)

    def receive(
        self,
        sent: Tensor,
        bonds: Bonds,
        weights: Tensor | RadialTable,
        blocks: Sequence[Tensor],
        species: Tensor,
        out: Sequence[Tensor],
    ) -> None:
        """Fill `out` with new features of the receivers of some bonds.

        Parameters
        ----------
        sent : Tensor, shape (N_senders, input_dim, C)
        bonds : Bonds
        weights : Tensor, shape (E, n_paths, C), or RadialTable
            Of the bonds.
        blocks : sequence of Tensor, shapes (N_receivers, 2l+1, C)
            Old features.
        species : Tensor of int64, shape (N_receivers,)
            Rows of `bias` and `scale`.
        out : sequence of Tensor, shapes (N_receivers, 2l+1, C)
        """
        edges = bonds.edges
        numbers: list[Tensor | int]
        if isinstance(weights, Tensor):
            kernel, numbers = self._kernels.receive, [weights]
        else:
            kernel = self._kernels.receive_table
            numbers = [weights.values, weights.values.shape[1], weights.refinement]
            numbers += [bonds.kinds, bonds.distances]
        own = [*self.after, *self.skip, self.bias, self.scale, self.mask]
        bonded = [sent, bonds.harmonics, *numbers, edges.senders, edges.receiver_starts]
        share_out(kernel, [*bonded, *blocks, *own, species, *out], edges.receiver_starts)

    @property
    def _kernels(self) -> ModuleType:
        return interaction_kernels(
            self.coupling, self.taken, self.mask.shape[1], self.mask.dtype.name
        )


@cache
def interaction_kernels(
    coupling: Coupling, taken: tuple[tuple[int, int], ...], n_channels: int, scalar: str
) -> ModuleType:
    """Return the module compiled from `interaction_source`."""
    convolutions = convolution_kernels(coupling, n_channels, scalar)
    source = feature_source(n_channels, len(coupling.outputs), scalar)
    features = load_source("features", VERSION, source)
    names = convolutions.__name__, features.__name__
    source = interaction_source(coupling, taken, n_channels, *names)
    return load_source("interaction", VERSION, source)
