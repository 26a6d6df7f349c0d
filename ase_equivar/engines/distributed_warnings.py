"""Warnings of doubtful Z* of a structure that is distributed among processes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ase_equivar.engines.lammps_atoms import LocalAtoms
from ase_equivar.graph import Graph
from ase_equivar.inference.coverage import CalledAtoms
from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.warnings import (
    VIOLATION_WARNING,
    UncertainAtoms,
    is_uncertain,
)
from ase_equivar.sum_rule import largest_per_atom
from ase_equivar.warning_types import SumRuleWarning, UncertaintyWarning


@dataclass(frozen=True)
class DistributedCharges:
    """Z* of the atoms of this process, and what they were calculated from.

    Attributes
    ----------
    here : LocalAtoms
    graph : Graph
        Atoms and ghosts.
    called : CalledAtoms or None
        None if the model is not calibrated.
    born_charges : ndarray, shape (n_local, 3, 3)
        Neutral, |e|.
    excess : ndarray, shape (3, 3)
        Σ raw Z* − Q·1 over the atoms of all processes, |e|.
    n_atoms : int
        Number of atoms of all processes.
    """

    here: LocalAtoms
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
            self.called.familiarity, self.excess, self.n_atoms
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
        if violation > VIOLATION_WARNING and self._is_first("sum rule") and self._speaks:
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
        here, bonds = latest.here, latest.called.calibration.bonds
        wrong = is_uncertain(latest.uncertainty, latest.born_charges)
        found = self._gathered(
            (
                _largest(here, latest.uncertainty, wrong),
                int(wrong.sum()),
                here.n_local,
                [_with_tags(pair, here) for pair in bonds.unusual(latest.graph)],
            )
        )
        largest = [one for one, *_ in found if one is not None]
        texts = []
        if largest and self._is_first("uncertainty"):
            worst, name = max(largest)
            others = sum(count for _, count, *_ in found) - 1
            n_atoms = sum(n for *_, n, _ in found)
            texts.append(UncertainAtoms(worst, name, others, n_atoms).describe())
        pairs: dict[tuple[str, str], UnusualPair] = {}
        for pair in sorted((pair for *_, some in found for pair in some), key=_closeness):
            pairs.setdefault(pair.symbols, pair)
        if pairs and self._is_first("pairs"):
            described = "; ".join(pair.describe(cutoff) for pair in list(pairs.values())[:3])
            texts.append(f"its training data have {described}")
        if texts and self._speaks:
            warnings.warn(
                f"the model knows few structures like that of step {step}: {'; '.join(texts)}. "
                "Compare Z* with those of DFPT, and fine-tune the model if the errors are too "
                "large",
                UncertaintyWarning,
                stacklevel=2,
            )

    @property
    def _speaks(self) -> bool:
        return self._communicator is None or bool(self._communicator.rank == 0)

    def _is_first(self, about: str) -> bool:
        first = about not in self._issued
        self._issued.add(about)
        return first

    def _gathered(self, value: Any) -> Sequence[Any]:
        return [value] if self._communicator is None else self._communicator.allgather(value)


def _largest(
    here: LocalAtoms, uncertainty: NDArray[np.float64], wrong: NDArray[np.bool_]
) -> tuple[float, str] | None:
    """Return the largest uncertainty of those that are too large, and whose it is."""
    if not wrong.any():
        return None
    worst = int(np.argmax(np.where(wrong, uncertainty, 0.0)))
    symbol = chemical_symbols[here.numbers[worst]]
    return float(uncertainty[worst]), f"{here.tags[worst]} ({symbol})"


def _closeness(pair: UnusualPair) -> float:
    """Return the distance relative to the shortest known one; 0 if none is known."""
    return pair.distance / pair.shortest if pair.shortest else 0.0


def _with_tags(pair: UnusualPair, here: LocalAtoms) -> UnusualPair:
    """Name the atoms of a pair as LAMMPS does."""
    first, second = (int(here.tags[atom]) for atom in pair.atoms)
    return replace(pair, atoms=(first, second))
