"""The optical modes at Γ and how they couple to light: mode charges, strengths, intensities.

A mode with the normalized eigenvector e of the dynamical matrix displaces atom i by e_i/√M_i and
has the dipole p_a = Σ_ib Z_i[a, b] e_ib/√M_i, in |e|/√u. Everything follows from p and from the
transverse frequencies, those without macroscopic field: Gonze and Lee, Phys. Rev. B 55, 10355
(1997).

Degenerate modes are only defined up to a rotation among themselves, so they are summed into one
`InfraredMode`, whose values do not depend on that choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrixNAC

from ase_equivar.arguments import LARGEST_CHARGE, finite_real
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.degeneracy import signed_frequencies
from ase_equivar.phonons.gamma import (
    NAC_FACTOR,
    check_units,
    checked_correction,
    uncorrected_gamma_matrix,
)
from ase_equivar.phonons.irreps import named_sets
from ase_equivar.phonons.lo_to import warn_if_imaginary
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.phonons.translations import internal_basis, warn_if_translations_vibrate
from ase_equivar.phonons.transverse import polar_threshold, weighted_charges
from ase_equivar.units import DEBYE, THZ_TO_CM


@dataclass(frozen=True)
class InfraredMode:
    """An optical mode at Γ without macroscopic field, or a set of degenerate ones.

    Attributes
    ----------
    frequency : float
        Transverse frequency, THz; negative: imaginary.
    degeneracy : int
        Number of modes in the set.
    charge : float
        Mode effective charge in |e|: |Σ Z_i·u_i| / √(Σ u_i²), u the displacements; root mean square
        over the set. As in Gonze and Lee.
    intensity : float
        Infrared intensity Σ_a (Σ_ib Z_i[a, b] e_ib/√M_i)², summed over the set, (D/Å)²/u, as
        defined for molecules (Porezag and Pederson, Phys. Rev. B 54, 7830 (1996)). In a powder,
        light of one polarization sees a third of it.
    oscillator : ndarray, shape (3, 3)
        S ω² as a tensor, summed over the set, (2π THz)²: e²/(ε0 Ω) p_a p_b. Finite even if ω = 0.
    strength : ndarray, shape (3, 3)
        Oscillator strength S, dimensionless: contribution of the set to the static dielectric
        tensor, e²/(ε0 Ω) p_a p_b/ω². Negative for imaginary modes, where it has no meaning. In a
        cell with vacuum, only Ω S does not depend on the amount of vacuum.
    is_active : bool
        Whether the mode is infrared-active.
    label : str
        Irreducible representation (Mulliken symbol); "" if phonopy cannot assign one.
    """

    frequency: float
    degeneracy: int
    charge: float
    intensity: float
    oscillator: NDArray[np.float64]
    strength: NDArray[np.float64]
    is_active: bool
    label: str

    @property
    def frequency_cm(self) -> float:
        """Transverse frequency, cm⁻¹; negative: imaginary."""
        return self.frequency * THZ_TO_CM


@dataclass(frozen=True)
class InfraredModes:
    """All optical modes at Γ, by ascending frequency, and the data that ε(ω) needs besides.

    Attributes
    ----------
    modes : tuple of InfraredMode
        One per degenerate set. The three translations of the crystal are not among them.
    electronic : ndarray or None, shape (3, 3)
        ε∞, relative; None for modes that were made without it, such as those of a 2D sheet.
    symbols : tuple of str
        Chemical symbols of the atoms of the primitive cell.
    volume : float
        Volume of the primitive cell, Å³.
    oscillator_sum : ndarray, shape (3, 3)
        Σ S ω² of all modes, (2π THz)², from Z* and the masses alone: e²/(ε0 Ω) Σ_i Z_i Z_iᵀ/M_i.
        A sum rule for the `oscillator` of the modes, independent of the force constants.
    """

    modes: tuple[InfraredMode, ...]
    electronic: NDArray[np.float64] | None
    symbols: tuple[str, ...]
    volume: float
    oscillator_sum: NDArray[np.float64]

    def __iter__(self) -> Iterator[InfraredMode]:
        return iter(self.modes)

    def __len__(self) -> int:
        return len(self.modes)

    def __getitem__(self, index: int) -> InfraredMode:
        return self.modes[index]

    @property
    def active(self) -> tuple[InfraredMode, ...]:
        """The infrared-active modes."""
        return tuple(mode for mode in self.modes if mode.is_active)

    @property
    def oscillator_error(self) -> float:
        """Largest deviation of Σ `oscillator` from `oscillator_sum`, relative to its largest."""
        found = sum((mode.oscillator for mode in self.modes), np.zeros((3, 3)))
        scale = float(np.abs(self.oscillator_sum).max())
        return float(np.abs(found - self.oscillator_sum).max()) / scale if scale else 0.0

    def require_dielectric(self) -> NDArray[np.float64]:
        """Return ε∞, or raise ValueError: without it there is neither ε0 nor ε(ω)."""
        if self.electronic is None:
            raise ValueError(
                "these modes were made without ε∞, as for a cell with vacuum: they have "
                "frequencies, charges and intensities, but no ε0 and no ε(ω), which would depend "
                "on the amount of vacuum"
            )
        return self.electronic

    def require_stable(self) -> None:
        """Raise ValueError when a polar mode is imaginary: no dielectric response exists then."""
        unstable = [mode for mode in self.active if not mode.frequency > 0]
        if unstable:
            f = -unstable[0].frequency
            raise ValueError(
                f"the polar mode at {f:.2f}i THz ({f * THZ_TO_CM:.0f}i cm⁻¹) is unstable: the "
                "crystal would polarize spontaneously, so its static dielectric tensor and ε(ω) "
                "have no meaning; relax the structure, or displace it along this mode and relax "
                "again"
            )


def infrared_modes(phonon: Phonopy, born_charges: ArrayLike | None = None) -> InfraredModes:
    """Return the optical modes at Γ and their coupling to light.

    Translations of the whole crystal are projected out of the dynamical matrix, so that a soft
    optical mode is neither mistaken for an acoustic one nor mixed with it.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants and ``nac_params`` (see `ase_equivar.phonons.apply_nac`).
    born_charges : array_like, optional
        Z* of the primitive cell, |e|, shape (N, 3, 3), row = field, column = displacement, instead
        of ``nac_params``: for 2D sheets and molecules in a box. Frequencies, mode charges and
        intensities then do not depend on the vacuum; there is no ε∞, hence no ε0 and no ε(ω).

    Raises
    ------
    ValueError
        When `phonon` lacks force constants or ``nac_params``, is not in eV and Å, or has only one
        atom; when it has ``nac_params`` and `born_charges` are given too.
    RuntimeError
        When phonopy's correction is not the one that Z* and ε∞ give; most likely, ``factor`` of
        ``nac_params`` is wrong.

    Warns
    -----
    ImaginaryModesWarning, AcousticSumRuleWarning
        When optical modes are imaginary, and when the translations are far from zero frequency,
        because the force constants violate the acoustic sum rule.
    """
    check_units(phonon)
    require_force_constants(phonon)
    cell, factor = phonon.primitive, phonon.unit_conversion_factor
    electronic: NDArray[np.float64] | None
    if born_charges is None:
        for axis in np.eye(3):
            checked_correction(phonon, axis)
        matrix = cast(DynamicalMatrixNAC, phonon.dynamical_matrix)
        born, electronic = matrix.born, np.array(matrix.dielectric_constant)
    else:
        if phonon.nac_params is not None:
            raise ValueError("born_charges are given, but phonon.nac_params already has Z*")
        born = finite_real(
            "born_charges", born_charges, (len(cell), 3, 3), unit="|e|", largest=LARGEST_CHARGE
        )
        electronic = None
    volume = abs(cell.volume)

    squares, vectors = optical_modes(phonon)
    displacements = vectors.reshape(len(cell), 3, -1) / np.sqrt(cell.masses)[:, None, None]  # 1/√u
    weighted = weighted_charges(born, cell.masses)
    dipoles = (weighted @ vectors).T
    frequencies = signed_frequencies(squares, factor)
    warn_if_imaginary(float(frequencies.min()), "at Γ")

    scale = 4 * np.pi * NAC_FACTOR / volume  # e²/(ε0 Ω), eV/Å² per |e|²
    modes = []
    for group, label in named_sets(phonon, frequencies, vectors):
        p = dipoles[group]
        squared_length = float((displacements[:, :, group] ** 2).sum())
        with np.errstate(divide="ignore", invalid="ignore"):  # infinite for a mode with ω = 0
            strength = scale * np.einsum("ka,kb,k->ab", p, p, 1 / squares[group])
        modes.append(
            InfraredMode(
                frequency=float(frequencies[group].mean()),
                degeneracy=len(group),
                charge=float(np.sqrt((p**2).sum() / squared_length)),
                intensity=float((p**2).sum()) * DEBYE**2,
                oscillator=scale * factor**2 * p.T @ p,
                strength=strength,
                is_active=float((p**2).sum()) > polar_threshold(dipoles),
                label=label,
            )
        )

    excess = born.sum(axis=0)  # dipole of a translation; 0 for neutral Z*
    sum_rule = weighted @ weighted.T - excess @ excess.T / cell.masses.sum()
    return InfraredModes(
        modes=tuple(modes),
        electronic=electronic,
        symbols=tuple(to_ase(cell).symbols),
        volume=volume,
        oscillator_sum=scale * factor**2 * sum_rule,
    )


def optical_modes(phonon: Phonopy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues and eigenvectors at Γ without macroscopic field or translations.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants.

    Returns
    -------
    squares : ndarray, shape (3 N − 3,)
        Eigenvalues in ascending order, eV/(Å² u).
    vectors : ndarray, shape (3 N, 3 N − 3)
        Normalized eigenvectors as columns; rows x, y, z of atom 0, then of atom 1, ….

    Raises
    ------
    ValueError
        When there is only one atom, or there are no force constants.

    Warns
    -----
    AcousticSumRuleWarning
        When the translations are far from frequency 0.
    """
    masses = phonon.primitive.masses
    if len(masses) == 1:
        raise ValueError("a crystal with one atom per cell has no optical modes")
    internal = internal_basis(masses)
    matrix = uncorrected_gamma_matrix(phonon)
    warn_if_translations_vibrate(phonon, matrix)
    squares, inside = np.linalg.eigh(internal.T @ matrix @ internal)
    return squares, internal @ inside
