"""Structures described by features of a network: one vector each, to compare structures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from ase_equivar.graph import build_graph, check_elements
from ase_equivar.network import Ensemble, GatedNetwork, Network


def structure_features(
    network: Network, images: Iterable[Atoms], elements: Sequence[int]
) -> NDArray[np.float64]:
    """Describe structures by the features of their atoms after the last interaction.

    The features of an atom are its `invariants`, which do not change when the structure is rotated,
    reflected or repeated. They are averaged over the atoms of each element; the averages, each
    times the square root of the fraction of atoms of that element, make the vector.

    Parameters
    ----------
    network : torch.nn.Module
        A gated network, or an ensemble of such, as returned by `load_model`.
    images : iterable of ase.Atoms
    elements : sequence of int
        Atomic numbers of all elements, in the order of their averages.

    Returns
    -------
    ndarray, shape=(F, D)

    Raises
    ------
    ValueError
        If the network is of another kind, or a structure has an element that the network does not
        support or that is not in `elements`.
    """
    if not isinstance(network, GatedNetwork | Ensemble):
        raise ValueError(
            f"only gated networks have features to compare; this is a {type(network).__name__}"
        )
    weight = next(network.parameters())
    rows = []
    for atoms in images:
        check_elements(atoms, network.elements)
        if missing := set(atoms.numbers.tolist()) - set(elements):
            raise ValueError(f"elements lacks {sorted(missing)}, which occur in the structures")
        graph = build_graph(atoms, network.cutoff, dtype=weight.dtype).to(weight.device)
        with torch.inference_mode():
            found = invariants(network(graph).features)
        vectors = found.cpu().double().numpy()[graph.places]
        rows.append(_averages(vectors, atoms.numbers, elements))
    return np.array(rows)


def invariants(features: Sequence[Tensor]) -> Tensor:
    """Return the scalars and the norms of vectors and tensors of each atom, channel by channel.

    Parameters
    ----------
    features : sequence of Tensor, shapes (N, 2l+1, C)
        As `ase_equivar.network.readout.RawTensors.features`.

    Returns
    -------
    Tensor, shape (N, D)
    """
    parts = [
        # norm would take several times as long, along this axis
        block[:, 0] if block.shape[1] == 1 else block.square().sum(dim=1).sqrt()
        for block in features
    ]
    return torch.cat(parts, dim=1)


def _averages(
    vectors: NDArray[np.float64], numbers: NDArray[np.int_], elements: Sequence[int]
) -> NDArray[np.float64]:
    parts = []
    for element in elements:
        own = vectors[numbers == element]
        share = len(own) / len(vectors)
        parts.append(own.mean(axis=0) * share**0.5 if len(own) else np.zeros(vectors.shape[1]))
    return np.concatenate(parts)
