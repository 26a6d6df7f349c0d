"""What a network says when parts of it are left out, for the doubt in what is made of ε∞.

A network trained with dropout holds many smaller ones. Some channels are left out, for all atoms
alike, so that each part is as equivariant as the whole. Dropout as an approximate ensemble: Gal and
Ghahramani, ICML 2016. Parts of an ensemble are those of all its members.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ase_equivar.graph import Graph
from ase_equivar.network import Ensemble, GatedNetwork

DROPOUT = 0.15  # part of the channels that are left out of each layer
N_PARTS = 8  # of each network; more changed nothing
SEED = 0  # of the parts: the same for every structure, so that results can be repeated


def dielectric_tensors_of_parts(
    network: GatedNetwork | Ensemble,
    graph: Graph,
    dropout: float = DROPOUT,
    n_parts: int = N_PARTS,
) -> NDArray[np.float64]:
    """Return ε∞ of one structure as each part of a network predicts it, shape (S, 3, 3).

    Parameters
    ----------
    network : GatedNetwork or Ensemble
        Trained with dropout, and with ε∞.
    graph : Graph
    dropout : float
        Part of the channels that are left out of each layer.
    n_parts : int
        How many parts of each network are evaluated.
    """
    found = []
    with torch.inference_mode():
        for member in network.members if isinstance(network, Ensemble) else [network]:
            prepared = member.prepared(graph)  # what takes long is done once for all parts
            for part in range(n_parts):
                with member.channel_mask(dropout, SEED + part):
                    dielectric = member(prepared).dielectric
                assert dielectric is not None  # whoever asks has looked
                found.append(dielectric)
    return np.asarray(torch.cat(found).cpu().double().numpy())
