"""What the spread between parts of a model is worth, learned from labelled structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import erf
from scipy.stats import spearmanr

from ase_equivar.inference.uncertainty import Calibration, born_charges_uncertainty
from ase_equivar.network import Ensemble, GatedNetwork, Network
from ase_equivar.training.batches import make_loader
from ase_equivar.training.comparison import Comparison
from ase_equivar.training.data import LabelledFrame

DROPOUT, N_SAMPLES = 0.15, 8  # the bundled model's own dropout; more parts changed nothing
LEVELS = np.linspace(0.0, 4.0, 401)  # errors in units of the uncertainty


@dataclass(frozen=True)
class UncertaintyQuality:
    """Whether uncertainties say how large errors are.

    Attributes
    ----------
    rank_correlation : float
        Spearman's, between uncertainty and error (both per atom, root mean square of components).
    miscalibration_area : float
        Between the part of all components whose error is within z uncertainties and that of a
        normal distribution, over the latter: 0 is perfect, 0.5 the worst.
    within_one, within_two : float
        Part of the components off by less than one and two uncertainties; 0.68 and 0.95 for
        normally distributed errors.
    """

    rank_correlation: float
    miscalibration_area: float
    within_one: float
    within_two: float


def calibrate(network: Network, comparison: Comparison) -> Calibration:
    """Find the factor between spread and error.

    Parameters
    ----------
    network : GatedNetwork or Ensemble
        Trained with dropout.
    comparison : Comparison
        Of this network with structures that it was not trained on.

    Returns
    -------
    Calibration
        The factor that makes the miscalibration area smallest.

    Raises
    ------
    ValueError
        If the network is none whose channels can be left out, or if that changes nothing.
    """
    if not isinstance(network, GatedNetwork | Ensemble):
        raise ValueError(
            f"only networks with gates have an uncertainty; this is a {type(network).__name__}"
        )
    spread = uncertainties(network, comparison.frames, Calibration(DROPOUT, N_SAMPLES, 1.0))
    errors = np.concatenate(comparison.differences)
    typical = float(np.median(spread))
    if typical == 0.0:
        raise ValueError("all parts of the network say the same: it cannot be calibrated")
    scales = float(np.median(np.abs(errors))) / typical * np.geomspace(0.1, 10.0, 400)
    areas = [quality(errors, scale * spread).miscalibration_area for scale in scales]
    return Calibration(DROPOUT, N_SAMPLES, float(f"{scales[int(np.argmin(areas))]:.4g}"))


def uncertainty_quality(
    network: Network, comparison: Comparison, metadata: Mapping[str, Any]
) -> UncertaintyQuality | None:
    """Judge the uncertainties of a model; None if its metadata have no calibration."""
    found = Calibration.of(metadata)
    if found is None or not isinstance(network, GatedNetwork | Ensemble):
        return None
    return quality(
        np.concatenate(comparison.differences), uncertainties(network, comparison.frames, found)
    )


def uncertainties(
    network: GatedNetwork | Ensemble, frames: Sequence[LabelledFrame], calibration: Calibration
) -> NDArray[np.float64]:
    """Return the uncertainty of all atoms of the frames, e, one after the other."""
    loader = make_loader(frames, network, 16)
    return np.concatenate(
        [born_charges_uncertainty(network, batch.graph, calibration) for batch in loader]
    )


def quality(errors: NDArray[np.float64], uncertainty: NDArray[np.float64]) -> UncertaintyQuality:
    """Compare errors (N, 3, 3) with uncertainties (N,), both in e."""
    floor = np.maximum(uncertainty, 1e-6)  # symmetry makes some exact
    ratios = np.sort((np.abs(errors) / floor[:, None, None]).ravel())
    observed = np.searchsorted(ratios, LEVELS, side="right") / len(ratios)
    expected = erf(LEVELS / np.sqrt(2.0))
    return UncertaintyQuality(
        rank_correlation=float(
            spearmanr(np.sqrt((errors**2).mean(axis=(1, 2))), uncertainty).statistic
        ),
        miscalibration_area=float(trapezoid(np.abs(observed - expected), expected)),
        within_one=float((ratios <= 1.0).mean()),
        within_two=float((ratios <= 2.0).mean()),
    )
