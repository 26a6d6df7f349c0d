"""Errors of a model for labelled structures, broken down in useful ways."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ase_equivar.structures.lattice import compact_atoms
from ase_equivar.structures.symmetry import space_group, spglib_cell
from ase_equivar.sum_rule import violation
from ase_equivar.training.comparison import Comparison
from ase_equivar.training.data import LabelledFrame

CRYSTAL_SYSTEMS = (
    (2, "triclinic"),
    (15, "monoclinic"),
    (74, "orthorhombic"),
    (142, "tetragonal"),
    (167, "trigonal"),
    (194, "hexagonal"),
    (230, "cubic"),
)
CLEAN_LABEL = 0.1  # e; labels whose own violation of the sum rule is below this
MODERATE_DIELECTRIC = 20.0  # trace/3; above this, the gap is nearly closed


@dataclass(frozen=True)
class BornErrors:
    """Errors of Z* over the atoms of a set, in |e|.

    Attributes
    ----------
    n_atoms : int
    mae, rmse : float
        Errors over all nine components.
    diagonal_mae, off_diagonal_mae : float
        Errors over the three diagonal and the six off-diagonal components.
    diagonal_rmse, off_diagonal_rmse : float
    """

    n_atoms: int
    mae: float
    rmse: float
    diagonal_mae: float
    diagonal_rmse: float
    off_diagonal_mae: float
    off_diagonal_rmse: float


@dataclass(frozen=True)
class DielectricErrors:
    """Errors of ε∞ over the structures with a label.

    Attributes
    ----------
    n_structures : int
    median_relative_trace : float
        Median of |tr ε / tr ε_label - 1|.
    moderate_mae : float
        Mean absolute error of all components where trace/3 of the label is below 20; NaN if there
        are none.
    n_moderate : int
    """

    n_structures: int
    median_relative_trace: float
    moderate_mae: float
    n_moderate: int


@dataclass(frozen=True)
class Evaluation:
    """All errors of one model on one set of structures.

    Attributes
    ----------
    n_structures : int
    unknown : tuple of str
        Formulas left out because the model does not support one of their elements.
    born : BornErrors
    largest_charge_mae : float
        Mean over structures of the error of max |Z*| (largest component), e.
    raw_violation : float
        Mean over structures of the largest component of |Σ Z* - Q| before correction, e.
    raw_violation_per_atom : float
        The same divided by the number of atoms.
    by_source, by_element, by_crystal_system, by_label : dict of str to BornErrors
    dielectric : DielectricErrors or None
    """

    n_structures: int
    unknown: tuple[str, ...]
    born: BornErrors
    largest_charge_mae: float
    raw_violation: float
    raw_violation_per_atom: float
    by_source: dict[str, BornErrors]
    by_element: dict[str, BornErrors]
    by_crystal_system: dict[str, BornErrors]
    by_label: dict[str, BornErrors]
    dielectric: DielectricErrors | None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; None where a number is undefined."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def evaluate(found: Comparison) -> Evaluation:
    """Return the errors of a model, broken down by element, crystal system and so on."""
    left, differences = found.frames, found.differences
    excess = [np.abs(violation(raw)).max() for raw in found.raw_born_charges]
    largest = [
        abs(np.abs(predicted).max() - np.abs(frame.born_charges).max())
        for predicted, frame in zip(found.born_charges, left, strict=True)
    ]
    return Evaluation(
        n_structures=len(left),
        unknown=found.unknown,
        born=_born_errors(np.concatenate(differences)),
        largest_charge_mae=float(np.mean(largest)),
        raw_violation=float(np.mean(excess)),
        raw_violation_per_atom=float(
            np.mean([x / len(f.atoms) for x, f in zip(excess, left, strict=True)])
        ),
        by_source=_grouped(left, differences, lambda a: str(a.info.get("source", "unnamed"))),
        by_element=_by_element(left, differences),
        by_crystal_system=_grouped(left, differences, crystal_system),
        by_label=_grouped(left, differences, _label_quality),
        dielectric=_dielectric_errors(found.dielectric_pairs),
    )


def crystal_system(atoms: Atoms) -> str:
    """Crystal system of a structure from spglib; "none" if no space group is found."""
    atoms = compact_atoms(atoms)
    found = space_group(spglib_cell(atoms), 1e-2) if atoms.pbc.all() else None
    if found is None:
        return "none"
    return next(name for last, name in CRYSTAL_SYSTEMS if found.number <= last)


def _label_quality(atoms: Atoms) -> str:
    own = atoms.info.get("raw_sum_rule_violation")
    if not isinstance(own, int | float | np.number):
        return "label's own sum-rule violation not given"
    side = "up to" if own <= CLEAN_LABEL else "above"
    return f"label's own sum-rule violation {side} {CLEAN_LABEL} e"


def _born_errors(difference: NDArray[np.float64]) -> BornErrors:
    diagonal = difference[:, np.eye(3, dtype=bool)]
    rest = difference[:, ~np.eye(3, dtype=bool)]

    def mae(values: NDArray[np.float64]) -> float:
        return float(np.abs(values).mean())

    def rmse(values: NDArray[np.float64]) -> float:
        return float(np.sqrt((values**2).mean()))

    return BornErrors(
        n_atoms=len(difference),
        mae=mae(difference),
        rmse=rmse(difference),
        diagonal_mae=mae(diagonal),
        diagonal_rmse=rmse(diagonal),
        off_diagonal_mae=mae(rest),
        off_diagonal_rmse=rmse(rest),
    )


def _grouped(
    frames: Sequence[LabelledFrame],
    differences: Sequence[NDArray[np.float64]],
    name: Callable[[Atoms], str],
) -> dict[str, BornErrors]:
    groups: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for frame, difference in zip(frames, differences, strict=True):
        groups[name(frame.atoms)].append(difference)
    return {key: _born_errors(np.concatenate(groups[key])) for key in sorted(groups)}


def _by_element(
    frames: Sequence[LabelledFrame], differences: Sequence[NDArray[np.float64]]
) -> dict[str, BornErrors]:
    numbers = np.concatenate([frame.atoms.numbers for frame in frames])
    all_atoms = np.concatenate(differences)
    return {chemical_symbols[z]: _born_errors(all_atoms[numbers == z]) for z in np.unique(numbers)}


def _dielectric_errors(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> DielectricErrors | None:
    if not pairs:
        return None
    relative = [abs(np.trace(ours) / np.trace(label) - 1.0) for ours, label in pairs]
    moderate = [
        np.abs(ours - label).mean()
        for ours, label in pairs
        if np.trace(label) / 3.0 < MODERATE_DIELECTRIC
    ]
    return DielectricErrors(
        n_structures=len(pairs),
        median_relative_trace=float(np.median(relative)),
        moderate_mae=float(np.mean(moderate)) if moderate else float("nan"),
        n_moderate=len(moderate),
    )
