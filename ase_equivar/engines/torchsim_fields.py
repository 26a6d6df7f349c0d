"""The fields of the systems in a state of TorchSim, of time alone or of position too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch_sim.state import SimState

from ase_equivar.dynamics.field_at_positions import FieldAtPositions
from ase_equivar.engines.torchsim_checks import check_field_of_time, extra
from ase_equivar.fields import Field, SpatialField, check_field
from ase_equivar.fields.algebra import longest_step

WHICH = "field_index"
AnyField = Field | SpatialField


@dataclass(frozen=True)
class FieldsNow:
    """Fields at one time, V/Å.

    Attributes
    ----------
    of_systems : Tensor, shape (S, 3)
        The mean over the atoms of each system.
    on_atoms : Tensor, shape (N, 3)
    """

    of_systems: torch.Tensor
    on_atoms: torch.Tensor


class SystemFields:
    """One field for all systems, or several, of which each system has one.

    Parameters
    ----------
    field : Field, SpatialField or sequence of these

    Raises
    ------
    TypeError
        If one is no function of time.
    ValueError
        If there is none.
    """

    def __init__(self, field: AnyField | Sequence[AnyField]) -> None:
        self._of_each = isinstance(field, Sequence)
        self._fields = tuple(field) if isinstance(field, Sequence) else (field,)
        if not self._fields:
            raise ValueError("there is no field in the sequence of fields")
        for one in self._fields:
            if not isinstance(one, SpatialField):
                check_field_of_time(one)
        # by field, cell and number of atoms, since the order of systems changes in batches
        self._at_positions: dict[tuple[int, bytes, int], FieldAtPositions] = {}

    @property
    def longest_step(self) -> float:
        """The longest time step that resolves all fields, fs."""
        return min(map(longest_step, self._fields))

    def on(self, state: SimState, times: torch.Tensor) -> FieldsNow:
        """Return the fields at these times (fs), one for each system.

        Raises
        ------
        ValueError
            If the state does not say which system has which of several fields, or a field is not
            finite.
        """
        which = self._indices(state)
        has_places = any(isinstance(self._fields[k], SpatialField) for k in which)
        systems = state.to_atoms() if has_places else [None] * len(which)
        counts = state.n_atoms_per_system.tolist()
        of_systems, on_atoms = [], []
        for atoms, k, time, n in zip(systems, which, times.tolist(), counts, strict=True):
            field = self._fields[k]
            if not isinstance(field, SpatialField):
                of_systems.append(check_field(field(time)))
                on_atoms.append(np.tile(of_systems[-1], (n, 1)))
                continue
            key = (k, atoms.cell.array.tobytes(), n)
            if key not in self._at_positions:
                self._at_positions[key] = FieldAtPositions(field, n)
            on_atoms.append(self._at_positions[key].on(atoms, time))
            of_systems.append(on_atoms[-1].mean(axis=0))
        return FieldsNow(
            torch.as_tensor(np.array(of_systems)).to(state.positions),
            torch.as_tensor(np.concatenate(on_atoms)).to(state.positions),
        )

    def _indices(self, state: SimState) -> list[int]:
        """Return the index of the field of each system."""
        n = state.n_systems
        if not self._of_each:
            return [0] * n
        given = extra(state, WHICH)
        if given is None:
            raise ValueError(
                f"{len(self._fields)} fields for {n} systems: store in the state which has "
                f"which, state.store_model_extras({{'{WHICH}': torch.arange({n})}})"
            )
        which = [int(one) for one in given]
        if min(which) < 0 or max(which) >= len(self._fields):
            raise ValueError(f"{WHICH} must lie between 0 and {len(self._fields) - 1}, not {which}")
        return which
