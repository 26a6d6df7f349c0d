"""The dielectric function ε(ω) of damped lattice vibrations, its loss and its reflectivity.

In the harmonic approximation, with the transverse modes of `ase_equivar.dielectric.infrared`,

    ε(ω) = ε∞ + Σ_m S_m ω_m² / (ω_m² − ω² − i γ_m ω),

with the oscillator strength tensors S_m and the damping γ_m: Born and Huang, Dynamical Theory of
Crystal Lattices (1954). Fields vary as exp(−iωt), so that absorption is a positive imaginary part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import finite_real
from ase_equivar.dielectric.damping import line_widths
from ase_equivar.dielectric.infrared import InfraredModes
from ase_equivar.phonons.gamma import unit_vector
from ase_equivar.units import THZ_TO_CM


@dataclass(frozen=True)
class DielectricFunction:
    """ε(ω) on a grid of frequencies, and the quantities measured in experiment.

    Attributes
    ----------
    frequencies : ndarray, shape (n,)
        THz.
    epsilon : complex ndarray, shape (n, 3, 3)
        Relative; absorption is a positive imaginary part.
    """

    frequencies: NDArray[np.float64]
    epsilon: NDArray[np.complex128]

    @property
    def frequencies_cm(self) -> NDArray[np.float64]:
        """Frequencies, cm⁻¹, shape (n,)."""
        return self.frequencies * THZ_TO_CM

    def along(self, direction: ArrayLike) -> NDArray[np.complex128]:
        """Return n·ε·n for the unit vector n of a Cartesian direction, shape (n,)."""
        unit = unit_vector(direction)
        projected: NDArray[np.complex128] = np.einsum("a,wab,b->w", unit, self.epsilon, unit)
        return projected

    def loss(self, direction: ArrayLike) -> NDArray[np.float64]:
        """Return the loss function −Im 1/(q̂·ε·q̂), shape (n,); it peaks at LO modes with q along q̂.

        Parameters
        ----------
        direction : array_like, shape (3,)
            Of q, Cartesian, of any length.
        """
        return -(1 / self.along(direction)).imag

    def reflectivity(self, polarization: ArrayLike, normal: ArrayLike) -> NDArray[np.float64]:
        """Return the reflectivity of a crystal face at normal incidence.

        The crystal is semi-infinite: no light returns from a second surface. The wave inside has no
        displacement field D along the normal n. This leaves the effective tensor ε_ab − ε_an
        ε_nb/ε_nn, shape (2, 2), for the directions a, b in the face; its square root N is the
        matrix of the refractive index, and the reflected field is (1 − N)(1 + N)⁻¹ E. Along an axis
        of high symmetry the reflectivity is |(1 − √ε)/(1 + √ε)|².

        Parameters
        ----------
        polarization : array_like
            Electric field of the beam, Cartesian, shape (3,).
        normal : array_like
            Normal of the face, Cartesian, shape (3,), perpendicular to `polarization`.

        Returns
        -------
        ndarray, shape (n,)
            Reflected fraction of the intensity, 0 to 1, summed over both polarizations of the
            reflected light.

        Raises
        ------
        ValueError
            When the two directions are not perpendicular.
        """
        e, n = unit_vector(polarization), unit_vector(normal)
        if abs(e @ n) > 1e-6:
            raise ValueError(
                f"at normal incidence the polarization {polarization!r} must be perpendicular to "
                f"the normal {normal!r}"
            )
        frame = np.array([e, np.cross(n, e), n])
        rotated = np.einsum("ia,wab,jb->wij", frame, self.epsilon, frame)
        out_of_face = rotated[:, :2, 2, None] * rotated[:, None, 2, :2]
        index = _square_root(rotated[:, :2, :2] - out_of_face / rotated[:, 2:, 2:])
        # (1 − N) and (1 + N)⁻¹ commute.
        reflected = np.linalg.solve(np.eye(2) + index, (np.eye(2) - index)[:, :, :1])
        return (np.abs(reflected[:, :, 0]) ** 2).sum(axis=1)

    def powder(self) -> DielectricFunction:
        """Return the average over all orientations of the crystal: tr ε/3 times the unit tensor.

        For grains much smaller than the wavelength. All grains are taken to see the same field (the
        Wiener upper bound); in a real powder, the shapes of grains and pores shift the peaks.
        """
        mean = np.einsum("waa->w", self.epsilon) / 3
        return DielectricFunction(self.frequencies, mean[:, None, None] * np.eye(3))


def dielectric_function(
    modes: InfraredModes,
    damping: ArrayLike,
    frequencies: ArrayLike | None = None,
) -> DielectricFunction:
    """Return ε(ω) of damped oscillators; imaginary modes that are not polar are left out.

    Parameters
    ----------
    modes : InfraredModes
        From `infrared_modes`.
    damping : array_like
        γ/2π, THz, positive: the full width at half maximum of a mode's peak in Im ε. One number for
        all, or one for each of `modes`, that is for each degenerate set, shape (len(modes),).
    frequencies : array_like, optional
        THz, shape (n,). By default from 0 to a fifth above the highest possible LO mode, with at
        least five points in a line width (but no more than 20 001 in all).

    Raises
    ------
    ValueError
        When a polar mode is imaginary, when there is no ε∞, or when `damping` is not positive or
        `frequencies` are negative.
    """
    electronic = modes.require_dielectric()
    modes.require_stable()
    widths = line_widths(damping, len(modes))
    if frequencies is None:
        grid = _default_grid(modes, float(widths.min()))
    else:
        grid = finite_real("frequencies", frequencies, None, unit="THz")
        if grid.ndim != 1 or not np.all(grid >= 0):
            raise ValueError("frequencies must be a one-dimensional array of THz, each 0 or more")
    epsilon = np.tile(electronic.astype(complex), (len(grid), 1, 1))
    for mode, width in zip(modes, widths, strict=True):
        if mode.frequency > 0:
            square = mode.frequency**2
            shape = square / (square - grid**2 - 1j * width * grid)
            epsilon += shape[:, None, None] * mode.strength
    return DielectricFunction(grid, epsilon)


def _default_grid(modes: InfraredModes, width: float) -> NDArray[np.float64]:
    """Return frequencies, THz, up to a fifth above an upper bound of all LO modes.

    An LO mode along q̂ lies below ω² = ω_TO,max² + q̂·(Σ S ω²)·q̂ / q̂·ε∞·q̂, its value if the highest
    TO mode had all the oscillator strength. Only infrared-active modes count.
    """
    strong = [mode.frequency for mode in modes.active] or [mode.frequency for mode in modes]
    largest = scipy.linalg.eigh(
        modes.oscillator_sum, modes.require_dielectric(), eigvals_only=True
    )[-1]
    limit = 1.2 * np.sqrt(max(strong) ** 2 + largest)
    count = int(np.clip(np.ceil(5 * limit / width), 1000, 20_000))
    return np.linspace(0, limit, count + 1)


def _square_root(matrices: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return the square roots with positive real part of 2×2 matrices, shape (n, 2, 2)."""
    trace = matrices[:, 0, 0] + matrices[:, 1, 1]
    determinant = matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]
    half_gap = np.sqrt(trace**2 / 4 - determinant)
    # Both eigenvalues have Im ≥ 0 (absorption), so their principal roots are the physical ones.
    roots = np.sqrt(trace / 2 + half_gap), np.sqrt(trace / 2 - half_gap)
    product, total = (roots[0] * roots[1])[:, None, None], (roots[0] + roots[1])[:, None, None]
    return (matrices + product * np.eye(2)) / total
