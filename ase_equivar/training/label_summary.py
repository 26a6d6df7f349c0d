"""What a run must know of all its labels: enough to start a network and to recognize the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ase_equivar.io.resumed import digest_of_all
from ase_equivar.network.readout import log_susceptibility
from ase_equivar.training.data import LabelledFrame


@dataclass(frozen=True)
class LabelSummary:
    """Properties of all labelled structures of a set.

    Attributes
    ----------
    number : int
        Number of structures.
    median_charges : dict of int to float
        For each element, by its atomic number, ascending: median of tr Z*/3, |e|.
    log_susceptibility : float or None
        Mean of the diagonal of ln(ε∞ - 1); None without labels of ε∞.
    content : str
        Hash of all structures, periodic directions included, and labels.
    """

    number: int
    median_charges: dict[int, float]
    log_susceptibility: float | None
    content: str

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers, ascending."""
        return tuple(self.median_charges)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON data, from which `from_dict` makes it again."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LabelSummary:
        """See `as_dict`."""
        charges = {int(z): value for z, value in content["median_charges"].items()}
        return cls(**{**content, "median_charges": charges})


def summarize(frames: Iterable[LabelledFrame]) -> LabelSummary:
    """Summarize labelled structures, which are read once; they need not fit into memory."""
    numbers: list[NDArray[np.uint8]] = []
    isotropic: list[NDArray[np.float64]] = []
    dielectric: list[NDArray[np.float64]] = []

    def contents() -> Iterable[bytes]:
        for frame in frames:
            numbers.append(frame.atoms.numbers.astype(np.uint8))
            isotropic.append(np.trace(frame.born_charges, axis1=1, axis2=2) / 3.0)
            if frame.dielectric is not None:
                dielectric.append(frame.dielectric)
            tensor = np.zeros(0) if frame.dielectric is None else frame.dielectric
            atoms = frame.atoms
            for array in (atoms.numbers, atoms.cell.array, atoms.pbc, atoms.positions):
                yield array.tobytes()
            yield frame.born_charges.tobytes()
            yield tensor.tobytes()

    content = digest_of_all(contents())
    elements, charges = np.concatenate(numbers), np.concatenate(isotropic)
    mean = None
    if dielectric:
        logs = log_susceptibility(torch.from_numpy(np.stack(dielectric)))
        mean = float(logs.diagonal(dim1=1, dim2=2).mean())
    return LabelSummary(
        number=len(numbers),
        median_charges={
            int(element): float(np.median(charges[elements == element]))
            for element in np.unique(elements)
        },
        log_susceptibility=mean,
        content=content,
    )
