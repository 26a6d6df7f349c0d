"""Whether a calculator was given other settings since it calculated something that is kept."""

from __future__ import annotations

from functools import partial
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from ase_equivar.graph.geometry import changed_parts

MOTION = {"positions", "cell"}


class SettingsOf:
    """Asks a calculator, or anything, whether it would now give other values for the same geometry.

    Parameters
    ----------
    calculator : object
        Without ``check_state``, as a function of Atoms, it never says so.
    """

    def __init__(self, calculator: Any) -> None:
        self._look = getattr(calculator, "check_state", None)
        if getattr(type(calculator), "check_state", None) is Calculator.check_state:
            self._look = partial(_changes, calculator)
        self._can_tell: bool | None = None  # unknown until it has been used

    def were_used(self, atoms: Atoms) -> None:
        """Take note that the calculator has just been asked for a property of these atoms."""
        if self._can_tell is None:
            # some keep no atoms or no results, and so call everything changed at all times
            self._can_tell = not self._differ(atoms)

    def changed(self, atoms: Atoms) -> bool:
        """Whether settings, or atoms in more than their positions and cell, are others now."""
        return bool(self._can_tell) and self._differ(atoms)

    def _differ(self, atoms: Atoms) -> bool:
        return self._look is not None and not MOTION.issuperset(self._look(atoms))


def _changes(calculator: Calculator, atoms: Atoms) -> set[str]:
    """ASE's own `check_state`, which takes a tenth of a millisecond, several times in each step."""
    return set(changed_parts(calculator.atoms, atoms)).difference(calculator.ignored_changes)
