"""How well the uncertainties that a model states predict its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import erf
from scipy.stats import spearmanr

from ase_equivar.inference.uncertainty import Calibration
from ase_equivar.network import Ensemble, GatedNetwork, Network
from ase_equivar.training.calibration import describe, doubts
from ase_equivar.training.comparison import Comparison
from ase_equivar.training.data import LabelledFrame

LEVELS = np.linspace(0.0, 4.0, 401)  # errors, in units of the uncertainty


@dataclass(frozen=True)
class UncertaintyQuality:
    """How well uncertainties predict errors.

    Attributes
    ----------
    rms_ratio : float
        Root mean square of all errors over that of all uncertainties: 1 is perfect.
    rank_correlation : float
        Spearman's rank correlation between uncertainty and error (both per atom, root mean square
        of components).
    miscalibration_area : float
        Area between the fraction of components whose error is within z uncertainties and that of a
        normal distribution, as a function of the latter: 0 is perfect, 0.5 is the worst.
    within_one, within_two : float
        Fractions of the components with errors below one and two uncertainties; 0.68 and 0.95 for
        normally distributed errors of one width, more if they have long tails.
    """

    rms_ratio: float
    rank_correlation: float
    miscalibration_area: float
    within_one: float
    within_two: float


def uncertainty_quality(
    network: Network, comparison: Comparison, calibration: Calibration | None
) -> UncertaintyQuality | None:
    """Judge the uncertainties of a model; None if it has no calibration."""
    if calibration is None or not isinstance(network, GatedNetwork | Ensemble):
        return None
    return quality(
        np.concatenate(comparison.differences),
        np.concatenate(uncertainties(network, comparison.frames, calibration)),
    )


def uncertainties(
    network: GatedNetwork | Ensemble, frames: Sequence[LabelledFrame], calibration: Calibration
) -> list[NDArray[np.float64]]:
    """Return the uncertainties of the atoms of each frame, e."""
    seen = describe(network, frames)
    return [
        calibration.born_charges_uncertainty(
            calibration.known.familiarity(features, numbers), doubt
        )
        for features, numbers, doubt in zip(
            seen.features, seen.numbers, doubts(seen, calibration.compared_with), strict=True
        )
    ]


def quality(errors: NDArray[np.float64], uncertainty: NDArray[np.float64]) -> UncertaintyQuality:
    """Compare errors (N, 3, 3) with uncertainties (N,), both in e."""
    floor = np.maximum(uncertainty, 1e-6)  # symmetry makes some components exact
    ratios = np.sort((np.abs(errors) / floor[:, None, None]).ravel())
    observed = np.searchsorted(ratios, LEVELS, side="right") / len(ratios)
    expected = erf(LEVELS / np.sqrt(2.0))
    return UncertaintyQuality(
        rms_ratio=float(np.sqrt(np.square(errors).mean() / np.square(floor).mean())),
        rank_correlation=float(
            spearmanr(np.sqrt((errors**2).mean(axis=(1, 2))), uncertainty).statistic
        ),
        miscalibration_area=float(trapezoid(np.abs(observed - expected), expected)),
        within_one=float((ratios <= 1.0).mean()),
        within_two=float((ratios <= 2.0).mean()),
    )
