"""An ASE calculator that adds the forces of a field to those of another calculator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    Calculator,
    PropertyNotImplementedError,
    all_changes,
    all_properties,
)
from numpy.typing import NDArray

from ase_equivar.arguments import finite_number, finite_real
from ase_equivar.calculated_property import own
from ase_equivar.dynamics.acting_field import ActingField
from ase_equivar.dynamics.calculator_settings import SettingsOf
from ase_equivar.dynamics.charge_refresh import BornCharges
from ase_equivar.dynamics.dipole_path import DipolePath
from ase_equivar.dynamics.run_warnings import warn_of_standing_field
from ase_equivar.dynamics.step_clock import StepClock
from ase_equivar.fields import field_forces
from ase_equivar.graph.geometry import changed_parts

STRESS_NAMES = ("stress", "stresses")
SETTINGS = "settings"  # among the changes of a state: those of the calculators
LARGEST_FORCE = 1e6  # eV/Å; no dynamics survives a step with such a force


class FieldCalculator(Calculator):
    """Adds the forces Z*ᵀE of a field; all other properties are those of the wrapped calculator.

    The energy is that without field, as in EquivarCalculator, because the energy in a field is not
    defined in a periodic cell. The work of the field takes its place; see `ase_equivar.dynamics`.

    Parameters
    ----------
    calculator : ase calculator
        Provides forces.
    charges : BornCharges
        Provides Z*.
    field : ActingField
        In V/Å.
    clock : StepClock
        Returns the time (fs) of the requested forces; called with the Atoms at each request. Cached
        forces are discarded if the field at that time differs.
    path : DipolePath
        Where the last step has left the atoms.
    stress_without_field : bool
        Return the wrapped calculator's stress instead of refusing it.
    """

    is_driven = (
        True  # for those who want forces without field: `electric_field` may be zero just now
    )

    def __init__(
        self,
        calculator: BaseCalculator,
        charges: BornCharges,
        field: ActingField,
        clock: StepClock,
        path: DipolePath,
        *,
        stress_without_field: bool = False,
    ) -> None:
        super().__init__()
        self._wrapped = calculator
        self._settings = SettingsOf(calculator)
        self._charges = charges
        self._field = field
        self._clock = clock
        self._path = path
        self._seen_standing_field = False
        self._stress_without_field = stress_without_field
        self._latest_field = np.zeros(3)
        self._added = np.zeros((0, 3))
        self._added_by = np.zeros((0, 3, 3))
        self._added_field = np.full(3, np.nan)  # there are no forces yet
        self.results: dict[str, Any] = {}

    @property
    def calculator(self) -> BaseCalculator:
        """The wrapped calculator."""
        return self._wrapped

    @property
    def electric_field(self) -> NDArray[np.float64]:
        """The field of the latest forces, V/Å, shape=(3,), or (N, 3) if it varies in space."""
        return self._latest_field.copy()

    @property
    def implemented_properties(self) -> list[str]:
        """Names of all available properties."""
        return [name for name in self._wrapped.implemented_properties if not self._refuses(name)]

    def coupling(self, atoms: Atoms) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the field's forces on `atoms` now, and the Z* they were calculated with.

        Units and shapes: eV/Å, (N, 3), and |e|, (N, 3, 3).
        """
        self.get_property("forces", atoms)
        return self._added.copy(), self._added_by.copy()

    def field_on(self, atoms: Atoms, time: float) -> NDArray[np.float64]:
        """Return the field on `atoms` at `time` (fs): V/Å, shape=(3,), or (N, 3) if it varies.

        Raises
        ------
        ValueError
            If the field is not three finite numbers.
        """
        return self._field.on(atoms, time, lambda: self._charges_of(atoms, self._latest_field))

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """List changes of `atoms`, however small, of the field and of calculators' settings."""
        changes = changed_parts(self.atoms, atoms)
        if not self._clock.is_within_step and self._has_other_settings(atoms):
            changes.append(SETTINGS)
        if not np.array_equal(self._latest_field, self._added_field):
            changes.append("electric_field")
        return changes

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """Return one property; see `ase.calculators.calculator.Calculator.get_property`.

        Raises
        ------
        ase.calculators.calculator.PropertyNotImplementedError
            If the wrapped calculator does not provide it, or for stress, which Z* do not define.
        """
        if self._refuses(name):
            raise PropertyNotImplementedError(
                f"{name!r} in an electric field is not defined by Z* alone (that needs the "
                "piezoelectric response); to use the stress without field as an approximation, "
                "set stress_without_field=True"
            )
        if name == "forces" and atoms is not None:
            self._latest_field = self.field_on(atoms, self._clock(atoms))
            self._look_for_standing_field(atoms)
        return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("forces",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Calculate the requested properties, and store others that come at no extra cost.

        Raises
        ------
        FloatingPointError
            If positions are not finite: the dynamics is unstable.
        ValueError
            If the wrapped calculator's energy or forces are not finite, or do not fit the atoms.
        RuntimeError
            If the wrapped calculator fails by a programming error.
        """
        super().calculate(atoms, properties, system_changes)
        now = self.atoms
        if SETTINGS in system_changes:  # what is asked for here may not be Z*
            self._charges.forget()
        lost = np.flatnonzero(~np.isfinite(now.positions).all(axis=1))
        if lost.size:
            raise FloatingPointError(
                f"the position of atom {lost[0]} ({now.symbols[lost[0]]}) is no longer finite at "
                f"{self._clock(now):.4g} fs: the time step, the friction or the forces are too "
                "large for a stable dynamics"
            )
        for name in properties:
            value = self._checked(name, self._from_wrapped(name, now), now)
            if name == "forces":
                field = self._latest_field
                self._added_by = self._charges_of(now, field)
                self._added = field_forces(self._added_by, field)
                self._added_field = field
                value = value + self._added
            self.results[name] = value
        self._settings.were_used(now)
        for name, value in getattr(self._wrapped, "results", {}).items():
            if name in all_properties and name != "forces" and not self._refuses(name):
                self.results[name] = self._checked(name, value, now)

    def _look_for_standing_field(self, atoms: Atoms) -> None:
        """Warn once if another dynamics, or finite differences, see a pulse as a static field."""
        if self._field.is_static or self._seen_standing_field or not self._latest_field.any():
            return
        if away := self._path.moved_meanwhile(atoms):
            self._seen_standing_field = True
            warn_of_standing_field(away, self._clock.time)

    def _charges_of(self, atoms: Atoms, field: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._charges(atoms, field, in_step=self._clock.is_within_step)

    def _has_other_settings(self, atoms: Atoms) -> bool:
        if self._settings.changed(atoms):
            return True
        return self._charges.source is not self._wrapped and self._charges.has_other_settings(atoms)

    def _from_wrapped(self, name: str, atoms: Atoms) -> Any:
        try:
            return self._wrapped.get_property(name, atoms)
        except (LookupError, AttributeError, TypeError, NameError, AssertionError) as error:
            raise RuntimeError(
                f"the calculator {type(self._wrapped).__name__} failed at "
                f"{self._clock(atoms):.4g} fs: {type(error).__name__}: {error}"
            ) from error

    def _checked(self, name: str, value: Any, atoms: Atoms) -> Any:
        of = f"of the calculator {type(self._wrapped).__name__}"
        if name == "forces":
            return finite_real(
                f"the array of forces {of}",
                value,
                (len(atoms), 3),
                unit="eV/Å",
                largest=LARGEST_FORCE,
            )
        return (
            finite_number(f"the energy {of}", value, unit="eV") if name == "energy" else own(value)
        )

    def _refuses(self, name: str) -> bool:
        return name in STRESS_NAMES and not self._stress_without_field
