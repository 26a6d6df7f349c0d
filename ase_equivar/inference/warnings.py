"""What makes a prediction doubtful, said once for each crystal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from ase_equivar.structures.formula import empirical_formula
from ase_equivar.structures.vacuum import describe_vacuum
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

    def issue(self, about: str, atoms: Atoms, warn: Callable[[], object]) -> None:
        """Call `warn`, which looks and warns, unless it has been called for such a crystal."""
        size = abs(atoms.cell.volume) if atoms.pbc.all() else 0.0
        counts = np.bincount(atoms.numbers).tobytes()
        key = about, counts, round(20 * np.log(max(size, 1.0)))
        if key not in self._issued:
            self._issued.add(key)
            warn()


def warn_if_broken(images: Sequence[Atoms], violations: Sequence[float]) -> None:
    """Warn if raw Z* broke the sum rule by more than 0.1 e per atom.

    Parameters
    ----------
    images : sequence of ase.Atoms
    violations : sequence of float
        Of each structure, as `sum_rule.largest_per_atom` gives it, |e|.
    """
    count = sum(value > VIOLATION_WARNING for value in violations)
    if count == 0:
        return
    worst = violations.index(max(violations))
    warnings.warn(
        f"the raw Z* of {count} of {len(violations)} structures break the sum rule by more than "
        f"{VIOLATION_WARNING} e per atom, worst in {empirical_formula(images[worst])} (index "
        f"{worst}): {violations[worst]:.2f} e per atom. The corrected Z* are doubtful too",
        SumRuleWarning,
        stacklevel=_users_frame(),
    )


def warn_if_vacuum(images: Sequence[Atoms]) -> None:
    """Warn where Z* and ε∞ are not what the cell answers with, because there is vacuum in it."""
    reasons = [(atoms, describe_vacuum(atoms)) for atoms in images]
    found = [(atoms, reason) for atoms, reason in reasons if reason is not None]
    if not found:
        return
    atoms, reason = found[0]
    among = f", first of {len(found)} such structures of {len(images)}" if len(images) > 1 else ""
    warnings.warn(
        f"{empirical_formula(atoms)}{among}, {reason}: the model knows bulk crystals. Its Z* are "
        "the response to the field inside the material. For a slab, the cell as a whole answers "
        "along the normal with Z*/(f + (1 − f) ε∞), f being the filled part of its height, and "
        "to a field applied from outside with Z*/ε∞. A sheet of one layer or a molecule has no "
        "inside: Z* may be off by half of itself there, whatever uncertainty is stated, and a "
        "first-principles calculation is the way to better ones. ε∞ is that of a bulk, not of the "
        "cell. See 'Cells with vacuum' in docs/conventions.md",
        VacuumWarning,
        stacklevel=_users_frame(),
    )


def _users_frame() -> int:
    """Count frames up to the first that is neither ASE's nor of this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("ase.", "ase_equivar.")):
            break
        frame, level = frame.f_back, level + 1
    return level
