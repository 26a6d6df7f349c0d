"""What makes a prediction doubtful, said once for each crystal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

from ase_equivar.inference.prediction import Prediction
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.sum_rule import largest_per_atom
from ase_equivar.warning_types import SumRuleWarning, VacuumWarning

VIOLATION_WARNING = 0.1
"""|e| per atom, see `sum_rule.largest_per_atom`. Of the 279 validation crystals, 6 % are beyond it;
35 % of these have an rms error of Z* above 0.3 e, of the others 4 %
(``benchmarks/sum_rule_alarm.py``)."""


class WarnOnce:
    """Remembers what has been warned about.

    The steps of an MD shall not repeat a warning, another polymorph shall: one for each formula and
    volume (within 5 %).
    """

    def __init__(self) -> None:
        self._issued: set[tuple[str, bytes, int]] = set()

    def issue(self, about: str, atoms: Atoms, warn: Callable[[], bool]) -> None:
        """Call `warn`, which says whether it did, unless it has for such a crystal."""
        size = abs(atoms.cell.volume) if atoms.pbc.all() else 0.0
        counts = np.bincount(atoms.numbers).tobytes()
        key = about, counts, round(20 * np.log(max(size, 1.0)))
        if key not in self._issued and warn():
            self._issued.add(key)


def is_broken(prediction: Prediction) -> bool:
    """Whether raw Z* broke the sum rule by more than 0.1 e per atom."""
    return _per_atom(prediction) > VIOLATION_WARNING


def _per_atom(prediction: Prediction) -> float:
    return largest_per_atom(prediction.sum_rule_violation, len(prediction.born_charges))


def warn_if_broken(images: Sequence[Atoms], predictions: Sequence[Prediction]) -> bool:
    """Warn if raw Z* broke the sum rule by more than 0.1 e per atom, and say whether they did."""
    violations = [_per_atom(one) for one in predictions]
    count = sum(value > VIOLATION_WARNING for value in violations)
    if count == 0:
        return False
    worst = violations.index(max(violations))
    warnings.warn(
        f"the raw Z* of {count} of {len(violations)} structures break the sum rule by more than "
        f"{VIOLATION_WARNING} e per atom, worst in {empirical_formula(images[worst])} (index "
        f"{worst}): {violations[worst]:.2f} e per atom. The corrected Z* are doubtful too",
        SumRuleWarning,
        stacklevel=_users_frame(),
    )
    return True


def warn_if_vacuum(atoms: Atoms, cutoff: float) -> bool:
    """Warn if ε∞ is meaningless, because there is vacuum in the cell, and say whether it is.

    Parameters
    ----------
    atoms : ase.Atoms
    cutoff : float
        Range of the network's convolutions in Å: it sees no wider gap.
    """
    if atoms.pbc.all():
        gap = widest_gap(atoms)
        if gap <= cutoff:
            return False
        reason = f"has {gap:.1f} Å of vacuum"
    else:
        reason = "is not periodic in three directions"
    warnings.warn(
        f"ε∞ of {empirical_formula(atoms)}, which {reason}, is not that of its cell: the model "
        "knows bulk crystals, its answer does not depend on the width of the vacuum. Use Z* alone",
        VacuumWarning,
        stacklevel=_users_frame(),
    )
    return True


def widest_gap(atoms: Atoms) -> float:
    """Give the height in Å of the thickest slab between atoms, along any of the cell's faces."""
    inverse = np.linalg.inv(complete_cell(atoms.cell.array))
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    scaled = np.sort((atoms.positions @ inverse) % 1.0, axis=0)
    gaps = np.diff(scaled, axis=0, append=scaled[:1] + 1.0).max(axis=0)
    return float((gaps * heights).max())


def _users_frame() -> int:
    """Count frames up to the first that is neither ASE's nor of this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("ase.", "ase_equivar.")):
            break
        frame, level = frame.f_back, level + 1
    return level
