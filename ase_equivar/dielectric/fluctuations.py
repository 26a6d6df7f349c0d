"""Infrared spectrum and ε(ω) from the fluctuations of the current in molecular dynamics.

With the current autocorrelation C(t) = ⟨J(t) J(0)⟩ of a run without macroscopic field (short-range
forces, or Ewald sums with conducting boundaries), at temperature T,

    σ(ω) = 1/(V kT) ∫₀^∞ C(t) exp(iωt) dt,        ε(ω) = ε∞ + i σ(ω)/(ε0 ω),

the classical limit of R. Kubo, J. Phys. Soc. Jpn. 12, 570 (1957). For a harmonic crystal this is
the quantum result too, with the same oscillator strengths as `ase_equivar.dielectric.infrared`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from ase import units
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from ase_equivar.arguments import (
    LARGEST_TEMPERATURE,
    dielectric_array,
    known_word,
    positive_number,
)
from ase_equivar.dielectric.current import LONGEST_TIMESTEP, Current, autocorrelation, split
from ase_equivar.dielectric.function import DielectricFunction
from ase_equivar.units import CONDUCTIVITY

Window: TypeAlias = Literal["hann", "gaussian"]
"""Window function that C(t) is multiplied by before its Fourier transform, from t = 0 to the
correlation time τ: "hann", cos²(πt/2τ); "gaussian", exp(−(3t/τ)²/2)."""

QuantumCorrection: TypeAlias = Literal["harmonic", "standard", "schofield"]
"""Factor by which the spectrum of the classical correlation function is multiplied to approximate
the quantum one, with x = ħω/kT: "harmonic", x/(1 − e⁻ˣ), exact for harmonic oscillators, which
leaves the classical absorption as it is; "standard", 2/(1 + e⁻ˣ); "schofield", exp(x/2). See R.
Ramírez et al., J. Chem. Phys. 121, 3973 (2004)."""


@dataclass(frozen=True)
class CurrentSpectrum:
    """The dielectric response of a trajectory.

    Attributes
    ----------
    dielectric : DielectricFunction
        ε(ω). The frequencies, THz, do not include 0, where ε of a conductor diverges.
    absorption_error : ndarray, shape (n, 3, 3)
        Standard error of Im ε, from blocks of the trajectory.
    isotropic_absorption_error : ndarray, shape (n,)
        That of tr Im ε/3, whose parts along the three axes are not independent.
    temperature : float
        K.
    window : str
        See `Window`.
    correlation_time : float
        Where the window ends, fs. Lines are at least about 1/`correlation_time` wide.
    """

    dielectric: DielectricFunction
    absorption_error: NDArray[np.float64]
    isotropic_absorption_error: NDArray[np.float64]
    temperature: float
    window: Window
    correlation_time: float

    def absorption(self, correction: QuantumCorrection = "harmonic") -> NDArray[np.float64]:
        """Return the absorption n(ω) α(ω) of a powder, cm⁻¹, shape (n,).

        ω tr Im ε/(3c), multiplied by the quantum correction relative to the harmonic one.

        Parameters
        ----------
        correction : {"harmonic", "standard", "schofield"}
            See `QuantumCorrection`.

        Raises
        ------
        ValueError
            When there is no correction with that name.
        """
        mean = np.einsum("waa->w", self.dielectric.epsilon.imag) / 3
        return mean * self._absorption_per_epsilon(correction)

    def absorption_uncertainty(
        self, correction: QuantumCorrection = "harmonic"
    ) -> NDArray[np.float64]:
        """Return the standard error of `absorption`, cm⁻¹, shape (n,)."""
        return self.isotropic_absorption_error * self._absorption_per_epsilon(correction)

    def _absorption_per_epsilon(self, correction: QuantumCorrection) -> NDArray[np.float64]:
        known_word("quantum_correction", correction, get_args(QuantumCorrection))
        omega = 2e12 * np.pi * self.dielectric.frequencies
        x = constants.hbar * omega / (constants.k * self.temperature)
        factor = {
            "harmonic": np.ones_like(x),
            "standard": 2 * np.tanh(x / 2) / x,
            "schofield": 2 * np.sinh(x / 2) / x,
        }[correction]
        return np.asarray(omega * factor / constants.c / 100)


def current_spectrum(
    current: Current,
    dielectric_tensor: ArrayLike,
    *,
    correlation_time: float,
    temperature: float | None = None,
    window: Window = "hann",
    n_blocks: int = 5,
) -> CurrentSpectrum:
    """Return ε(ω) of a trajectory.

    Parameters
    ----------
    current : Current
        From `ase_equivar.dielectric.trajectory_current`, of a run at equilibrium without field.
    dielectric_tensor : array_like, shape (3, 3)
        ε∞, relative: the mean over the trajectory, or that of one structure.
    correlation_time : float
        fs. A longer time resolves narrower lines, with more noise.
    temperature : float, optional
        K; by default, the kinetic one of the trajectory.
    window : {"hann", "gaussian"}
        See `Window`.
    n_blocks : int
        Number of blocks of the trajectory whose scatter gives the uncertainty, 2 or more, each at
        least twice as long as `correlation_time`.

    Raises
    ------
    ValueError
        When the trajectory is too short, or an argument is out of its range.
    """
    epsilon_infinity = dielectric_array("dielectric_tensor", dielectric_tensor)
    known_word("window", window, get_args(Window))
    lags = count_lags(current.timestep, len(current.current), correlation_time)
    kelvin = positive_temperature(current, temperature)
    blocks = split(len(current.current), n_blocks, 2 * lags, "this correlation_time")

    fraction = np.arange(lags) / lags
    shape = np.cos(np.pi * fraction / 2) ** 2 if window == "hann" else np.exp(-4.5 * fraction**2)
    weights = current.timestep * shape
    weights[0] /= 2  # the trapezium rule
    n_points = 8 * lags  # zero padding beyond the correlation time makes a smooth curve
    frequencies = np.arange(1, n_points // 2 + 1) / (n_points * current.timestep * 1e-3)  # THz
    prefactor = CONDUCTIVITY / (current.volume * units.kB * kelvin)
    spectra = []
    for block in blocks:
        correlation = autocorrelation(current.current[block], lags)
        transform = np.fft.rfft(correlation * weights[:, None, None], n=n_points, axis=0)[1:].conj()
        omega = 2e12 * np.pi * frequencies[:, None, None]
        spectra.append(1j * prefactor * transform / (constants.epsilon_0 * omega))
    ionic = np.array(spectra)
    traces = np.einsum("bwaa->bw", ionic.imag) / 3
    return CurrentSpectrum(
        dielectric=DielectricFunction(frequencies, epsilon_infinity + ionic.mean(axis=0)),
        absorption_error=ionic.imag.std(axis=0, ddof=1) / np.sqrt(n_blocks),
        isotropic_absorption_error=traces.std(axis=0, ddof=1) / np.sqrt(n_blocks),
        temperature=kelvin,
        window=window,
        correlation_time=lags * current.timestep,
    )


def count_lags(timestep: float, n_frames: int, correlation_time: float) -> int:
    """Return the number of frames within the correlation time, at most all of them."""
    timestep = positive_number("timestep", timestep, "fs", largest=LONGEST_TIMESTEP)
    time = positive_number("correlation_time", correlation_time, "fs")
    lags = round(min(time / timestep, n_frames))
    if lags < 2:
        raise ValueError(
            f"correlation_time must be at least two frames of {timestep:g} fs, got "
            f"{correlation_time} fs"
        )
    return lags


def positive_temperature(current: Current, temperature: float | None) -> float:
    """Return the given temperature, or by default that of the trajectory, K."""
    given = current.temperature if temperature is None else temperature
    return positive_number("temperature", given, "K", largest=LARGEST_TEMPERATURE)
