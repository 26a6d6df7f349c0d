"""``ase-equivar born --compare``: predicted Z* and ε∞ beside labels, and what to think of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from ase_equivar.cli.tables import number

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from ase_equivar.training.data import LabelledFrame
    from ase_equivar.training.sections import DataConfig

USUAL = 2.0  # times the expected error; 95 % of normally distributed errors
DOUBTFUL = 3.0  # times its own expected error, for an atom to be named
SAME_FRAME = 1e-6  # Å and e, between copies of a frame
CLOSER = 0.5  # of the difference: labels in the right order have no other that is that close
ANTISYMMETRIC = 0.03  # e, root mean square, from which on two orders of indices can be told apart


@dataclass(frozen=True)
class BornComparison:
    """Predicted Z* beside labels of the same structure.

    Attributes
    ----------
    labels : ndarray, shape (N, 3, 3), |e|
        As calculated, in the order of the predicted structure.
    differences : ndarray, shape (N, 3, 3), |e|
        Predicted minus label.
    expected : ndarray of shape (N,), |e|, or None
        Root mean square error of the components that the model expects for each atom.
    dielectric : ndarray of shape (3, 3) or None
        ε∞ of the labels.
    frame : int
        Number of the structure in the file of the labels.
    numbers : ndarray of shape (N,)
        Atomic numbers.
    total_charge : float
        Of the cell, |e|: what Z* should sum to.
    """

    labels: NDArray[np.float64]
    differences: NDArray[np.float64]
    expected: NDArray[np.float64] | None
    dielectric: NDArray[np.float64] | None
    frame: int
    numbers: NDArray[np.int64]
    total_charge: float = 0.0

    @property
    def of_each_atom(self) -> NDArray[np.float64]:
        """Root mean square difference of the components of each atom, |e|, shape (N,)."""
        return np.asarray(np.sqrt((self.differences**2).mean(axis=(1, 2))))

    @property
    def overall(self) -> float:
        """Root mean square difference of all components, |e|."""
        return _rms(self.differences)

    @property
    def overall_expected(self) -> float | None:
        """Root mean square of what the model expects, |e|."""
        return None if self.expected is None else _rms(self.expected)

    def verdict(self) -> str:
        """Say in words whether the difference is what the model expects."""
        told = f"rms difference {self.overall:.3f} e"
        excess = self.labels.sum(axis=0) - self.total_charge * np.eye(3)
        violation = np.abs(excess).max() / len(self.labels)
        if self.overall_expected is None:
            told += "; the model states no uncertainty to compare it with"
        else:
            ratio = self.overall / self.overall_expected if self.overall_expected else np.inf
            within = "within" if ratio <= USUAL else "NOT within"
            told += (
                f", {within} the expected error of the model: {ratio:.1f} times the "
                f"{self.overall_expected:.3f} e that it expects (up to {USUAL:g} times is usual)"
            )
            doubtful = np.flatnonzero(self.of_each_atom > DOUBTFUL * np.asarray(self.expected))
            if doubtful.size:
                told += f"; more than {DOUBTFUL:g} times for atoms {', '.join(map(str, doubtful))}"
        told += f". The labels themselves break the sum rule by {violation:.4f} e per atom."
        if self.is_transposed:
            told += (
                " What is antisymmetric in the transpose of the labels is much closer: is the "
                "order of their indices another?"
            )
        elif self.is_permuted:
            told += (
                " With the labels of atoms of one element exchanged, the difference is less than "
                "half: is their order of atoms another?"
            )
        return told

    @property
    def is_transposed(self) -> bool:
        """Whether the predicted Z* say that the indices of the labels are in the other order.

        Only antisymmetric parts can say so: the error of the symmetric ones is the same in both.
        """
        labels = _antisymmetric(self.labels)
        predicted = _antisymmetric(self.labels + self.differences)
        return bool(
            _rms(labels) > ANTISYMMETRIC
            and _rms(predicted + labels) < CLOSER * _rms(predicted - labels)
        )

    @property
    def is_permuted(self) -> bool:
        """Whether labels of atoms of the same element fit much better in another order."""
        from scipy.optimize import linear_sum_assignment
        from scipy.spatial.distance import cdist

        labels = self.labels.reshape(-1, 9)
        predicted = labels + self.differences.reshape(-1, 9)
        least = 0.0
        for kind in np.unique(self.numbers):
            same = self.numbers == kind
            costs = cdist(predicted[same], labels[same], "sqeuclidean")
            least += costs[linear_sum_assignment(costs)].sum()
        return bool(least < CLOSER**2 * (self.differences**2).sum())

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into a JSON file."""
        return {
            "frame": self.frame,
            "born_charges": self.labels.tolist(),
            "dielectric_tensor": None if self.dielectric is None else self.dielectric.tolist(),
            "differences": self.differences.tolist(),
            "rms_difference": self.overall,
            "rms_difference_of_atoms": self.of_each_atom.tolist(),
            "expected_rms": self.overall_expected,
            "expected_rms_of_atoms": None if self.expected is None else self.expected.tolist(),
            "verdict": self.verdict(),
        }


