"""ε∞ of parts of a network, whose spread is the uncertainty of quantities derived from ε∞.

A network trained with dropout contains many smaller ones. To make one, some channels are left out,
the same for all atoms, so that it is as equivariant as the whole. Dropout as an approximate
ensemble: Gal and Ghahramani, ICML 2016. The parts of an ensemble are those of all its members.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ase_equivar.graph import Graph
from ase_equivar.network import Ensemble, GatedNetwork

DROPOUT = 0.15  # fraction of the channels of each layer that are left out
N_PARTS = 8  # of each network; the spread of more parts was the same
SEED = 0  # of the choice of parts, which is the same for every structure


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
        Fraction of the channels of each layer that are left out.
    n_parts : int
        Number of parts of each network.
    """
    found = []
    with torch.inference_mode():
        for member in network.members if isinstance(network, Ensemble) else [network]:
            prepared = member.prepared(graph)  # once for all parts
            for part in range(n_parts):
                with member.channel_mask(dropout, SEED + part):
                    dielectric = member(prepared).dielectric
                assert dielectric is not None  # callers check has_dielectric
                found.append(dielectric)
    return np.asarray(torch.cat(found).cpu().double().numpy())
