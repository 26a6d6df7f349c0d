"""Which properties an `EquivarCalculator` can give as it stands, and why it refuses the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from ase_equivar.ase_properties import (
    BORN_CHARGES,
    CLAMPED_PIEZO,
    DIELECTRIC_TENSOR,
    EFFECTIVE_CHARGES,
    UNCERTAINTY,
)
from ase_equivar.inference.polarization import PROPERTIES as OF_POLARIZATION
from ase_equivar.inference.polarization import properties_for
from ase_equivar.inference.predictor import Predictor
from ase_equivar.settings import Settings
from ase_equivar.static_field import ALL_TERMS, FORCES
from ase_equivar.wrapped_calculator import STRESS_NAMES, WrappedCalculator


@dataclass(frozen=True)
class AvailableProperties:
    """Properties of a model and of the calculator that is wrapped.

    Attributes
    ----------
    settings : Settings
        Model, field and charge of the cell: a charged cell has no polarization.
    wrapped : WrappedCalculator

    Raises
    ------
    ValueError
        If the wrapped calculator's energy shall have the field's part, −Ω E·P, and there is no P.
    """

    settings: Settings
    wrapped: WrappedCalculator

    def __post_init__(self) -> None:
        if self.wrapped.polarization_energy and not self._is_polar:
            raise ValueError(f"polarization_energy: {self._no_polarization}")

    @cached_property
    def of_model(self) -> tuple[str, ...]:
        """Those that the model predicts, which are never taken from the wrapped calculator."""
        names = [BORN_CHARGES, EFFECTIVE_CHARGES]
        names += [DIELECTRIC_TENSOR] if self._predictor.has_dielectric else []
        names += [UNCERTAINTY] if self._predictor.calibration is not None else []
        names += OF_POLARIZATION if self._is_polar else []
        names += [CLAMPED_PIEZO] if self.has_head else []
        return tuple(names)

    def names(self) -> list[str]:
        """List all."""
        others = [name for name in self.wrapped.properties() if name not in self.of_model]
        return [
            *self.of_model,
            *(name for name in others if self._refusal(name) is None),
        ]

    def with_field(self, names: Sequence[str]) -> list[str]:
        """Return those to which the electric field adds something, if there is one."""
        if not self.settings.in_field:
            return []
        terms = ALL_TERMS if self.wrapped.polarization_energy else FORCES
        return [name for name in names if name in terms]

    def require(self, *names: str) -> None:
        """Refuse properties that cannot be given.

        Raises
        ------
        PropertyNotImplementedError
            Saying why.
        """
        for name in names:
            if (reason := self._refusal(name)) is not None:
                raise PropertyNotImplementedError(reason)

    def require_for(self, atoms: Atoms, names: Sequence[str]) -> None:
        """Refuse properties that a structure does not have, periodic as it is.

        Raises
        ------
        PropertyNotImplementedError
            Saying why.
        """
        if "stress" in self.with_field(names) and not atoms.pbc.all():
            raise PropertyNotImplementedError(
                "'stress' in an electric field needs a cell that is periodic in three directions"
            )
        for name in names:
            if name not in self.of_model or name not in OF_POLARIZATION:
                continue
            if name not in properties_for(atoms):
                raise PropertyNotImplementedError(
                    f"{name!r}: 'polarization' is that of cells that are periodic in three "
                    "directions, 'dipole' that of molecules, periodic in none"
                )

    def _refusal(self, name: str) -> str | None:
        """Say why a property cannot be given, None if it can."""
        if name in self.of_model:
            return None
        if name not in self.wrapped.properties():
            return self._not_listed(name)
        if not self.settings.in_field:
            return None
        with_polarization = self.wrapped.polarization_energy
        if with_polarization and name in ("energies", "stresses"):
            return f"{name!r}: the field's part, −Ω E·P, has no share of each atom"
        if name in STRESS_NAMES and not (self.wrapped.stress_without_field or with_polarization):
            return (
                f"{name!r} in an electric field is not defined by Z* alone; set electric_field to "
                "None, construct with polarization_energy=True for that with the part of the field "
                "(which needs a polar model), or with stress_without_field=True for the wrapped "
                "calculator's"
            )
        return None

    def _not_listed(self, name: str) -> str:
        """Say why neither the model nor the wrapped calculator gives a property."""
        if name == CLAMPED_PIEZO and self._predictor.has_piezoelectric:
            return f"{name!r} of a charged cell is not defined; total_charge must be 0"
        if name in OF_POLARIZATION:
            return f"{name!r}: {self._no_polarization}"
        model, calculator = self._predictor.name, self.wrapped.calculator
        if name == UNCERTAINTY:
            return (
                f"{name!r}: the model {model} has no calibration; make one by 'ase-equivar "
                "calibrate MODEL DATA'"
            )
        remedy = (
            "wrap a calculator that gives it: EquivarCalculator(calculator)"
            if calculator is None
            else f"the wrapped {type(calculator).__name__} does not list it either"
        )
        own = ", ".join(self.of_model)
        return f"{name!r} is not predicted by the model {model}, which gives {own}; {remedy}"

    @property
    def has_head(self) -> bool:
        """Whether the clamped-ion tensor comes from a head of its own, not from a polarization."""
        return self._predictor.has_piezoelectric and self.settings.total_charge == 0

    @property
    def _predictor(self) -> Predictor:
        return self.settings.predictor

    @property
    def _is_polar(self) -> bool:
        return self._predictor.has_polarization and self.settings.total_charge == 0

    @property
    def _no_polarization(self) -> str:
        if self._predictor.has_polarization:
            return "that of a charged cell depends on the origin; total_charge must be 0"
        return (
            f"the Z* of the model {self._predictor.name} are not the derivative of a polarization; "
            "take a polar model, such as 'universal-polar'"
        )
