"""The calculator that an `EquivarCalculator` wraps: what of its properties is passed through."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator, all_properties

from ase_equivar.ase_properties import UNCERTAINTY

ENERGY_NAMES = ("energy", "free_energy")
STRESS_NAMES = ("stress", "stresses")


@dataclass(frozen=True)
class WrappedCalculator:
    """Any ASE calculator, or none.

    Attributes
    ----------
    calculator : ase calculator or None
    own : collection of str
        Properties that the model predicts, which are never taken from the calculator.
    stress_without_field : bool
        Whether stress may be given while an electric field is on.
    polarization_energy : bool
        Whether the field's part, from a polarization, is added to energy and stress.

    Raises
    ------
    TypeError
        If it is no calculator.
    """

    calculator: BaseCalculator | None
    own: Collection[str]
    stress_without_field: bool
    polarization_energy: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no calculator."""
        if self.calculator is not None and not hasattr(self.calculator, "get_property"):
            raise TypeError(
                f"calculator is {self.calculator!r}, which is no ASE calculator; the name of a "
                "model goes to model=…"
            )

    def properties(self) -> list[str]:
        """List the properties that the calculator gives and the model does not predict."""
        if self.calculator is None:
            return []
        # a SinglePointCalculator lists nothing
        names = self.calculator.implemented_properties or getattr(self.calculator, "results", ())
        return [name for name in names if name not in self.own]

    def refusal(self, name: str, model: str, *, in_field: bool) -> str | None:
        """Say why a property that is none of the model's cannot be given, None if it can.

        Parameters
        ----------
        name : str
            Of the property.
        model : str
            Name of the model, for the message.
        in_field : bool
            Whether an electric field is on.
        """
        listed = name in self.properties()
        if name == UNCERTAINTY and not listed:
            return (
                f"{name!r}: the model {model} has no calibration; make one by 'ase-equivar "
                "calibrate MODEL DATA'"
            )
        if not listed:
            remedy = (
                "wrap a calculator that gives it: EquivarCalculator(calculator)"
                if self.calculator is None
                else f"the wrapped {self.calculator.name} does not list it either"
            )
            return f"{name!r} is not predicted by the model {model}; {remedy}"
        if not in_field:
            return None
        if self.polarization_energy and name in ("energies", "stresses"):
            return f"{name!r}: the field's part, −Ω E·P, has no share of each atom"
        if name in STRESS_NAMES and not (self.stress_without_field or self.polarization_energy):
            return (
                f"{name!r} in an electric field is not defined by Z* alone; set electric_field to "
                "None, construct with polarization_energy=True for that with the part of the field "
                "(which needs a polar model), or with stress_without_field=True for the wrapped "
                "calculator's"
            )
        return None

    def changed(self, atoms: Atoms) -> bool:
        """Whether the calculator says that its results are not those of `atoms` as it stands."""
        look = getattr(self.calculator, "check_state", None)
        return look is not None and bool(look(atoms))

    def fill(
        self, results: dict[str, Any], atoms: Atoms, names: Iterable[str], *, in_field: bool
    ) -> None:
        """Put properties in `results`: these, and others that are ready and cost nothing."""
        if self.calculator is None:
            return
        for name in names:
            results[name] = self.calculator.get_property(name, atoms)
        left_out = {"forces"} if in_field else set()  # they would need Z*, which nobody asked for
        if in_field and not self.stress_without_field:
            left_out.update(STRESS_NAMES)
        if in_field and self.polarization_energy:
            left_out.update((*ENERGY_NAMES, "energies"))
        for name in self.properties():
            if name in results or name in left_out or name not in all_properties:
                continue
            value = self.calculator.get_property(name, atoms, allow_calculation=False)
            if value is not None:
                results[name] = value
