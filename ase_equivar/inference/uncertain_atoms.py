"""Atoms whose Z* a model does not know well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

LARGE_UNCERTAINTY = 0.1
"""|e|, of an atom."""
LARGE_RELATIVE_UNCERTAINTY = 0.2
"""Relative to the root mean square of the singular values of Z*. Both limits must be exceeded. Of
the validation crystals, 13 % have such an atom; 31 % of these have an rms error of Z* above 0.3 e,
and 2.5 % of the others (test: 12 %, 40 %, 2.7 %; ``benchmarks/uncertainty.py``)."""


def is_uncertain(
    uncertainty: NDArray[np.float64], born_charges: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return for which atoms the uncertainty of Z* is large, also relative to Z* itself.

    Parameters
    ----------
    uncertainty : ndarray, shape (N,)
        |e|.
    born_charges : ndarray, shape (N, 3, 3)
        |e|.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    sizes = np.sqrt(np.square(born_charges).sum(axis=(1, 2)) / 3)
    limits = np.maximum(LARGE_UNCERTAINTY, LARGE_RELATIVE_UNCERTAINTY * sizes)
    return np.asarray(uncertainty > limits)


@dataclass(frozen=True)
class UncertainAtoms:
    """Those of some atoms that have a large uncertainty of Z*.

    Attributes
    ----------
    largest : float
        Largest uncertainty, |e|; 0 if there is no large one.
    name : str
        The atom that has it.
    count : int
        Number of atoms with a large uncertainty.
    n_atoms : int
        Number of all atoms.
    """

    largest: float
    name: str
    count: int
    n_atoms: int

    @classmethod
    def among(
        cls,
        uncertainty: NDArray[np.float64],
        born_charges: NDArray[np.float64],
        numbers: NDArray[np.int64],
        labels: NDArray[np.int64],
    ) -> UncertainAtoms:
        """Look for them; atoms are named by `labels` and their elements."""
        large = np.where(is_uncertain(uncertainty, born_charges), uncertainty, 0.0)
        count = int(np.count_nonzero(large))
        if not count:
            return cls(0.0, "", 0, len(large))
        worst = int(np.argmax(large))
        name = f"{labels[worst]} ({chemical_symbols[numbers[worst]]})"
        return cls(float(large[worst]), name, count, len(large))

    def describe(self) -> str:
        """Return it as part of a sentence about the model."""
        others = f", and a large one for {self.count - 1} more" if self.count > 1 else ""
        return (
            f"it expects an error of Z* of {self.largest:.2f} e for atom {self.name}{others}, of "
            f"{self.n_atoms} atoms"
        )
