"""Columns that depend on the lattice: phonons at Γ, the ionic part of ε0, LO–TO splitting."""

from __future__ import annotations

import contextlib
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from phonopy import Phonopy

from ase_equivar.dielectric import infrared_modes, ionic_dielectric_range, static_dielectric
from ase_equivar.phonons import LoToSplitting, lo_to_splitting, polar_phonon
from ase_equivar.screening.row import Recipe


def polar_columns(
    primitive: Atoms,
    gap: float | None,
    calculator: BaseCalculator,
    source: BaseCalculator,
    recipe: Recipe,
) -> tuple[Phonopy, dict[str, Any]]:
    """Relax a crystal, calculate its phonons at Γ, and return them with the columns they fill.

    Γ fits into any supercell, so that force constants of the primitive cell alone are enough.

    Parameters
    ----------
    primitive : ase.Atoms
        Primitive cell.
    gap : float or None
        Band gap, eV.
    calculator, source : ase calculator
        Of forces, and of Z* and ε∞.
    recipe : Recipe
    """
    phonon = polar_phonon(
        primitive,
        calculator,
        source,
        supercell=(1, 1, 1),
        relax=recipe.relax,
        dielectric_tensor=recipe.dielectric_tensor,
        symprec=recipe.symprec,
        progress=False,
    )
    modes = infrared_modes(phonon)
    splitting = lo_to_splitting(phonon, phonon.primitive_symmetry.dataset.std_rotation_matrix)
    columns: dict[str, Any] = {
        "max_lo_to_gap_cm": _widest_gap(splitting),
        "lowest_cm": min((mode.frequency_cm for mode in modes), default=None),
    }
    softest = min(modes.active, key=lambda mode: mode.frequency, default=None)
    if softest is not None:
        columns["softest_polar_cm"] = softest.frequency_cm
    with contextlib.suppress(ValueError):  # a polar mode is imaginary beyond doubt
        lowest, highest = ionic_dielectric_range(modes)
        columns["epsilon_ionic_lowest"] = lowest
        columns["epsilon_ionic_highest"] = highest
    if all(mode.frequency > 0 for mode in modes.active):
        tensors = static_dielectric(modes)
        static = float(tensors.static.trace() / 3)
        if softest is not None:
            share = softest.strength.trace() / tensors.ionic.trace()
            columns["softest_polar_share"] = float(share)
        columns["epsilon_ionic"] = float(tensors.ionic.trace() / 3)
        columns["epsilon_static"] = static
        columns["figure_of_merit_eV"] = None if gap is None else gap * static
    return phonon, columns


def _widest_gap(splitting: LoToSplitting) -> float | None:
    """Return the widest LO–TO gap in cm⁻¹; 0 for a nonpolar crystal."""
    if not any(modes.pairs for modes in splitting):
        return 0.0
    return splitting.largest.splitting_cm if splitting.largest else None
