"""Neutral Z* of the atoms of a process: all atoms of a structure, or part of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from ase_equivar.calculator import EquivarCalculator
from ase_equivar.charge_source import largest_uncertainty, read_charges
from ase_equivar.engines.distributed_warnings import DistributedCharges, DistributedWarnings
from ase_equivar.engines.halo import Halo
from ase_equivar.engines.lammps_atoms import LocalAtoms
from ase_equivar.engines.processes import total
from ase_equivar.graph import Graph, check_distances, check_elements
from ase_equivar.graph.open_search import OpenSearch
from ase_equivar.inference.predictor import Predictor


class LocalCharges(Protocol):
    """Source of Z* for the atoms of a process."""

    def __call__(self, here: LocalAtoms, *, same_ghosts: bool) -> NDArray[np.float64]:
        """Return Z* of the process' own atoms, |e|, shape=(n_local, 3, 3)."""
        ...

    def largest_uncertainty(self) -> float:
        """Return that of the Z* of its own atoms that were returned last, |e|; NaN for none."""
        ...

    def warn_if_doubtful(self, step: int) -> None:
        """Warn, once, if the Z* that were returned last, in `step`, are doubtful."""
        ...


class SharedCharges:
    """Z* of a structure that is distributed among processes.

    Parameters
    ----------
    predictor : Predictor
        Of a network for which `Predictor.is_divisible`.
    total_charge : float
        Charge of the whole cell, |e|.
    communicator : mpi4py.MPI.Comm, optional
        Communicator of all processes. By default there is only this one.
    """

    def __init__(
        self, predictor: Predictor, total_charge: float = 0.0, communicator: Any = None
    ) -> None:
        self._predictor = predictor
        self._total_charge = total_charge
        self._communicator = communicator
        self._search = OpenSearch(predictor.cutoff, device=predictor.device)
        self._halo: Halo | None = None
        self._warnings = DistributedWarnings(communicator)
        self._latest: DistributedCharges | None = None

    def __call__(
        self,
        here: LocalAtoms,
        *,
        same_ghosts: bool,
    ) -> NDArray[np.float64]:
        """Return neutral Z* of the atoms of this process, |e|, shape=(n_local, 3, 3).

        All processes must call it together.

        Parameters
        ----------
        here : LocalAtoms
            With ghosts at least out to the cutoff.
        same_ghosts : bool
            Whether atoms and ghosts are those of the last call, in the same order.
        """
        if self._halo is None or not same_ghosts:
            self._halo = Halo(here.tags, here.n_local, self._communicator)
        graph, rows = self._graph(here)
        raw, called = self._predictor.local_charges(graph)
        own = np.array([*raw.sum(axis=0).ravel(), here.n_local])
        sums = total(self._communicator, own)
        excess = sums[:9].reshape(3, 3) - self._total_charge * np.eye(3)
        n_atoms = round(sums[9])
        born_charges = raw - excess / n_atoms
        self._latest = DistributedCharges(
            here.tags[rows], graph, called, born_charges, excess, n_atoms
        )
        return born_charges

    def largest_uncertainty(self) -> float:
        """Return that of the Z* of this process' atoms that were returned last, |e|.

        NaN if the model is not calibrated; 0 if the process has no atoms.
        """
        if self._latest is None or (found := self._latest.uncertainty) is None:
            return np.nan
        return float(found.max(initial=0.0))

    def warn_if_doubtful(self, step: int) -> None:
        """Warn, once, if the Z* that were returned last, in `step`, are doubtful.

        All processes must call it together.
        """
        assert self._latest is not None
        self._warnings.of_sum_rule(self._latest, step)
        self._warnings.of_unknown(self._latest, self._predictor.cutoff, step)

    def _graph(self, here: LocalAtoms) -> tuple[Graph, NDArray[np.int64]]:
        """Connect own atoms with all their neighbors; return also where these are in `here`."""
        assert self._halo is not None
        atoms = Atoms(numbers=here.numbers, positions=here.positions)
        pairs = self._search.pairs(atoms, here.n_local, self._predictor.dtype)
        check_distances(atoms, pairs)
        senders, rows, exchange = self._halo.needed(pairs.neighbors)
        numbers = torch.tensor(here.numbers[rows], dtype=torch.int64, device=senders.device)
        graph = Graph(
            numbers=numbers,
            senders=senders,
            receivers=pairs.centers,
            vectors=pairs.vectors,
            structure=torch.zeros_like(numbers),
            n_structures=1,
            n_foreign=len(rows) - here.n_local,
            exchange=exchange.fetch,
        )
        return graph, rows


class WholeCharges:
    """Z* of a structure on a single process, from any ASE calculator that provides them."""

    def __init__(self, calculator: BaseCalculator) -> None:
        self._born_charges = read_charges(calculator)
        self._calculator = calculator

    def __call__(self, here: LocalAtoms, *, same_ghosts: bool) -> NDArray[np.float64]:
        """Return Z* of all atoms, |e|, shape=(N, 3, 3)."""
        order = np.argsort(here.tags[: here.n_local])  # calculators identify atoms by their order
        atoms = Atoms(
            here.numbers[: here.n_local][order],
            positions=here.positions[: here.n_local][order],
            cell=here.cell,
            pbc=here.periodic,
        )
        born = np.empty((here.n_local, 3, 3))
        born[order] = self._born_charges(atoms)
        return born

    def largest_uncertainty(self) -> float:
        """Return that of the Z* that were returned last, |e|; NaN where none is stated."""
        return largest_uncertainty(self._calculator)

    def warn_if_doubtful(self, step: int) -> None:
        """Do nothing: the calculator itself has warned."""


def charges_of(
    calculator: BaseCalculator, elements: Sequence[str], communicator: Any
) -> tuple[LocalCharges, float]:
    """Choose how the Z* of the atoms of a process are calculated.

    Parameters
    ----------
    calculator : ase calculator
    elements : sequence of str
        Elements of the structure.
    communicator : mpi4py.MPI.Comm or None
        Communicator of several processes; None for a single process.

    Returns
    -------
    tuple
        The source of Z*, and the distance out to which it needs ghosts, Å; 0 for none.

    Raises
    ------
    ValueError
        If the calculator does not support an element, or has its own field.
    TypeError
        If there are several processes and the calculator does not support them.
    """
    if getattr(calculator, "electric_field", None) is not None:
        raise ValueError("the calculator has its own electric_field; set it to None")
    if isinstance(calculator, EquivarCalculator):
        check_elements(Atoms(sorted(set(elements))), calculator.predictor.elements)
    if communicator is None:
        return WholeCharges(calculator), 0.0
    if not isinstance(calculator, EquivarCalculator) or not calculator.predictor.is_divisible:
        name = getattr(calculator, "model", type(calculator).__name__)
        raise TypeError(
            f"Z* of {name} cannot be calculated by several processes; use the model 'universal', "
            "or one process"
        )
    shared = SharedCharges(calculator.predictor, calculator.total_charge, communicator)
    return shared, calculator.predictor.cutoff