@dataclass(frozen=True)
class Labels:
    """Labels of a structure, in its order of atoms; see `BornComparison`."""

    born_charges: NDArray[np.float64]
    dielectric: NDArray[np.float64] | None
    frame: int
    numbers: NDArray[np.int64]

    def agree_with(self, others: Labels) -> bool:
        """Whether others are the same but for rounding."""
        pairs = (self.born_charges, others.born_charges), (self._tensor, others._tensor)
        return all(np.allclose(*pair, rtol=0, atol=SAME_FRAME, equal_nan=True) for pair in pairs)

    @property
    def _tensor(self) -> NDArray[np.float64]:
        return np.full((3, 3), np.nan) if self.dielectric is None else self.dielectric

    def compared(
        self,
        charges: NDArray[np.float64],
        expected: NDArray[np.float64] | None,
        total_charge: float = 0.0,
    ) -> BornComparison:
        """Return the comparison with predicted Z*, which sum to `total_charge`, |e|."""
        return BornComparison(
            labels=self.born_charges,
            differences=charges - self.born_charges,
            expected=expected,
            dielectric=self.dielectric,
            frame=self.frame,
            numbers=self.numbers,
            total_charge=total_charge,
        )


def labels_of(atoms: Atoms, file: str, config: DataConfig) -> Labels:
    """Read the labels of a structure out of a file, which may hold other structures too.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no file, if its labels cannot be used, or if it does not hold the structure or
        has several labels for it.
    """
    from ase_equivar.io.file_selection import split_selection
    from ase_equivar.structures.matching import same_atoms

    frames = _frames(file, config)
    reason = ""
    found: list[tuple[float, Labels]] = []
    for number_, frame in frames.items():
        try:
            same = same_atoms(atoms, frame.atoms)
        except ValueError as error:
            reason = reason or str(error)
            continue
        charges = frame.born_charges[same.order]
        labels = Labels(charges, frame.dielectric, number_, atoms.numbers)
        found.append((same.farthest, labels))
    if not found:
        which = "the structure" if len(frames) == 1 else f"each of the {len(frames)} structures"
        raise ValueError(
            f"{which} with labels in {file} is another than the one to predict: {reason}"
            + (" for the first" if len(frames) > 1 else "")
        )
    # frames of a trajectory may differ by less than files are rounded
    least, nearest = min(found, key=lambda one: one[0])
    for distance, labels in found:
        if distance <= least + SAME_FRAME and not labels.agree_with(nearest):
            path, _ = split_selection(file)
            raise ValueError(
                f"{path} has other labels for the same structure in frame {labels.frame} than in "
                f"frame {nearest.frame}: name one, such as {path}@{nearest.frame}"
            )
    return nearest


def labelled_structure(file: str, config: DataConfig) -> tuple[Atoms, Labels]:
    """Return the last structure with labels of a file, which ASE alone may not be able to read."""
    number_, frame = list(_frames(file, config).items())[-1]
    return frame.atoms, Labels(frame.born_charges, frame.dielectric, number_, frame.atoms.numbers)


def _frames(file: str, config: DataConfig) -> dict[int, LabelledFrame]:
    from ase_equivar.io.file_selection import split_selection
    from ase_equivar.io.input_files import check_file
    from ase_equivar.training.data import read_numbered_frames

    check_file(split_selection(file)[0])
    # The comparison states by how much the labels break the sum rule, and large cells may.
    config = replace(config, max_sum_rule_violation=float("inf"))
    return read_numbered_frames(file, config)


def _antisymmetric(tensors: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (tensors - tensors.transpose(0, 2, 1))


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))


def comparison_table(atoms: Atoms, comparison: BornComparison) -> Table:
    """Return the differences, predicted minus label, of each atom."""
    table = Table(title="Z*: predicted − label (|e|)", box=None, padding=(0, 1))
    table.add_column("atom", justify="right")
    table.add_column("")
    for name in ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz", "rms", "expected"):
        table.add_column(name, justify="right")
    expected = comparison.expected
    for i, symbol in enumerate(atoms.symbols):
        cells = [number(value) for value in comparison.differences[i].ravel()]
        told = "" if expected is None else number(expected[i])
        table.add_row(str(i), symbol, *cells, number(comparison.of_each_atom[i]), told)
    return table
