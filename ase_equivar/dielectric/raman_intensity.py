"""Raman intensities of modes, and the spectrum.

The cross section for first-order Stokes scattering by one mode, per primitive cell and solid angle,
is

    dσ/dΩ = (2π/λ_s)⁴ ħ/(2ω) (n + 1) |e_s·α·e_i|²,    1/λ_s = 1/λ_L − ν/c,

with the Raman tensor α of `ase_equivar.dielectric.raman`, the Bose occupation n of the mode, the
wavelengths λ_L of the laser and λ_s of the scattered light, and the polarizations e_i and e_s of
incident and scattered light: M. Cardona in Light Scattering in Solids II (Springer, 1982), ch. 2;
Porezag and Pederson, Phys. Rev. B 54, 7830 (1996). Refractive index, reflection and absorption of
the crystal, local fields and resonance are neglected. For a powder, |e_s·α·e_i|² is averaged over
all orientations: (45 ā² + 4 γ²)/45 for light scattered with the polarization of the incident light
and γ²/15 for the perpendicular one, with ā = tr α/3 and the anisotropy γ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from ase_equivar.arguments import LARGEST_TEMPERATURE, finite_real, positive_number
from ase_equivar.dielectric.damping import line_widths
from ase_equivar.dielectric.raman_geometry import ScatteringGeometry
from ase_equivar.dielectric.raman_mode import RamanMode, RamanModes
from ase_equivar.units import THZ_TO_CM

Powder = Literal["powder", "parallel", "perpendicular"]
"""Detected light from a powder: all of it, or that polarized parallel or perpendicular to the
incident light."""

WAVELENGTH = 532.0  # nm, of a frequency-doubled Nd:YAG laser
TEMPERATURE = 300.0  # K
LONGEST_WAVELENGTH = 1e5  # nm
CROSS_SECTION = 1e-34
"""10⁻³⁰ cm², in m²."""


@dataclass(frozen=True)
class RamanSpectrum:
    """Intensity as a function of the Raman shift, Stokes side.

    Attributes
    ----------
    frequencies : ndarray, shape (n,)
        Raman shift, THz.
    intensity : ndarray, shape (n,)
        10⁻³⁰ cm²/(sr THz), per primitive cell.
    modes : RamanModes
        The modes that scatter.
    intensities : ndarray, shape (len(modes),)
        Integrated intensity of each degenerate set, 10⁻³⁰ cm²/sr: see `raman_intensities`.
    name : str
        Name of the geometry, such as "powder" or "z(xx)-z".
    wavelength : float
        Wavelength of the laser, nm.
    temperature : float
        K.
    """

    frequencies: NDArray[np.float64]
    intensity: NDArray[np.float64]
    modes: RamanModes
    intensities: NDArray[np.float64]
    name: str
    wavelength: float
    temperature: float

    @property
    def frequencies_cm(self) -> NDArray[np.float64]:
        """Raman shift, cm⁻¹, shape (n,)."""
        return self.frequencies * THZ_TO_CM


def raman_intensities(
    modes: RamanModes,
    geometry: ScatteringGeometry | Powder | str = "powder",
    *,
    wavelength: float = WAVELENGTH,
    temperature: float = TEMPERATURE,
) -> NDArray[np.float64]:
    """Return the intensity of each set of modes, shape (len(modes),), 10⁻³⁰ cm²/sr per cell.

    Parameters
    ----------
    modes : RamanModes
        From `raman_modes`: transverse modes for a powder and for forward scattering, otherwise
        those for the `direction` of the geometry.
    geometry : ScatteringGeometry or str
        A geometry, or its Porto notation such as "z(xx)-z"; or "powder", "parallel" or
        "perpendicular": see `Powder`. In a powder, all modes are treated as transverse.
    wavelength : float
        Wavelength of the laser in vacuum, nm.
    temperature : float
        K; 0 is allowed.

    Raises
    ------
    ValueError
        When a Raman-active mode is imaginary, when `modes` are for another direction of q than the
        geometry has, when the photon energy is below that of a mode, or when the geometry is not
        valid.
    """
    check_light(wavelength, temperature)
    if not isinstance(geometry, ScatteringGeometry) and geometry not in get_args(Powder):
        geometry = ScatteringGeometry.porto(geometry)
    _check_direction(modes, geometry)
    modes.require_stable()
    return np.array(
        [
            _factor(mode, wavelength, temperature) * _square(mode, geometry)
            if mode.is_active
            else 0.0
            for mode in modes
        ]
    )


def raman_spectrum(
    modes: RamanModes,
    damping: ArrayLike,
    geometry: ScatteringGeometry | Powder | str = "powder",
    *,
    frequencies: ArrayLike | None = None,
    wavelength: float = WAVELENGTH,
    temperature: float = TEMPERATURE,
) -> RamanSpectrum:
    """Return the Stokes spectrum: a Lorentzian for each mode.

    Parameters
    ----------
    modes, geometry, wavelength, temperature
        See `raman_intensities`.
    damping : array_like
        Full width at half maximum, THz: one number for all modes, or one for each degenerate set,
        shape (len(modes),).
    frequencies : array_like, optional
        Raman shift, THz, shape (n,). By default from 0 to 20 widths above the highest mode, with
        five points per width (but no more than 20 001 in all).

    Raises
    ------
    ValueError
        As `raman_intensities`, and when `damping` is not positive or `frequencies` is not a
        one-dimensional array of finite numbers.
    """
    widths = line_widths(damping, len(modes))
    intensities = raman_intensities(modes, geometry, wavelength=wavelength, temperature=temperature)
    if frequencies is None:
        grid = shift_grid([modes], float(widths.min()), float(widths.max()))
    else:
        grid = finite_real("frequencies", frequencies, (None,), unit="THz")
    total = np.zeros(len(grid))
    for mode, width, intensity in zip(modes, widths, intensities, strict=True):
        half = width / 2
        total += intensity * half / np.pi / ((grid - mode.frequency) ** 2 + half**2)
    name = geometry.name if isinstance(geometry, ScatteringGeometry) else _name(geometry)
    return RamanSpectrum(
        grid, total, modes, intensities, name, float(wavelength), float(temperature)
    )


def check_light(wavelength: float, temperature: float) -> None:
    """Raise ValueError for a wavelength (nm) or temperature (K) out of range."""
    positive_number("wavelength", wavelength, "nm", largest=LONGEST_WAVELENGTH)
    positive_number("temperature", temperature, "K", largest=LARGEST_TEMPERATURE, zero=True)


def shift_grid(
    several: Sequence[RamanModes], narrowest: float, widest: float
) -> NDArray[np.float64]:
    """Return Raman shifts, THz, from 0 to 20 widths above all modes, with 5 points per width."""
    limit = max(mode.frequency for modes in several for mode in modes) + 20 * widest
    count = int(np.clip(np.ceil(5 * limit / narrowest), 1000, 20_000))
    return np.linspace(0, limit, count + 1)


def _name(geometry: str) -> str:
    if geometry in get_args(Powder):
        return geometry if geometry == "powder" else f"powder, {geometry}"
    return ScatteringGeometry.porto(geometry).name


def _check_direction(modes: RamanModes, geometry: ScatteringGeometry | str) -> None:
    wanted = geometry.direction if isinstance(geometry, ScatteringGeometry) else None
    have = modes.direction
    if wanted is None and have is None:
        return
    if wanted is not None and have is not None and abs(abs(wanted @ have) - 1) < 1e-6:
        return
    name = geometry.name if isinstance(geometry, ScatteringGeometry) else geometry
    shown = None if wanted is None else np.round(wanted, 6).tolist()
    raise ValueError(
        f"geometry {name} needs modes for another direction of q than `modes` are for: calculate "
        f"them by raman_modes(phonon, modes.derivative, direction={shown})"
    )


def _factor(mode: RamanMode, wavelength: float, temperature: float) -> float:
    """Return (2π/λ_s)⁴ ħ/(2ω) (n + 1), 10⁻³⁰ cm²/sr per Å⁴/u."""
    frequency = mode.frequency * 1e12
    scattered = 1 / (wavelength * 1e-9) - frequency / constants.c
    if scattered <= 0:
        raise ValueError(
            f"wavelength is {wavelength:g} nm: the photon energy is less than that of the mode at "
            f"{mode.frequency_cm:.0f} cm⁻¹, so that light cannot excite it"
        )
    quantum = constants.h * frequency
    bose = 0.0
    if temperature > 0:
        with np.errstate(over="ignore"):
            bose = float(1 / np.expm1(quantum / (constants.k * temperature)))
    amplitude = constants.hbar / (4 * np.pi * frequency) * (bose + 1)  # ⟨Q²⟩ of Stokes, kg m²
    per_activity = constants.angstrom**4 / constants.atomic_mass
    return (2 * np.pi * scattered) ** 4 * amplitude * per_activity / CROSS_SECTION


def _square(mode: RamanMode, geometry: ScatteringGeometry | str) -> float:
    """Return Σ |e_s·α·e_i|² over the set, or its average over orientations, Å⁴/u."""
    if isinstance(geometry, ScatteringGeometry):
        amplitudes = np.einsum(
            "a,kab,b->k",
            geometry.scattered_polarization,
            mode.tensors,
            geometry.incident_polarization,
        )
        return float((amplitudes**2).sum())
    parallel = mode.mean_squared + 4 * mode.anisotropy_squared / 45
    perpendicular = mode.anisotropy_squared / 15
    return {
        "powder": parallel + perpendicular,
        "parallel": parallel,
        "perpendicular": perpendicular,
    }[geometry]
