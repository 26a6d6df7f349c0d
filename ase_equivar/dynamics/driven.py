"""A dynamics in a field: its steps, and the work and polarization that accumulate in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize.optimize import BaseDynamics
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import finite_number, finite_real
from ase_equivar.dynamics.acting_field import ActingField
from ase_equivar.dynamics.charge_refresh import BornCharges, RefreshReport
from ase_equivar.dynamics.checks import check_no_other_field, check_time_step
from ase_equivar.dynamics.dipole_path import DipolePath
from ase_equivar.dynamics.field_calculator import FieldCalculator
from ase_equivar.dynamics.held_displacement import HeldDisplacement
from ase_equivar.dynamics.run_warnings import (
    warn_if_without_effect,
    warn_of_other_motion,
    warn_of_zero_field,
)
from ase_equivar.dynamics.step_clock import StepClock, refresh_carried_forces
from ase_equivar.fields.displacement import field_energy

NEGLIGIBLE = 1e-9  # V/Å (0.1 V/cm): a weaker field has no effect in a simulation
SAMPLES = 5  # samples of a function, by which checkpoints recognize it


def check_drive(driven: object) -> None:
    """Refuse what is no `Drive`, such as the dynamics itself.

    Raises
    ------
    TypeError
        Saying so.
    """
    if not isinstance(driven, Drive):
        raise TypeError(f"driven is a {type(driven).__name__}; give what drive() returned")


class Drive:
    """A dynamics in a field, as returned by `drive`; run the dynamics, then read its attributes."""

    def __init__(
        self,
        dyn: BaseDynamics,
        atoms: Atoms,
        calculator: FieldCalculator,
        clock: StepClock,
        charges: BornCharges,
        field: ActingField,
        path: DipolePath,
    ) -> None:
        self._dyn = dyn
        self._atoms = atoms
        self._calculator = calculator
        self._clock = clock
        self._charges = charges
        self._field = field
        self._path = path
        self._plain_step: Callable[..., Any] = dyn.step
        self._work = 0.0
        self._seen_effect = self._seen_other_motion = False
        self._continued_from = np.inf
        self._first_time = clock.time
        dyn.step = self._step
        atoms.calc = calculator
        refresh_carried_forces(dyn)

    @property
    def atoms(self) -> Atoms:
        """The atoms in the field."""
        return self._atoms

    @property
    def dynamics(self) -> BaseDynamics:
        """The dynamics in the field."""
        return self._dyn

    @property
    def time(self) -> float:
        """The time of the field, fs."""
        return self._clock.time

    @property
    def electric_field(self) -> NDArray[np.float64]:
        """The present field, V/Å, shape=(3,); zero after `release`.

        If the field depends on position, its mean over the atoms.
        """
        now = self._field_now()
        return now.mean(axis=0) if now.ndim == 2 else now

    @property
    def fields_on_atoms(self) -> NDArray[np.float64]:
        """The present field at each atom, V/Å, shape=(N, 3)."""
        return np.array(np.broadcast_to(self._field_now(), (len(self._atoms), 3)))

    @property
    def field_energy(self) -> float:
        """(Ω/2) E·ε0 ε∞ E at a constant D, eV: conserved together with the energy of the atoms.

        Zero after `release`, like the field: read it before.

        Raises
        ------
        ValueError
            If D is not held constant: the energy −Ω E·P is not defined in a periodic cell.
        """
        if not isinstance(self._field, HeldDisplacement):
            raise ValueError(
                "field_energy is defined for a ConstantDisplacement only; for this field, see work"
            )
        tensor, volume = self._field.dielectric_tensor, self._atoms.get_volume()
        return field_energy(self.electric_field, tensor, volume)

    @property
    def field_forces(self) -> NDArray[np.float64]:
        """The field's part of the present forces, eV/Å, shape=(N, 3); zero after `release`."""
        if not self._is_on:
            return np.zeros((len(self._atoms), 3))
        return self._calculator.coupling(self._atoms)[0]

    @property
    def work(self) -> float:
        """Work of the field on the atoms since `drive`, eV; may be set, for a continued run."""
        return self._work

    @work.setter
    def work(self, work: float) -> None:
        self._work = finite_number("work", work, unit="eV")
        self._path.forget_place()

    @property
    def born_charges(self) -> NDArray[np.float64]:
        """The Z* behind the present forces of the field, |e|, shape=(N, 3, 3)."""
        return self._calculator.coupling(self._atoms)[1]

    @property
    def largest_uncertainty(self) -> float:
        """The largest uncertainty of an atom's Z* now, |e|; NaN where their source states none."""
        self._calculator.coupling(self._atoms)
        return self._charges.largest_uncertainty

    @property
    def dipole_changes(self) -> NDArray[np.float64]:
        """∫ Z*_i dr_i of each atom since `drive`, |e|·Å, shape=(N, 3); may be set, like `work`.

        Their sum is the change of Ω P along the path. If Z* derive from a polarization, it depends
        only on the end points of the path; hops of ions into neighboring cells are counted.
        """
        return self._path.dipole_changes.copy()

    @dipole_changes.setter
    def dipole_changes(self, changes: ArrayLike) -> None:
        given = finite_real("dipole_changes", changes, None, unit="|e|·Å")
        expected = self._path.dipole_changes.shape
        if given.shape != expected:
            raise ValueError(f"dipole_changes have shape {given.shape}, not {expected}")
        self._path.dipole_changes = given
        self._path.forget_place()

    @property
    def displacements(self) -> NDArray[np.float64]:
        """Displacement of each atom since `drive`, not wrapped into the cell, Å, shape=(N, 3).

        Under a barostat: relative to the cell, without its deformation.
        """
        return self._path.displacements.copy()

    @property
    def continued(self) -> bool:
        """Whether this run continues from a checkpoint, even one at its first step."""
        return self._continued_from < np.inf

    @property
    def continued_from(self) -> float:
        """The time of the checkpoint that this run continues from, fs; infinity without one."""
        return self._continued_from

    @property
    def refresh_report(self) -> RefreshReport:
        """Errors of the forces due to Z* that were not calculated at every step."""
        return self._charges.report

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint as arrays and plain data, for `restore_state`."""
        return {
            "field": self._field.text,
            "field_samples": self._sample_field() if self._field.text is None else [],
            "work": self._work,
            "dipole_changes": self.dipole_changes,
            "displacements": self.displacements,
            "seen_effect": self._seen_effect,
            "clock": self._clock.state(),
            **self._charges.state(),
            **self._field.state(),
        }

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by `state` of a drive with the same field.

        Raises
        ------
        ValueError
            If it belongs to another field or another number of atoms; nothing is changed then.
        """
        if state["field"] != self._field.text:
            saved, here = (known or "a function" for known in (state["field"], self._field.text))
            raise ValueError(f"the field of the checkpoint is {saved}, but this run has {here}")
        for time, *before in state.get("field_samples", ()):
            now = self._field.sample(time)
            if not np.allclose(before, now, rtol=1e-9, atol=0):
                raise ValueError(
                    f"the checkpoint belongs to another field: at {time:g} fs it was {before} V/Å, "
                    f"and this one is {now}"
                )
        self.dipole_changes = state["dipole_changes"]
        self._path.restore(self.dipole_changes, np.array(state["displacements"]))
        self._field.restore_state(state)
        self._work = state["work"]
        self._seen_effect = state["seen_effect"]
        self._clock.restore_state(state["clock"])
        self._charges.restore_state(state)
        self._continued_from = self._clock.time

    def release(self) -> None:
        """Remove the field and restore the original calculator and dynamics.

        Logs, trajectories and checkpoints of this drive are detached from the dynamics.
        """
        if self._is_on:
            self._atoms.calc = self._calculator.calculator
        if self._dyn.__dict__.get("step") == self._step:
            del self._dyn.step
        self._dyn.observers = [
            entry for entry in self._dyn.observers if not self._observed_by(entry)
        ]
        refresh_carried_forces(self._dyn)

    @property
    def _is_on(self) -> bool:
        return self._atoms.calc is self._calculator

    def _observed_by(self, entry: tuple[Any, ...]) -> bool:
        """Whether an entry of ASE's list of observers belongs to this drive."""
        function, _, args, kwargs = entry
        return getattr(function, "driven", None) is self or any(
            given is self for given in (*args, *kwargs.values())
        )

    def _step(self, *args: Any, **kwargs: Any) -> Any:
        if not self._is_on:
            raise RuntimeError(
                "the calculator was replaced after drive, so the field would be lost; release(), "
                "set the calculator, and drive again"
            )
        if len(self._atoms) != len(self._path.displacements):
            raise RuntimeError(
                "atoms were added or removed after drive; release(), and drive again"
            )
        check_no_other_field(self._calculator.calculator)  # its settings may change at any time
        if self._clock.follow_time_step(self._dyn):
            check_time_step(self._dyn, self._field)
        self._look_for_other_motion()
        forces_before, charges_before = self._calculator.coupling(self._atoms)
        has_forces = any(one is not None for one in (*args[:1], kwargs.get("forces")))
        self._path.begin(self._atoms, charges_before)
        with self._clock.step(self._atoms, has_forces):
            result = self._plain_step(*args, **kwargs)
        forces_after, charges_after = self._calculator.coupling(self._atoms)
        moved = self._path.end(self._atoms, charges_after)
        self._work += 0.5 * float(((forces_before + forces_after) * moved).sum())
        if not self._seen_effect:
            self._look_for_effect(forces_before, forces_after)
        return result

    def _sample_field(self) -> list[list[float]]:
        """Return sample times from the start until now, and the field at these times."""
        times = np.unique(np.linspace(self._first_time, self.time, SAMPLES)).tolist()
        return [[time, *self._field.sample(time)] for time in times]

    def _field_now(self) -> NDArray[np.float64]:
        """Return the present field, V/Å, shape=(3,), or (N, 3) if it depends on position."""
        if not self._is_on:
            return np.zeros(3)
        return self._calculator.field_on(self._atoms, self.time)

    def _look_for_other_motion(self) -> None:
        """Warn once, or refuse at a constant D, if atoms were moved between two steps."""
        away = self._path.moved_meanwhile(self._atoms)
        if away and self._field.follows_path:
            raise RuntimeError(
                "the atoms were moved between two steps, so the polarization that a constant D "
                "needs is unknown; release(), and drive again with the polarization of the new "
                "positions"
            )
        if away and not self._seen_other_motion:
            self._seen_other_motion = True
            warn_of_other_motion(away, self.time)

    def _look_for_effect(self, *forces: NDArray[np.float64]) -> None:
        """Warn once if the field exerts no force, or if it was zero throughout the run.

        The latter is tested only at the last step of a run, because a pulse may come late.
        """
        field = self._calculator.electric_field
        if np.abs(field).max() > NEGLIGIBLE:
            self._seen_effect = True
            warn_if_without_effect(field, forces, self._atoms)
        elif not self._field.follows_path and self._dyn.nsteps + 1 == self._dyn.max_steps:
            self._seen_effect = True
            warn_of_zero_field(NEGLIGIBLE, self.time)
