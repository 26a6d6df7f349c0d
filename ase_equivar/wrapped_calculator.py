"""The calculator that an `EquivarCalculator` wraps: what of its properties is passed through."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator, all_properties

from ase_equivar.arguments import check_flag, refuse_class
from ase_equivar.calculated_property import calculated_property, own

ENERGY_NAMES = ("energy", "free_energy")
STRESS_NAMES = ("stress", "stresses")


@dataclass(frozen=True)
class WrappedCalculator:
    """Any ASE calculator, or none.

    Attributes
    ----------
    calculator : ase calculator or None
    stress_without_field : bool
        Whether stress may be given while an electric field is on.
    polarization_energy : bool
        Whether the field's part, from a polarization, is added to energy and stress.

    Raises
    ------
    TypeError
        If it is no calculator, or a setting is neither True nor False.
    ValueError
        If both settings are on.
    """

    calculator: BaseCalculator | None
    stress_without_field: bool
    polarization_energy: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no calculator, and settings that exclude each other."""
        for name in ("stress_without_field", "polarization_energy"):
            check_flag(name, getattr(self, name))
        if self.stress_without_field and self.polarization_energy:
            raise ValueError(
                "stress_without_field leaves out what polarization_energy adds to the stress: set "
                "one of them"
            )
        refuse_class("calculator", self.calculator)
        # Atoms have a get_property too
        needed = ("get_property", "implemented_properties")
        if self.calculator is not None and not all(hasattr(self.calculator, n) for n in needed):
            raise TypeError(
                f"calculator is {self.calculator!r}, which is no ASE calculator; the name of a "
                "model goes to model=…"
            )

    def properties(self) -> list[str]:
        """List the properties that the calculator gives."""
        if self.calculator is None:
            return []
        # a SinglePointCalculator lists nothing
        return [
            *(self.calculator.implemented_properties or getattr(self.calculator, "results", ()))
        ]

    def changed(self, atoms: Atoms) -> bool:
        """Whether the calculator says that its results are not those of `atoms` as it stands."""
        look = getattr(self.calculator, "check_state", None)
        return look is not None and bool(look(atoms))

    def fill(
        self,
        results: dict[str, Any],
        atoms: Atoms,
        names: Iterable[str],
        of_model: Collection[str],
        *,
        in_field: bool,
        has_polarization: bool,
    ) -> list[str]:
        """Put properties in `results`: these, and others that are ready and cost nothing.

        Those `of_model` are never taken from the calculator, nor is what is ready but lacks the
        field's part. With a polarization at hand (`has_polarization`) that of the energy is known,
        and the energy is taken.

        Returns
        -------
        list of str
            Names of what was ready.
        """
        if self.calculator is None:
            return []
        for name in names:
            results[name] = own(calculated_property(self.calculator, name, atoms))
        left_out = {*of_model}
        if in_field:
            left_out.add("forces")  # they would need Z*, which nobody asked for
        if in_field and not self.stress_without_field:
            left_out.update(STRESS_NAMES)
        if in_field and self.polarization_energy:
            left_out.update(("energies", *(() if has_polarization else ENERGY_NAMES)))
        ready = []
        for name in self.properties():
            if name in results or name in left_out or name not in all_properties:
                continue
            value = self.calculator.get_property(name, atoms, allow_calculation=False)
            if value is not None:
                results[name] = own(value)
                ready.append(name)
        return ready
