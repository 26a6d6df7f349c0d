"""How far Z* may be off: what the model says when parts of it are left out.

A network trained with dropout holds many smaller ones. Some channels are left out, for all atoms
alike, so that each part is as equivariant as the whole; the spread of what the parts say, times a
factor found on labelled structures, is the expected error. Dropout as an approximate ensemble: Gal
and Ghahramani, ICML 2016. Parts of an ensemble are those of all its members.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ase_equivar.graph import Graph
from ase_equivar.network import Ensemble, GatedNetwork
from ase_equivar.sum_rule import excess_and_neutral

SEED = 0  # of the parts: the same for every structure, so that results can be repeated


@dataclass(frozen=True)
class Calibration:
    """How a model's parts are made, and what their spread is worth.

    Attributes
    ----------
    dropout : float
        Part of the channels that are left out of each layer.
    n_samples : int
        How many smaller networks are asked, of each member of an ensemble.
    scale : float
        Expected error over spread.
    """

    dropout: float
    n_samples: int
    scale: float

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Calibration | None:
        """Read it from a model's metadata; None if it was never calibrated."""
        found = metadata.get("uncertainty")
        try:
            return None if found is None else cls(**found)
        except TypeError as error:
            raise ValueError(
                f"the model's calibration should have dropout, n_samples and scale, not {found!r}"
            ) from error

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, for a model's metadata."""
        return asdict(self)


def born_charges_uncertainty(
    network: GatedNetwork | Ensemble, graph: Graph, calibration: Calibration
) -> NDArray[np.float64]:
    """Estimate the error of Z* of each atom.

    Parameters
    ----------
    network : GatedNetwork or Ensemble
        Trained with dropout.
    graph : Graph
    calibration : Calibration
        Of this network.

    Returns
    -------
    ndarray, shape (N,)
        Expected root mean square error of the nine components of Z*, e. It does not change when
        the structure is turned, mirrored or repeated.
    """
    with torch.inference_mode():
        prepared = _prepared(network, graph)
        whole = torch.stack([_neutral(*one) for one in prepared]).mean(dim=0)
        squares = torch.zeros(graph.n_atoms, dtype=whole.dtype, device=whole.device)
        for part in _parts(prepared, calibration):
            squares += (_neutral(*part) - whole).square().mean(dim=(1, 2))
    spread = (squares / (calibration.n_samples * len(prepared))).sqrt().cpu().double().numpy()
    return np.asarray(calibration.scale * spread)


def dielectric_tensors_of_parts(
    network: GatedNetwork | Ensemble, graph: Graph, calibration: Calibration
) -> NDArray[np.float64]:
    """Return ε∞ of one structure as each part of a network sees it, shape (S, 3, 3).

    Parameters
    ----------
    network : GatedNetwork or Ensemble
        Trained with dropout, and with ε∞.
    graph : Graph
    calibration : Calibration
        Of this network.
    """
    with torch.inference_mode():
        prepared = _prepared(network, graph)
        found = [_dielectric(*part) for part in _parts(prepared, calibration)]
    return np.asarray(torch.cat(found).cpu().double().numpy())


_Prepared: TypeAlias = tuple[GatedNetwork, Graph]


def _prepared(network: GatedNetwork | Ensemble, graph: Graph) -> list[_Prepared]:
    """Do what takes long once for all parts of a network."""
    members = network.members if isinstance(network, Ensemble) else [network]
    return [(member, member.prepared(graph)) for member in members]


def _parts(prepared: list[_Prepared], calibration: Calibration) -> Iterator[_Prepared]:
    """Yield each member with some of its channels left out, as long as the loop is there."""
    for member, graph in prepared:
        for part in range(calibration.n_samples):
            with member.channel_mask(calibration.dropout, SEED + part):
                yield member, graph


def _dielectric(network: GatedNetwork, graph: Graph) -> torch.Tensor:
    found = network(graph).dielectric
    assert found is not None  # whoever asks has looked
    return found


def _neutral(network: GatedNetwork, graph: Graph) -> torch.Tensor:
    return excess_and_neutral(network(graph).born_charges, graph.structure, graph.n_structures)[1]
