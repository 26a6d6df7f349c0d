"""A potential that the commands have no name for: `other_potentials:sevennet_mf_0`."""

from __future__ import annotations

from ase.calculators.calculator import BaseCalculator
from sevenn.calculator import SevenNetCalculator


def sevennet_mf_0() -> BaseCalculator:
    """Return SevenNet-MF-0 with its PBE head, whose weights come with the package of SevenNet-0."""
    made: BaseCalculator = SevenNetCalculator("7net-mf-0", modal="PBE", device="cpu")
    return made
