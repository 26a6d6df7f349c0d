"""Predictions for a structure: raw, neutral, and with details of how they were made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ase_equivar.ase_properties import (
    BORN_CHARGES,
    DIELECTRIC_TENSOR,
    EFFECTIVE_CHARGES,
    UNCERTAINTY,
)
from ase_equivar.graph.graph import Geometry
from ase_equivar.inference.coverage import Coverage
from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.polarization import Polarization
from ase_equivar.inference.uncertainty import Calibration, doubt_by_sum_rule
from ase_equivar.sum_rule import neutralize, violation


@dataclass(frozen=True)
class RawPrediction:
    """Output of the network for one structure, before the sum rule is imposed.

    Attributes
    ----------
    born_charges : numpy.ndarray
        In |e|, row = field, column = displacement. float64, shape=(N, 3, 3).
    dielectric_tensor : numpy.ndarray or None
        ε∞, relative. float64, shape=(3, 3). None if the model does not predict it.
    n_edges : int
        Directed edges of the structure's graph.
    polarization : Polarization or None
        None if the model's Z* are not the derivative of one.
    coverage : Coverage or None
        How well the training data cover the structure. None if the model is not calibrated, or if a
        CUDA graph was replayed, which gives only Z* and ε∞.
    """

    born_charges: NDArray[np.float64]
    dielectric_tensor: NDArray[np.float64] | None
    n_edges: int
    polarization: Polarization | None = None
    coverage: Coverage | None = None

    @property
    def unusual_pairs(self) -> tuple[UnusualPair, ...]:
        """Pairs of atoms that the training data do not cover; none without a coverage."""
        return () if self.coverage is None else self.coverage.unusual_pairs


@dataclass(frozen=True)
class Prediction:
    """Response tensors of one structure.

    Attributes
    ----------
    born_charges : numpy.ndarray
        In |e|, row = field, column = displacement; their sum is the total charge. float64,
        shape=(N, 3, 3).
    dielectric_tensor : numpy.ndarray or None
        ε∞, relative. float64, shape=(3, 3). None if the model does not predict it.
    sum_rule_violation : numpy.ndarray
        Σ_i Z_i − Q·1 in |e| before the correction; large where Z* are doubtful. shape=(3, 3).
    born_charges_uncertainty : numpy.ndarray or None
        Expected root mean square error of the components of each Z* in |e|. shape=(N,). None if the
        model is not calibrated, or if a CUDA graph was replayed.
    """

    born_charges: NDArray[np.float64]
    dielectric_tensor: NDArray[np.float64] | None
    sum_rule_violation: NDArray[np.float64]
    born_charges_uncertainty: NDArray[np.float64] | None = None

    @classmethod
    def from_raw(
        cls, raw: RawPrediction, total_charge: float, calibration: Calibration | None = None
    ) -> Prediction:
        """Impose the sum rule on a raw prediction, then estimate the error."""
        excess = violation(raw.born_charges, total_charge)[0]
        born_charges = neutralize(raw.born_charges, total_charge)
        uncertainty = None
        if calibration is not None and raw.coverage is not None:
            doubt = raw.coverage.doubt_by_difference
            if doubt is None:
                doubt = doubt_by_sum_rule(excess, len(born_charges))
            uncertainty = calibration.born_charges_uncertainty(raw.coverage.familiarity, doubt)
        dielectric = raw.dielectric_tensor
        return cls(
            born_charges=born_charges,
            dielectric_tensor=None if dielectric is None else dielectric.copy(),
            sum_rule_violation=excess,
            born_charges_uncertainty=uncertainty,
        )

    def properties(self) -> dict[str, NDArray[np.float64]]:
        """Return the predicted tensors by their names in ASE."""
        found = {
            BORN_CHARGES: self.born_charges,
            EFFECTIVE_CHARGES: self.born_charges,
            DIELECTRIC_TENSOR: self.dielectric_tensor,
            UNCERTAINTY: self.born_charges_uncertainty,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Diagnostics:
    """Details of how the Z* of a structure were predicted.

    Attributes
    ----------
    raw_born_charges : numpy.ndarray
        Z* in |e| before the correction by the sum rule. shape=(N, 3, 3).
    sum_rule_violation : numpy.ndarray
        Σ_i Z_i − Q·1 of the raw Z* in |e|. shape=(3, 3).
    elements : tuple of str
        Symbols of the elements in the structure, by atomic number.
    n_edges : int
        Directed edges of the graph.
    seconds : float
        Wall time for graph and network.
    backend : str
        What computed the network: "numba" or "triton" (compiled kernels), "torch" (none, none yet,
        or a network without a choice of backends) or "e3nn"; with " (CUDA graph)" if one was
        replayed.
    """

    raw_born_charges: NDArray[np.float64]
    sum_rule_violation: NDArray[np.float64]
    elements: tuple[str, ...]
    n_edges: int
    seconds: float
    backend: str


@dataclass(frozen=True)
class TimedPrediction:
    """A raw prediction with its geometry, wall time (s) and backend."""

    geometry: Geometry
    raw: RawPrediction
    seconds: float
    backend: str

    def diagnostics(self, total_charge: float) -> Diagnostics:
        """Return the details for a cell of the given total charge in |e|."""
        numbers = sorted(set(self.geometry.numbers.tolist()))
        return Diagnostics(
            raw_born_charges=self.raw.born_charges,
            sum_rule_violation=violation(self.raw.born_charges, total_charge)[0],
            elements=tuple(chemical_symbols[number] for number in numbers),
            n_edges=self.raw.n_edges,
            seconds=self.seconds,
            backend=self.backend,
        )
