"""Ionic conductivity from a trajectory, by the Einstein and the Green–Kubo relation.

    σ = 1/(V kT) lim d/dt ⟨ΔM(t) ΔM(t)⟩/2 = 1/(V kT) ∫₀^∞ ⟨J(t) J(0)⟩ dt

M is the time integral of the current J. Both include the correlations between different ions, which
the Nernst–Einstein estimate from self-diffusion neglects. In the limit of long times, Z* and the
integer oxidation states of the ions give the same conductivity: F. Grasselli and S. Baroni, Nat.
Phys. 15, 967 (2019). At finite times they differ.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from ase import units
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from ase_equivar.dielectric.current import Current, autocorrelation, split
from ase_equivar.dielectric.fluctuations import count_lags, positive_temperature
from ase_equivar.units import CONDUCTIVITY
from ase_equivar.warning_types import ConvergenceWarning

LEAST_LAGS = 4  # frames in the correlation time: a slope needs two in its second half
CORRELATED = 0.1  # of C(0): a larger C(t) at late times has not decayed


@dataclass(frozen=True)
class BlockEstimate:
    """A tensor estimated from each of several blocks of a trajectory.

    Attributes
    ----------
    blocks : ndarray, shape (blocks, 3, 3)
        Conductivity of each block, S/m, Cartesian.
    """

    blocks: NDArray[np.float64]

    @property
    def tensor(self) -> NDArray[np.float64]:
        """Mean over the blocks, S/m, shape (3, 3)."""
        return np.asarray(self.blocks.mean(axis=0))

    @property
    def tensor_error(self) -> NDArray[np.float64]:
        """Its standard error, S/m, shape (3, 3)."""
        return np.asarray(self.blocks.std(axis=0, ddof=1) / np.sqrt(len(self.blocks)))

    @property
    def isotropic(self) -> float:
        """A third of the trace, S/m."""
        return float(self.tensor.trace() / 3)

    @property
    def isotropic_error(self) -> float:
        """Standard error of `isotropic`, S/m."""
        thirds = np.einsum("kaa->k", self.blocks) / 3
        return float(thirds.std(ddof=1) / np.sqrt(len(thirds)))


@dataclass(frozen=True)
class IonicConductivity:
    """Conductivity by two relations, which must agree within their errors.

    Attributes
    ----------
    einstein : BlockEstimate
        From the slope of the mean-square dipole displacement between half the correlation time and
        all of it.
    green_kubo : BlockEstimate
        From the integral of the current autocorrelation up to the correlation time.
    temperature : float
        K.
    still_correlated : float
        Root mean square of the current autocorrelation in the second half of the correlation time,
        as a fraction of that at time 0; 0 if it is not significant against the scatter of the
        blocks.
    """

    einstein: BlockEstimate
    green_kubo: BlockEstimate
    temperature: float
    still_correlated: float = 0.0

    @property
    def correlations_decayed(self) -> bool:
        """Whether the current has lost its memory within the correlation time, to a tenth."""
        return self.still_correlated <= CORRELATED


def ionic_conductivity(
    current: Current,
    *,
    correlation_time: float,
    temperature: float | None = None,
    n_blocks: int = 5,
) -> IonicConductivity:
    """Return the ionic conductivity of a trajectory at equilibrium.

    Parameters
    ----------
    current : Current
        From `ase_equivar.dielectric.trajectory_current`, with Z* or with nominal charges.
    correlation_time : float
        fs. Must be long compared with the decay of the current autocorrelation, that of the
        vibrations included; otherwise neither relation has converged.
    temperature : float, optional
        K; by default, the kinetic one of the trajectory.
    n_blocks : int
        Number of blocks of the trajectory whose scatter gives the uncertainty, 2 or more, each at
        least twice as long as `correlation_time`.

    Raises
    ------
    ValueError
        When the trajectory is too short, or an argument is out of its range.

    Warns
    -----
    ConvergenceWarning
        When the current is still correlated after half of the correlation time: neither relation
        has converged then.
    """
    lags = count_lags(current.timestep, len(current.current), correlation_time)
    kelvin = positive_temperature(current, temperature)
    if lags < LEAST_LAGS:
        raise ValueError(
            f"correlation_time must be at least {LEAST_LAGS} frames of {current.timestep:g} fs for "
            f"a conductivity, got {correlation_time} fs"
        )
    parts = split(len(current.current), n_blocks, 2 * lags, "this correlation_time")
    scale = CONDUCTIVITY / (current.volume * units.kB * kelvin)
    times = current.timestep * np.arange(lags)
    late = slice(lags // 2, lags)
    einstein, green_kubo, traces = [], [], []
    for part in parts:
        squares = _mean_square(current.dipole[part], lags)[late].reshape(-1, 9)
        slope = np.polyfit(times[late], squares, 1)[0].reshape(3, 3)
        einstein.append(scale * slope / 2)
        correlation = autocorrelation(current.current[part], lags)
        green_kubo.append(scale * trapezoid(correlation, dx=current.timestep, axis=0))
        traces.append(np.einsum("laa->l", correlation))
    left = _still_correlated(np.array(traces))
    if left > CORRELATED:
        warnings.warn(
            f"the current is still correlated after {lags * current.timestep / 2:g} fs, "
            f"by {100 * left:.0f} % of its correlation at time 0: the conductivity has not "
            "converged. Use a longer correlation_time. In a crystal without diffusing ions, "
            "vibrations may stay correlated for longer than that, and the conductivity is zero",
            ConvergenceWarning,
            stacklevel=2,
        )
    return IonicConductivity(
        einstein=BlockEstimate(np.array(einstein)),
        green_kubo=BlockEstimate(np.array(green_kubo)),
        temperature=kelvin,
        still_correlated=left,
    )


def _still_correlated(traces: NDArray[np.float64]) -> float:
    """Return the root mean square of the late C(t) relative to C(0), corrected for its noise.

    Parameters
    ----------
    traces : ndarray, shape (blocks, lags)
        Of the autocorrelation, one row per block.
    """
    late = traces[:, traces.shape[1] // 2 :]
    noise = late.var(axis=0, ddof=1) / len(traces)
    signal = float((late.mean(axis=0) ** 2 - noise).mean())
    return float(np.sqrt(max(signal, 0.0)) / max(traces[:, 0].mean(), 1e-300))


def _mean_square(dipole: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Return ⟨ΔM_a ΔM_b⟩ over all starting times, shape (lags, 3, 3)."""
    centered = dipole - dipole.mean(axis=0)
    n = len(centered)
    squares = centered[:, :, None] * centered[:, None, :]
    total = np.concatenate([np.zeros((1, 3, 3)), np.cumsum(squares, axis=0)])
    lag = np.arange(lags)
    # Σ over starts t of x(t+lag)x(t+lag) + x(t)x(t), less twice the correlation.
    ends = (total[n] - total[lag]) + total[n - lag]
    means: NDArray[np.float64] = ends / (n - lag)[:, None, None]
    return means - 2 * autocorrelation(centered, lags)
