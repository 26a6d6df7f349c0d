"""How well the training data cover a structure: the environments of its atoms, and its bonds.

Z* do not depend on it. It is evaluated after them, from features that the network has calculated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ase_equivar.graph import Graph
from ase_equivar.inference.features import invariants
from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.uncertainty import (
    Calibration,
    Familiarity,
    doubt_by_difference,
)
from ase_equivar.torch_settings import own_torch_settings


@dataclass(frozen=True)
class CalledAtoms:
    """All atoms in one call of the network, of one or several structures.

    Attributes
    ----------
    calibration : Calibration
    features : sequence of Tensor
        As `ase_equivar.network.readout.RawTensors.features`.
    numbers : Tensor of int64, shape (N,)
        Atomic numbers.
    compare : callable, optional
        Returns raw Z* minus those of the model that the calibration compares with, (N, 3, 3), e.
    """

    calibration: Calibration
    features: Sequence[Tensor]
    numbers: Tensor
    compare: Callable[[], NDArray[np.float64]] | None = None

    @cached_property
    def familiarity(self) -> Familiarity:
        """That of all atoms, which is much faster than structure by structure."""
        with torch.inference_mode(), own_torch_settings(self.numbers.device):
            return self.calibration.known.familiarity(invariants(self.features), self.numbers)

    @cached_property
    def difference(self) -> NDArray[np.float64] | None:
        """Result of `compare`, which calls the other network."""
        return None if self.compare is None else self.compare()


class Coverage:
    """How well the training data cover one structure; evaluated on first use.

    Parameters
    ----------
    called : CalledAtoms
    rows : slice
        The structure's atoms among them.
    graph : Graph
        Of the structure.
    """

    def __init__(self, called: CalledAtoms, rows: slice, graph: Graph) -> None:
        self._source: tuple[CalledAtoms, slice, Graph] | None = called, rows, graph
        self._found: tuple[Familiarity, tuple[UnusualPair, ...], float | None]

    @property
    def familiarity(self) -> Familiarity:
        """How well the environments of the atoms are known."""
        return self._evaluated()[0]

    @property
    def unusual_pairs(self) -> tuple[UnusualPair, ...]:
        """Pairs of atoms that the training data do not cover."""
        return self._evaluated()[1]

    @property
    def doubt_by_difference(self) -> float | None:
        """By how much Z* differ from those of another model; None if not compared with one."""
        return self._evaluated()[2]

    def _evaluated(self) -> tuple[Familiarity, tuple[UnusualPair, ...], float | None]:
        if self._source is not None:
            called, rows, graph = self._source
            difference = called.difference
            self._found = (
                called.familiarity.take(rows).take(graph.places),
                called.calibration.bonds.unusual(graph),
                None if difference is None else doubt_by_difference(difference[rows]),
            )
            self._source = None  # releases graph and features
        return self._found
