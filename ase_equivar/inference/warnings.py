"""Warnings of doubtful predictions, issued once for each crystal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.inference.prediction import Prediction
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.structures.metals import (
    describe_metal,
    signs_of_a_metal_in_response,
    signs_of_a_metal_in_structure,
)
from ase_equivar.structures.vacuum import describe_vacuum
from ase_equivar.sum_rule import largest_per_atom
from ase_equivar.warning_types import (
    MetalWarning,
    SumRuleWarning,
    UncertaintyWarning,
    VacuumWarning,
)

VIOLATION_WARNING = 0.1
"""|e| per atom, see `sum_rule.largest_per_atom`. Of the 279 validation crystals, 6 % are beyond it;
35 % of these have an rms error of Z* above 0.3 e, of the others 4 %
(``benchmarks/sum_rule_alarm.py``)."""

LARGE_UNCERTAINTY = 0.2
"""|e|, largest of the atoms. Of the validation crystals, 6 % are beyond it; 25 % of these (59 % for
the polar model) have an rms error of Z* above 0.3 e, of the others 5 %
(``benchmarks/metal_alarm.py``)."""


class WarnOnce:
    """Remembers what has been warned about.

    The steps of an MD shall not repeat a warning, another polymorph shall: one for each formula and
    volume (within 5 %).
    """

    def __init__(self) -> None:
        self._issued: set[tuple[str, bytes, int]] = set()

    def is_first(self, about: str, atoms: Atoms) -> bool:
        """Whether it has not been asked about such a crystal before."""
        size = abs(atoms.cell.volume) if atoms.pbc.all() else 0.0
        counts = np.bincount(atoms.numbers).tobytes()
        key = about, counts, round(20 * np.log(max(size, 1.0)))
        if key not in self._issued:
            self._issued.add(key)
            return True
        return False


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


def warn_of_first_structure(
    once: WarnOnce,
    atoms: Atoms,
    per_atom: float,
    dielectric_tensor: NDArray[np.float64] | None,
    total_charge: float,
) -> None:
    """Warn of all that makes a prediction doubtful, once for each crystal.

    Parameters
    ----------
    once : WarnOnce
    atoms : ase.Atoms
    per_atom : float
        Violation of the sum rule as `sum_rule.largest_per_atom` gives it, |e|.
    dielectric_tensor : ndarray or None, shape (3, 3)
        ε∞, if the model has it.
    total_charge : float
        Of the cell, |e|.
    """
    if once.is_first("vacuum", atoms):
        warn_if_vacuum([atoms])
    if per_atom > VIOLATION_WARNING and once.is_first("sum rule", atoms):
        warn_if_broken([atoms], [per_atom])
    if signs := _new_signs_of_a_metal(once, atoms, per_atom, dielectric_tensor, total_charge):
        _warn_of_metals([(atoms, signs)], 1)


def warn_of_structures(
    images: Sequence[Atoms], predictions: Sequence[Prediction], total_charge: float
) -> None:
    """Warn of all that makes the predictions of some structures doubtful."""
    violations = [
        largest_per_atom(one.sum_rule_violation, len(one.born_charges)) for one in predictions
    ]
    warn_if_broken(images, violations)
    warn_if_vacuum(images)
    once, found = WarnOnce(), []
    for atoms, per_atom, prediction in zip(images, violations, predictions, strict=True):
        signs = _new_signs_of_a_metal(
            once, atoms, per_atom, prediction.dielectric_tensor, total_charge
        )
        if signs:
            found.append((atoms, signs))
    if found:
        _warn_of_metals(found, len(images))


def _new_signs_of_a_metal(
    once: WarnOnce,
    atoms: Atoms,
    per_atom: float,
    dielectric_tensor: NDArray[np.float64] | None,
    total_charge: float,
) -> list[str]:
    signs = signs_of_a_metal_in_response(atoms, per_atom, dielectric_tensor)
    if once.is_first("structure", atoms):
        signs = [*signs_of_a_metal_in_structure(atoms, total_charge), *signs]
    return signs if signs and once.is_first("metal", atoms) else []


def warn_if_uncertain(once: WarnOnce, atoms: Atoms, uncertainty: NDArray[np.float64]) -> None:
    """Warn where the largest uncertainty of Z* exceeds 0.2 e, once for each crystal."""
    worst = int(np.argmax(uncertainty))
    if uncertainty[worst] > LARGE_UNCERTAINTY and once.is_first("uncertainty", atoms):
        warnings.warn(
            f"the model expects an error of Z* of {uncertainty[worst]:.2f} e for atom {worst} "
            f"({atoms.symbols[worst]}) of {empirical_formula(atoms)}, and of more than "
            f"{LARGE_UNCERTAINTY} e for {int((uncertainty > LARGE_UNCERTAINTY).sum())} of its "
            f"{len(atoms)} atoms: it knows few such structures. Label one by DFPT to see how far "
            "off it is, and fine-tune where that is too much",
            UncertaintyWarning,
            stacklevel=_users_frame(),
        )


def _warn_of_metals(found: Sequence[tuple[Atoms, list[str]]], n_images: int) -> None:
    atoms, signs = found[0]
    among = f"first of {len(found)} such crystals: " if n_images > 1 else ""
    warnings.warn(
        f"{among}{describe_metal(atoms, signs)}",
        MetalWarning,
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
