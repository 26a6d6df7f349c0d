"""The time of a request for forces within a step of an ASE integrator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from ase import Atoms, units
from ase.md.md import MolecularDynamics
from ase.optimize.optimize import BaseDynamics

# Integrators that reuse the forces of the last step, so that all their requests within a step are
# for its end. Positions show that too, unless the atoms are at rest; hence this list.
CARRY_FORCES = ("LangevinBAOAB", "MelchionnaNPT", "NPT")


class StepClock:
    """The time of the field: that of the dynamics between steps, t or t + dt within a step.

    All times are in fs; ASE's times are converted only here.

    Parameters
    ----------
    dyn : ase dynamics
        In an optimization, time stands still.
    start_time : float, optional
        Present time, fs; by default that of `dyn`.
    """

    def __init__(self, dyn: BaseDynamics, start_time: float | None = None) -> None:
        self._dt = time_step(dyn) if isinstance(dyn, MolecularDynamics) else 0.0
        self._carries_forces = is_a(dyn, *CARRY_FORCES)
        self._steps = int(dyn.nsteps)
        self._offset = 0.0 if start_time is None else start_time - self._steps * self._dt
        self._stepping = False
        self._advanced = False
        self._requests = 0
        self._start = (np.zeros(0), np.zeros(0))

    @property
    def time(self) -> float:
        """The time of the state after the last complete step, fs."""
        return self._offset + self._steps * self._dt

    @property
    def is_within_step(self) -> bool:
        """Whether the integrator is making a step, in which nobody changes settings."""
        return self._stepping

    def state(self) -> tuple[float, int, float]:
        """Return the state between two steps, for `restore_state`."""
        return (self._offset, self._steps, self._dt)

    def restore_state(self, state: Sequence[float]) -> None:
        """Restore a state returned by `state`."""
        self._offset, steps, self._dt = state
        self._steps = int(steps)

    def __call__(self, atoms: Atoms) -> float:
        """Return the time of a request for forces on `atoms`, fs."""
        if not self._stepping:
            return self.time
        if not self._advanced:
            self._advanced = self._requests > 0 or self._has_drifted(atoms)
        self._requests += 1
        return self._offset + (self._steps + self._advanced) * self._dt

    @contextmanager
    def step(self, atoms: Atoms, has_forces: bool = False) -> Iterator[None]:
        """Context of one step of the integrator.

        Parameters
        ----------
        atoms : ase.Atoms
            The atoms before the step.
        has_forces : bool
            Whether the step is given the initial forces and does not request them.
        """
        self._stepping = True
        self._advanced = self._carries_forces or has_forces
        self._requests = 0
        self._start = (atoms.get_positions(), atoms.cell.array.copy())
        try:
            yield
        finally:
            self._stepping = False
        self._steps += 1

    def follow_time_step(self, dyn: BaseDynamics) -> bool:
        """Adopt the time step of `dyn`; return whether it has changed."""
        if not isinstance(dyn, MolecularDynamics) or time_step(dyn) == self._dt:
            return False
        now = self.time
        self._dt = time_step(dyn)
        self._offset = now - self._steps * self._dt
        return True

    def _has_drifted(self, atoms: Atoms) -> bool:
        """Whether the atoms moved before any request: then the forces at t were reused.

        A barostat may scale the cell and the atoms before it requests forces; that does not count.
        """
        positions, cell = self._start
        return np.array_equal(cell, atoms.cell.array) and not np.array_equal(
            positions, atoms.positions
        )


def time_step(dyn: MolecularDynamics) -> float:
    """Return the time step of a dynamics in fs."""
    return float(dyn.dt / units.fs)


def refresh_carried_forces(dyn: BaseDynamics) -> None:
    """Make an integrator that reuses forces from the last step recalculate them."""
    if is_a(dyn, "LangevinBAOAB"):
        dyn._update_accel()
    elif is_a(dyn, "MelchionnaNPT", "NPT"):
        dyn.initialized = 0


def is_a(dyn: BaseDynamics, *names: str) -> bool:
    """Compare by name: not every ASE version has all classes, and some have moved."""
    return any(kind.__name__ in names for kind in type(dyn).__mro__)
