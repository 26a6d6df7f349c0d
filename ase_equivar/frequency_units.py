"""The units in which spectra are given: cm⁻¹, THz or meV."""

from __future__ import annotations

from enum import StrEnum

from scipy import constants

THZ_TO_CM: float = 1e10 / constants.c  # cm⁻¹ per THz


class FrequencyUnit(StrEnum):
    """A unit of frequency; 1 THz is `per_thz` of them."""

    CM = "cm"
    THZ = "THz"
    MEV = "meV"

    @property
    def per_thz(self) -> float:
        """How many of this unit make 1 THz."""
        return {
            FrequencyUnit.CM: THZ_TO_CM,
            FrequencyUnit.THZ: 1.0,
            FrequencyUnit.MEV: 1e15 * constants.h / constants.e,
        }[self]

    @property
    def label(self) -> str:
        """The unit as it is written in a table or on an axis."""
        return "cm⁻¹" if self is FrequencyUnit.CM else self.value
