"""Structures as a network sees them: one vector each, for telling how much they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.graph import build_graph, check_elements
from ase_equivar.network import Ensemble, GatedNetwork, Network


def structure_features(
    network: Network, images: Iterable[Atoms], elements: Sequence[int]
) -> NDArray[np.float64]:
    """Describe structures by the features of their atoms after the last interaction.

    Of each atom these are its scalars and the lengths of its vectors and tensors, channel by
    channel; they do not change when a structure is turned, mirrored or repeated. Averages over the
    atoms of each element stand side by side, times the square root of the element's share.

    Parameters
    ----------
    network : torch.nn.Module
        One with gates, or an ensemble of such, as `load_model` gives it.
    images : iterable of ase.Atoms
    elements : sequence of int
        Atomic numbers that occur, in the order of their averages.

    Returns
    -------
    ndarray, shape=(F, D)

    Raises
    ------
    ValueError
        If the network is of another kind, or a structure has an element that it does not know, or
        that is not among `elements`.
    """
    if not isinstance(network, GatedNetwork | Ensemble):
        raise ValueError(
            f"only networks with gates have features to compare; this is a {type(network).__name__}"
        )
    weight = next(network.parameters())
    rows = []
    with last_features(network) as found:
        for atoms in images:
            check_elements(atoms, network.elements)
            if missing := set(atoms.numbers.tolist()) - set(elements):
                raise ValueError(f"elements has no {sorted(missing)}, which the structures have")
            graph = build_graph(atoms, network.cutoff, dtype=weight.dtype).to(weight.device)
            found.clear()
            with torch.inference_mode():
                network(graph)
            vectors = torch.cat(found, dim=1).cpu().double().numpy()[graph.places]
            rows.append(_averages(vectors, atoms.numbers, elements))
    return np.array(rows)


@contextmanager
def last_features(network: GatedNetwork | Ensemble) -> Iterator[list[torch.Tensor]]:
    """Collect what comes out of the last interaction of each network while the context lasts.

    Yields
    ------
    list of Tensor, shape (N, …)
        Invariants of the atoms in the order of the graph, one entry for each member of an ensemble;
        they accumulate with every call.
    """
    found: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, __: Any, blocks: list[torch.Tensor]) -> None:
        parts = [
            # norm would take several times as long, along this axis
            block[:, 0] if block.shape[1] == 1 else block.square().sum(dim=1).sqrt()
            for block in [one.detach() for one in blocks]
        ]
        found.append(torch.cat(parts, dim=1))

    members = network.members if isinstance(network, Ensemble) else [network]
    handles = [member.interactions[-1].register_forward_hook(keep) for member in members]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _averages(
    vectors: NDArray[np.float64], numbers: NDArray[np.int_], elements: Sequence[int]
) -> NDArray[np.float64]:
    parts = []
    for element in elements:
        own = vectors[numbers == element]
        share = len(own) / len(vectors)
        parts.append(own.mean(axis=0) * share**0.5 if len(own) else np.zeros(vectors.shape[1]))
    return np.concatenate(parts)
