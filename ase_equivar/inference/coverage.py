"""How well the training data cover a structure: its atoms and its bonds.

Z* do not depend on it. It is worked out after them, from what the network has calculated anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ase_equivar.graph import Graph
from ase_equivar.inference.features import invariants
from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.uncertainty import Calibration, Familiarity


@dataclass(frozen=True)
class CalledAtoms:
    """All atoms of one call of the network, which may have had several structures.

    Attributes
    ----------
    calibration : Calibration
    features : sequence of Tensor
        As `ase_equivar.network.readout.RawTensors.features`.
    numbers : Tensor of int64, shape (N,)
        Atomic numbers.
    """

    calibration: Calibration
    features: Sequence[Tensor]
    numbers: Tensor

    @cached_property
    def familiarity(self) -> Familiarity:
        """Of all atoms together, which takes a fraction of the time that single structures do."""
        with torch.inference_mode():
            return self.calibration.known.familiarity(invariants(self.features), self.numbers)


class Coverage:
    """How well the training data cover one structure, worked out when it is first asked for.

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
        self._found: tuple[Familiarity, tuple[UnusualPair, ...]]

    @property
    def familiarity(self) -> Familiarity:
        """How well the surroundings of the atoms are known."""
        return self._work_out()[0]

    @property
    def unusual_pairs(self) -> tuple[UnusualPair, ...]:
        """Pairs of atoms that the training data do not cover."""
        return self._work_out()[1]

    def _work_out(self) -> tuple[Familiarity, tuple[UnusualPair, ...]]:
        if self._source is not None:
            called, rows, graph = self._source
            self._found = (
                called.familiarity.take(rows).take(graph.places),
                called.calibration.bonds.unusual(graph),
            )
            self._source = None  # a graph and features take memory
        return self._found
