"""What a state of TorchSim must fulfil for `ase_equivar.engines.torchsim`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ase.geometry import complete_cell
from torch_sim.state import SimState

from ase_equivar.fields import check_field
from ase_equivar.fields.algebra import check_function_of_time
from ase_equivar.graph.graph import MIN_DISTANCE, check_distances
from ase_equivar.graph.neighbors import Pairs


def check_neutral(state: SimState) -> None:
    """Refuse a state with charged systems."""
    for name in ("charge", "total_charge"):
        if (charge := extra(state, name)) is not None and bool(charge.any()):
            raise ValueError(f"the state has a {name}; Z* here are those of neutral systems")


def check_timestep(dt: Any) -> None:
    """Refuse a time step for each system.

    TorchSim 0.6 multiplies forces, (N, 3), by it, which fails or, for three systems, takes the
    steps for those of x, y and z.
    """
    if dt is not None and torch.as_tensor(dt).numel() != 1:
        raise ValueError(
            f"timestep has {torch.as_tensor(dt).numel()} numbers, but TorchSim's integrators take "
            "one for all systems: give a number, or run systems with different steps one by one"
        )


def completed(cell: torch.Tensor) -> torch.Tensor:
    """Return cells, shape (S, 3, 3), with vectors in place of those that are zero.

    Neighbor lists of TorchSim give each atom no neighbors in other images where one is zero.
    """
    if bool((torch.linalg.vector_norm(cell, dim=2) > 0).all()):
        return cell
    found = [complete_cell(one) for one in cell.detach().cpu().double().numpy()]
    return torch.as_tensor(np.array(found)).to(cell)


def check_field_of_time(field: Any) -> None:
    """Refuse what is no field E(t)."""
    if not callable(field):
        raise TypeError(f"a field is a function of time such as SineField(…), not {field!r}")
    check_function_of_time("a field", field)
    check_field(field(0.0))


def refuse_close_atoms(
    state: SimState, receivers: torch.Tensor, senders: torch.Tensor, vectors: torch.Tensor
) -> None:
    """Refuse atoms that are too close, as the calculator does."""
    if len(vectors) == 0:
        return
    least, where = torch.linalg.vector_norm(vectors, dim=1).min(dim=0)
    if float(least) >= MIN_DISTANCE:
        return
    i, j = int(receivers[where]), int(senders[where])
    system = int(state.system_idx[i])
    first = int(torch.searchsorted(state.system_idx, system))
    closest = i - first, j - first, float(least)
    try:
        check_distances(state.to_atoms()[system], Pairs(receivers, senders, vectors, closest))
    except ValueError as error:
        raise ValueError(f"in system {system}, {error}") from error


def extra(state: SimState, name: str) -> torch.Tensor | None:
    """Return what is stored in a state beyond its positions, or None."""
    return getattr(state, name) if state.has_extras(name) else None
