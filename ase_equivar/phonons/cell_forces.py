"""Forces of displaced cells: of small ones, several in one call of a potential that can do so.

A call of a neural network takes its time even for two atoms. SevenNet's networks evaluate several
structures together, but its ASE calculator takes one at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from ase_equivar.calculated_property import calculated_property, own, with_failures_named

SHARED_ATOMS = 64
"""Atoms of all cells in one call. Larger calls gain nothing: see docs/developer/performance.md."""


def forces_of_cells(
    cells: Sequence[Atoms], calculator: BaseCalculator
) -> Iterator[NDArray[np.float64]]:
    """Yield the forces (eV/Å) of cells of equal size, each of shape (N, 3), in their order.

    Parameters
    ----------
    cells : sequence of ase.Atoms
        Of the same atoms.
    calculator : ase calculator
        Several cells share a call if it is SevenNet's.

    Raises
    ------
    ValueError
        If forces are not finite.
    RuntimeError
        If the calculator fails.
    """
    size = SHARED_ATOMS // len(cells[0]) if cells and _can_share(calculator) else 1
    for first in range(0, len(cells), max(size, 1)):
        some = cells[first : first + max(size, 1)]
        found = _together(some, calculator) if len(some) > 1 else [_alone(some[0], calculator)]
        for atoms, forces in zip(some, found, strict=True):
            if not np.isfinite(forces).all():
                raise ValueError(
                    f"the calculator gave forces of {atoms.symbols} that are not finite"
                )
            yield forces


def _alone(atoms: Atoms, calculator: BaseCalculator) -> NDArray[np.float64]:
    return np.asarray(own(calculated_property(calculator, "forces", atoms)), dtype=float)


def _can_share(calculator: BaseCalculator) -> bool:
    """Whether this is SevenNet's own calculator, not one derived from it, with an ordinary network.

    Networks of several modalities, and TorchScript of older versions, take one cell at a time.
    """
    module = sys.modules.get("sevenn.calculator")  # imported by whoever made the calculator
    return (
        module is not None
        and type(calculator) is module.SevenNetCalculator
        and getattr(calculator, "modal", None) is None
        and hasattr(calculator.model, "set_is_batch_data")
    )


def _together(cells: Sequence[Atoms], calculator: Any) -> list[NDArray[np.float64]]:
    """Evaluate all cells in one call of SevenNet's network."""
    from sevenn import _keys as key
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from torch_geometric.data import Batch

    def evaluated() -> Any:
        calculator.set_atoms(cells[0])  # refuses unknown elements
        graphs = [
            AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, calculator.cutoff))
            for atoms in cells
        ]
        batch = Batch.from_data_list(graphs).to(calculator.device)
        calculator.model.set_is_batch_data(True)
        try:
            return calculator.model(batch)
        finally:
            calculator.model.set_is_batch_data(False)

    output = with_failures_named(evaluated, calculator, "forces", cells[0])
    forces = output[key.PRED_FORCE].detach().cpu().numpy().astype(float)
    return np.split(forces, len(cells))
