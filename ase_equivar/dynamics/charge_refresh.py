"""The Z* of a moving structure: recalculated for each geometry, or kept for several steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.arguments import LARGEST_LENGTH, positive_number, whole_number
from ase_equivar.charge_source import ChargeSource, is_fixed, largest_uncertainty, read_charges
from ase_equivar.dynamics.calculator_settings import SettingsOf
from ase_equivar.fields import field_forces

KEPT_CHARGES = (
    "kept",
    "kept_at",
    "kept_for",
    "largest_uncertainty",
    "positions",
    "cell",
    "report",
)
"""What `BornCharges.state` may hold, if Z* are kept for several steps."""


@dataclass(frozen=True)
class RefreshReport:
    """Errors made by keeping Z* for several steps.

    At each refresh, the field's forces with the old Z* are compared with those with the new Z*.
    This is the error that the next step would have had, the largest since the previous refresh.

    Attributes
    ----------
    refreshes : int
        Number of times that Z* were recalculated.
    max_charge_error : float
        Largest change of an element of Z*, |e|.
    max_force_error : float
        Largest change of the force on one atom, eV/Å.
    rms_force_error : float
        Root mean square of that change over atoms and refreshes, eV/Å.
    """

    refreshes: int = 0
    max_charge_error: float = 0.0
    max_force_error: float = 0.0
    rms_force_error: float = 0.0

    def with_error(
        self, charges: NDArray[np.float64], forces: NDArray[np.float64]
    ) -> RefreshReport:
        """Return the report updated by a refresh with these changes of Z* and of forces."""
        squared = (forces**2).sum(axis=1)
        sum_before = self.rms_force_error**2 * self.refreshes
        return RefreshReport(
            refreshes=self.refreshes + 1,
            max_charge_error=max(self.max_charge_error, float(np.abs(charges).max())),
            max_force_error=max(self.max_force_error, float(np.sqrt(squared.max()))),
            rms_force_error=float(
                np.sqrt((sum_before + float(squared.mean())) / (self.refreshes + 1))
            ),
        )


class BornCharges:
    """Z* of a structure, calculated when needed.

    Parameters
    ----------
    source : calculator, callable, array_like or mapping
        See `ase_equivar.charge_source.ChargeSource`.
    update_interval : int
        Calculate Z* at every `update_interval`-th new geometry, and keep them in between.
    max_displacement : float, optional
        Calculate Z* earlier if an atom has moved further than this since they were last calculated,
        Å.

    Raises
    ------
    ValueError
        If the source is not finite, `update_interval` is below 1, or `max_displacement` is not
        positive or has no effect.
    ase.calculators.calculator.PropertyNotImplementedError
        If a calculator does not give Z*.
    """

    def __init__(
        self,
        source: ChargeSource,
        update_interval: int = 1,
        max_displacement: float | None = None,
    ) -> None:
        interval = whole_number("update_interval", update_interval, at_least=1)
        if max_displacement is not None:
            max_displacement = positive_number(
                "max_displacement", max_displacement, "Å", largest=LARGEST_LENGTH
            )
        if max_displacement is not None and interval == 1:
            raise ValueError(
                "max_displacement has no effect while Z* are calculated for every geometry; also "
                "give update_interval, the largest number of steps for which they may be kept"
            )
        self._calculate = read_charges(source)
        self.source = source
        self._settings = SettingsOf(source)
        self._interval = 1 if is_fixed(source) else interval
        self._max_displacement = max_displacement
        self._age = 0
        self._kept: NDArray[np.float64] | None = None
        self._kept_at = np.zeros(0)
        self._geometry: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._of: tuple[NDArray[Any], NDArray[Any]] | None = None  # numbers, periodic directions
        self.report = RefreshReport()
        self.largest_uncertainty = np.nan  # of the Z* kept, |e|; of sources that state none, NaN

    def __call__(
        self, atoms: Atoms, field: NDArray[np.float64], *, in_step: bool = True
    ) -> NDArray[np.float64]:
        """Return Z* for `atoms`, |e|, shape=(N, 3, 3); a second call returns the same Z*.

        Parameters
        ----------
        atoms : ase.Atoms
        field : numpy.ndarray
            V/Å, shape=(3,) or (N, 3); used for the force error in the report.
        in_step : bool
            Whether the run is here. Otherwise, as for a look at other positions between two steps,
            Z* that are kept stay as they are, and no older.
        """
        if self.has_other_elements(atoms):
            self.forget()
        if self._kept is not None and self._is_same(atoms):
            return self._kept
        if self._kept is not None and self._interval > 1 and not in_step:
            return self._kept
        if self._kept is None or self._interval == 1 or self._is_due(atoms):
            new = self._calculate(atoms)
            if self._kept is not None and self._interval > 1:
                change = new - self._kept
                self.report = self.report.with_error(change, field_forces(change, field))
            self._kept, self._kept_at, self._age = new, atoms.positions.copy(), 0
            self.largest_uncertainty = largest_uncertainty(self.source)
            self._settings.were_used(atoms)
        self._of = (atoms.numbers.copy(), atoms.pbc.copy())
        self._geometry = (atoms.positions.copy(), atoms.cell.array.copy())
        return self._kept

    def has_other_settings(self, atoms: Atoms) -> bool:
        """Whether the source would give others for the same atoms: then `forget` those kept."""
        return self._settings.changed(atoms)

    def has_other_elements(self, atoms: Atoms) -> bool:
        """Whether these are other atoms, or periodic otherwise, than those of the last call."""
        return self._of is not None and not _all_equal(self._of, (atoms.numbers, atoms.pbc))

    def forget(self) -> None:
        """Calculate Z* anew the next time."""
        self._kept = None

    def state(self) -> dict[str, Any]:
        """Return the Z* in use and their age, for `restore_state`."""
        if self._kept is None or self._geometry is None or self._interval == 1:
            return {}
        return {
            "kept": self._kept,
            "kept_at": self._kept_at,
            "kept_for": self._age,
            "largest_uncertainty": self.largest_uncertainty,
            "positions": self._geometry[0],
            "cell": self._geometry[1],
            "report": asdict(self.report),
        }

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore the Z* in `state`, if there are any."""
        if "kept" not in state:
            return
        self._kept, self._kept_at, self._age = (
            state[name] for name in ("kept", "kept_at", "kept_for")
        )
        self.largest_uncertainty = state.get("largest_uncertainty", np.nan)  # absent in older ones
        self._geometry = (state["positions"], state["cell"])
        self.report = RefreshReport(**state["report"])

    def _is_same(self, atoms: Atoms) -> bool:
        """Whether these are the atoms of the last call."""
        return self._geometry is not None and _all_equal(
            self._geometry, (atoms.positions, atoms.cell.array)
        )

    def _is_due(self, atoms: Atoms) -> bool:
        self._age += 1
        moved = np.linalg.norm(atoms.positions - self._kept_at, axis=1).max()
        too_far = self._max_displacement is not None and moved > self._max_displacement
        return bool(self._age >= self._interval or too_far)


def _all_equal(before: tuple[NDArray[Any], ...], now: tuple[NDArray[Any], ...]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(before, now, strict=True))
