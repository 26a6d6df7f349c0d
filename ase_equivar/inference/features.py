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
    members = list(network.members) if isinstance(network, Ensemble) else [network]
    weight = members[0].start.weight
    rows = []
    with _last_features(members) as found:
        for atoms in images:
            check_elements(atoms, network.elements)
            if missing := set(atoms.numbers.tolist()) - set(elements):
                raise ValueError(f"elements has no {sorted(missing)}, which the structures have")
            graph = build_graph(atoms, network.cutoff, dtype=weight.dtype).to(weight.device)
            found.clear()
            with torch.inference_mode():
                network(graph)
            vectors = np.concatenate(found, axis=1)[graph.places]
            rows.append(_averages(vectors, atoms.numbers, elements))
    return np.array(rows)


@contextmanager
def _last_features(members: Sequence[GatedNetwork]) -> Iterator[list[NDArray[np.float64]]]:
    """Collect what comes out of the last interaction of each network, as invariants (N, …)."""
    found: list[NDArray[np.float64]] = []

    def keep(_: torch.nn.Module, __: Any, blocks: list[torch.Tensor]) -> None:
        parts = [block[:, 0] if block.shape[1] == 1 else block.norm(dim=1) for block in blocks]
        found.append(torch.cat(parts, dim=1).detach().cpu().double().numpy())

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
