"""The settings of an `EquivarCalculator` that may change while it lives, checked together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import finite_number
from ase_equivar.fields import check_field
from ase_equivar.inference.predictor import Predictor
from ase_equivar.sum_rule import LARGEST_TOTAL

NAMES = ("model", "electric_field", "total_charge")


@dataclass(frozen=True)
class Settings:
    """A model, an electric field, and a charge.

    Attributes
    ----------
    predictor : Predictor
        The model.
    electric_field : ndarray or None, shape (3,)
        V/Å, read-only.
    total_charge : float
        Of the cell, |e|.
    """

    predictor: Predictor
    electric_field: NDArray[np.float64] | None
    total_charge: float

    @property
    def in_field(self) -> bool:
        """Whether there is an electric field that is not zero."""
        return self.electric_field is not None and bool(self.electric_field.any())

    def changed(self, given: Mapping[str, Any]) -> Settings:
        """Return the settings with some replaced.

        Raises
        ------
        TypeError
            If there is no setting of a name.
        ValueError, FileNotFoundError, TypeError
            If one is wrong, as in `EquivarCalculator`.
        """
        for name in given:
            if name not in NAMES:
                raise TypeError(f"no setting {name!r}; there are {', '.join(NAMES)}")
        predictor, field, charge = self.predictor, self.electric_field, self.total_charge
        if "electric_field" in given:
            field = checked_field(given["electric_field"])
        if "total_charge" in given:
            charge = checked_charge(given["total_charge"])
        if "model" in given:
            old = predictor
            predictor = Predictor(given["model"], old.device, old.dtype, old.backend)
        return Settings(predictor, field, charge)


def checked_field(field: ArrayLike | None) -> NDArray[np.float64] | None:
    """Return a field as a read-only array (3,), V/Å; None is no field."""
    if field is None:
        return None
    checked = check_field(field)
    checked.setflags(write=False)
    return checked


def checked_charge(charge: float) -> float:
    """Return the net charge of a cell, |e|, if it is a number that makes sense."""
    return finite_number("total_charge", charge, unit="|e|", largest=LARGEST_TOTAL)
