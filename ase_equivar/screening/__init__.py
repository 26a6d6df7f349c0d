"""Dielectric screening of many crystals: a table of ε∞, ε0, LO–TO gaps and Z*.

From Python::

    recipe = Recipe(EquivarCalculator, partial(SevenNetCalculator, "7net-0"))
    screen([Path("structures.extxyz")], Path("table.csv"), recipe, workers=4)

A module is imported when one of its names is first used: a process that leaves the calculation to
others needs no PyTorch.
"""

from typing import TYPE_CHECKING

from ase_equivar.lazy_names import lazy_names

if TYPE_CHECKING:
    from ase_equivar.screening.evaluation import screen_one
    from ase_equivar.screening.limits import Limits
    from ase_equivar.screening.row import Recipe, Row
    from ase_equivar.screening.run import screen
    from ase_equivar.screening.structures import read_structures
    from ase_equivar.screening.table import Summary

__all__ = ["Limits", "Recipe", "Row", "Summary", "read_structures", "screen", "screen_one"]

_HOMES = {
    "evaluation": ("screen_one",),
    "limits": ("Limits",),
    "row": (
        "Recipe",
        "Row",
    ),
    "run": ("screen",),
    "structures": ("read_structures",),
    "table": ("Summary",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
