"""Warnings of doubtful Z* of a structure that is distributed among processes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_equivar.engines.processes import is_first
from ase_equivar.graph import Graph
from ase_equivar.inference.coverage import CalledAtoms
from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.uncertain_atoms import UncertainAtoms
from ase_equivar.inference.uncertainty import doubt_by_sum_rule
from ase_equivar.inference.warnings import VIOLATION_WARNING, describe_doubt, describe_pairs
from ase_equivar.sum_rule import largest_per_atom
from ase_equivar.warning_types import SumRuleWarning, UncertaintyWarning


@dataclass(frozen=True)
class DistributedCharges:
    """Z* of the atoms of this process, and what they were calculated from.

    Attributes
    ----------
    tags : ndarray of int64, shape (N,)
        LAMMPS' IDs of the atoms of the graph.
    graph : Graph
        Own atoms and the foreign ones among their neighbors.
    called : CalledAtoms or None
        None if the model is not calibrated.
    born_charges : ndarray, shape (n_local, 3, 3)
        Neutral, |e|.
    excess : ndarray, shape (3, 3)
        Σ raw Z* − Q·1 over the atoms of all processes, |e|.
    n_atoms : int
        Number of atoms of all processes.
    """

    tags: NDArray[np.int64]
    graph: Graph
    called: CalledAtoms | None
    born_charges: NDArray[np.float64]
    excess: NDArray[np.float64]
    n_atoms: int

    @cached_property
    def uncertainty(self) -> NDArray[np.float64] | None:
        """Expected error of Z* of each atom of this process, |e|."""
        if self.called is None:
            return None
        return self.called.calibration.born_charges_uncertainty(
            self.called.familiarity, doubt_by_sum_rule(self.excess, self.n_atoms)
        )


class DistributedWarnings:
    """Issues each warning once, on the first process, naming the step and LAMMPS' atom IDs.

    All processes must call each method together.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm or None
        None if there is only this process.
    """

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self._issued: set[str] = set()

    def of_sum_rule(self, latest: DistributedCharges, step: int) -> None:
        """Warn if raw Z* break the sum rule."""
        violation = largest_per_atom(latest.excess, latest.n_atoms)
        if (
            violation > VIOLATION_WARNING
            and self._is_first("sum rule")
            and is_first(self._communicator)
        ):
            warnings.warn(
                f"in step {step} the raw Z* break the sum rule by {violation:.2f} e per atom. The "
                "corrected Z* are doubtful too",
                SumRuleWarning,
                stacklevel=2,
            )

    def of_unknown(self, latest: DistributedCharges, cutoff: float, step: int) -> None:
        """Warn of atoms, and of bonds up to `cutoff` (Å), that the training data do not cover."""
        if latest.called is None or latest.uncertainty is None:
            return
        if {"uncertainty", "pairs"} <= self._issued:
            return
        bonds, n_own = latest.called.calibration.bonds, latest.graph.n_own
        numbers = latest.graph.numbers[:n_own].cpu().numpy()
        parts = self._gathered(
            (
                UncertainAtoms.among(
                    latest.uncertainty, latest.born_charges, numbers, latest.tags[:n_own]
                ),
                [_with_tags(pair, latest.tags) for pair in bonds.unusual(latest.graph)],
            )
        )
        uncertain = [atoms for atoms, _ in parts]
        worst = replace(
            max(uncertain, key=lambda atoms: atoms.largest),
            count=sum(atoms.count for atoms in uncertain),
            n_atoms=latest.n_atoms,
        )
        pairs: dict[tuple[str, str], UnusualPair] = {}
        for pair in sorted(
            (p for _, some in parts for p in some), key=lambda p: p.relative_distance
        ):
            pairs.setdefault(pair.symbols, pair)
        texts = []
        if worst.count and self._is_first("uncertainty"):
            texts.append(worst.describe())
        if pairs and self._is_first("pairs"):
            texts.append(describe_pairs(list(pairs.values()), cutoff))
        if texts and is_first(self._communicator):
            warnings.warn(
                describe_doubt(f"that of step {step}", "; ".join(texts)),
                UncertaintyWarning,
                stacklevel=2,
            )

    def _is_first(self, about: str) -> bool:
        first = about not in self._issued
        self._issued.add(about)
        return first

    def _gathered(self, value: Any) -> Sequence[Any]:
        return [value] if self._communicator is None else self._communicator.allgather(value)


def _with_tags(pair: UnusualPair, tags: NDArray[np.int64]) -> UnusualPair:
    """Name the atoms of a pair as LAMMPS does."""
    first, second = (int(tags[atom]) for atom in pair.atoms)
    return replace(pair, atoms=(first, second))
