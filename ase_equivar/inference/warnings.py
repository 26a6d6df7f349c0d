"""Warnings of doubtful predictions, issued once for each crystal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.prediction import Prediction
from ase_equivar.inference.predictor import Predictor
from ase_equivar.inference.uncertain_atoms import UncertainAtoms
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
"""|e| per atom, see `sum_rule.largest_per_atom`. Of the 279 validation crystals, 8 % exceed it; of
these, 27 % have an rms error of Z* above 0.3 e, of the others 3 %
(``benchmarks/sum_rule_alarm.py``)."""


class WarnOnce:
    """Remembers which warnings have been issued for which crystals.

    A crystal is identified by its formula and volume (within 5 %): steps of an MD do not repeat a
    warning, another polymorph does.
    """

    def __init__(self) -> None:
        self._issued: set[tuple[str, bytes, int]] = set()

    def is_first(self, about: str, atoms: Atoms) -> bool:
        """Whether this is the first call about such a crystal."""
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
        Of each structure, as returned by `sum_rule.largest_per_atom`, |e|.
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
    prediction: Prediction,
    unusual_pairs: Sequence[UnusualPair],
    predictor: Predictor,
    total_charge: float,
) -> None:
    """Warn if a prediction is doubtful for whatever reason, once for each crystal and reason.

    Parameters
    ----------
    once : WarnOnce
    atoms : ase.Atoms
    prediction : Prediction
    unusual_pairs : sequence of UnusualPair
    predictor : Predictor
        Whose latest prediction it is.
    total_charge : float
        Of the cell, |e|.
    """
    per_atom = largest_per_atom(prediction.sum_rule_violation, len(atoms))
    if once.is_first("vacuum", atoms):
        warn_if_vacuum([atoms])
    if per_atom > VIOLATION_WARNING and once.is_first("sum rule", atoms):
        warn_if_broken([atoms], [per_atom])
    if signs := _new_signs_of_a_metal(once, atoms, per_atom, prediction, total_charge):
        _warn_of_metals([(atoms, signs)], 1)
    if text := _new_doubt(once, atoms, prediction, unusual_pairs, predictor.cutoff):
        which = f" as the {_ordinal(predictor.count)} structure" if predictor.count > 1 else ""
        _warn_of_doubt(atoms, which, text)


def warn_of_structures(
    images: Sequence[Atoms],
    predictions: Sequence[Prediction],
    unusual_pairs: Sequence[Sequence[UnusualPair]],
    cutoff: float,
    total_charge: float,
) -> None:
    """Warn if predictions are doubtful for whatever reason, once for each reason."""
    violations = [
        largest_per_atom(one.sum_rule_violation, len(one.born_charges)) for one in predictions
    ]
    warn_if_broken(images, violations)
    warn_if_vacuum(images)
    once, metals, doubts = WarnOnce(), [], []
    for index, (atoms, per_atom, prediction) in enumerate(
        zip(images, violations, predictions, strict=True)
    ):
        signs = _new_signs_of_a_metal(once, atoms, per_atom, prediction, total_charge)
        if signs:
            metals.append((atoms, signs))
        if text := _new_doubt(once, atoms, prediction, unusual_pairs[index], cutoff):
            doubts.append((index, text))
    if metals:
        _warn_of_metals(metals, len(images))
    if doubts:
        index, text = doubts[0]
        many = f", the first of {len(doubts)} such crystals" if len(images) > 1 else ""
        _warn_of_doubt(images[index], f" (index {index}{many})", text)


def _new_signs_of_a_metal(
    once: WarnOnce,
    atoms: Atoms,
    per_atom: float,
    prediction: Prediction,
    total_charge: float,
) -> list[str]:
    doubts = prediction.born_charges_uncertainty
    signs = signs_of_a_metal_in_response(
        atoms,
        per_atom,
        prediction.dielectric_tensor,
        None if doubts is None else float(doubts.max()),
    )
    if once.is_first("structure", atoms):
        signs = [*signs_of_a_metal_in_structure(atoms, total_charge), *signs]
    return signs if signs and once.is_first("metal", atoms) else []


def _new_doubt(
    once: WarnOnce,
    atoms: Atoms,
    prediction: Prediction,
    unusual_pairs: Sequence[UnusualPair],
    cutoff: float,
) -> str:
    """Return what the model does not know of a crystal, unless it has been warned of."""
    texts = []
    uncertainty = prediction.born_charges_uncertainty
    if uncertainty is not None:
        found = UncertainAtoms.among(
            uncertainty, prediction.born_charges, atoms.numbers, np.arange(len(atoms))
        )
        if found.count and once.is_first("uncertainty", atoms):
            texts.append(found.describe())
    if unusual_pairs and once.is_first("pairs", atoms):
        texts.append(describe_pairs(unusual_pairs, cutoff))
    return "; ".join(texts)


def describe_pairs(pairs: Sequence[UnusualPair], cutoff: float) -> str:
    """Return the first pairs as part of a sentence about the model; the cutoff in Å."""
    return f"its training data have {'; '.join(pair.describe(cutoff) for pair in pairs[:3])}"


def describe_doubt(like: str, text: str) -> str:
    """Return the message about a structure `like` which the model knows few, and why."""
    return (
        f"the model knows few structures like {like}: {text}. Compare Z* with those of DFPT, and "
        "fine-tune the model if the errors are too large"
    )


def _warn_of_doubt(atoms: Atoms, which: str, text: str) -> None:
    warnings.warn(
        describe_doubt(f"{empirical_formula(atoms)}{which}", text),
        UncertaintyWarning,
        stacklevel=_users_frame(),
    )


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"


def _warn_of_metals(found: Sequence[tuple[Atoms, list[str]]], n_images: int) -> None:
    atoms, signs = found[0]
    among = f"first of {len(found)} such crystals: " if n_images > 1 else ""
    warnings.warn(
        f"{among}{describe_metal(atoms, signs)}",
        MetalWarning,
        stacklevel=_users_frame(),
    )


def warn_if_vacuum(images: Sequence[Atoms]) -> None:
    """Warn of vacuum in a cell: Z* and ε∞ are then not the response of the cell as a whole."""
    reasons = [(atoms, describe_vacuum(atoms)) for atoms in images]
    found = [(atoms, reason) for atoms, reason in reasons if reason is not None]
    if not found:
        return
    atoms, reason = found[0]
    among = f", first of {len(found)} such structures of {len(images)}" if len(images) > 1 else ""
    warnings.warn(
        f"{empirical_formula(atoms)}{among}, {reason}: the model was trained on bulk crystals, "
        "almost only. Its Z* are the response to the field inside the material. For a slab, the "
        "response of the whole cell along the normal is Z*/(f + (1 − f) ε∞), where f is the filled "
        "fraction of its height, and the response to a field applied from outside is Z*/ε∞. A "
        "single layer or a molecule has no bulk inside: Z* may be several times too large there "
        "(zz of B in a monolayer of h-BN), and the error larger than the uncertainty that is "
        "stated; use a first-principles calculation. ε∞ is that of a bulk crystal, not of the "
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
