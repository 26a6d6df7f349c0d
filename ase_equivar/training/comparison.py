"""Comparison of labels with predictions of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ase_equivar.graph import Graph
from ase_equivar.network import Network
from ase_equivar.network.readout import RawTensors
from ase_equivar.progress_bar import with_progress
from ase_equivar.sum_rule import neutralize
from ase_equivar.training.batches import make_loader
from ase_equivar.training.data import LabelledFrame


@dataclass(frozen=True)
class Comparison:
    """Labels and predictions, structure by structure.

    Attributes
    ----------
    frames : list of LabelledFrame
        Frames whose elements the model supports.
    born_charges, raw_born_charges : list of ndarray, shape (N, 3, 3), |e|
        Predictions after and before the sum rule is imposed.
    dielectric : list of ndarray, shape (3, 3)
        ε∞; empty if the model does not predict it.
    unknown : tuple of str
        Formulas of the structures left out.
    """

    frames: list[LabelledFrame]
    born_charges: list[NDArray[np.float64]]
    raw_born_charges: list[NDArray[np.float64]]
    dielectric: list[NDArray[np.float64]]
    unknown: tuple[str, ...]

    @property
    def differences(self) -> list[NDArray[np.float64]]:
        """Predicted Z* minus label, |e|, shape (N, 3, 3) each."""
        return [
            predicted - frame.born_charges
            for predicted, frame in zip(self.born_charges, self.frames, strict=True)
        ]

    @property
    def dielectric_pairs(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Predicted and labelled ε∞ of the structures that have both."""
        return [
            (predicted, frame.dielectric)
            for predicted, frame in zip(self.dielectric, self.frames, strict=False)
            if frame.dielectric is not None
        ]


def compare(
    network: Network, frames: Sequence[LabelledFrame], *, progress: bool = False
) -> Comparison:
    """Predict labelled structures; Z* are neutralized as by the calculator.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, as returned by `load_model`.
    frames : sequence of LabelledFrame
        Structures with elements that the model does not support are left out and listed.
    progress : bool
        Whether to show a progress bar, on stderr.

    Raises
    ------
    ValueError
        If no structure is left.
    """
    known = set(network.elements)
    unknown = [f for f in frames if not set(f.atoms.numbers.tolist()) <= known]
    left = [f for f in frames if set(f.atoms.numbers.tolist()) <= known]
    if not left:
        raise ValueError("the model does not support all elements of any of these structures")
    loader = make_loader(left, network, 16)
    raw_charges: list[NDArray[np.float64]] = []
    dielectric: list[NDArray[np.float64]] = []
    with torch.no_grad():
        for batch in with_progress(loader, "predicting", shown=progress):
            for charges, tensor in tensors_of_each(network(batch.graph), batch.graph):
                raw_charges.append(charges)
                if tensor is not None:
                    dielectric.append(tensor)
    return Comparison(
        frames=left,
        born_charges=[neutralize(raw) for raw in raw_charges],
        raw_born_charges=raw_charges,
        dielectric=dielectric,
        unknown=tuple(f.atoms.get_chemical_formula() for f in unknown),
    )


def tensors_of_each(
    raw: RawTensors, graph: Graph
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Yield Z* before the sum rule, shape=(N, 3, 3), and ε∞, structure by structure."""
    ends = torch.bincount(graph.structure, minlength=graph.n_structures).cumsum(0).tolist()
    born = raw.born_charges.double().numpy()[graph.places]
    for index, charges in enumerate(np.split(born, ends[:-1])):
        tensor = None if raw.dielectric is None else raw.dielectric[index].double().numpy()
        yield charges, tensor
