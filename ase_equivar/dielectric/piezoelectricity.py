"""Piezoelectric tensors: the ionic part from Z*, force constants at Γ and internal strain.

If all atoms follow a homogeneous strain η_j, forces Λ_ic,j = ∂F_ic/∂η_j act on them, and they relax
by the internal displacements u_j = Φ⁺ Λ_j, where Φ⁺ is the inverse of the force constants at Γ with
translations projected out. Without macroscopic field, this adds to the clamped-ion tensors:

    e_aj = e_aj(clamped) + 1/Ω Σ_ic Z_i[a, c] u_ic,j,    C_jk = C_jk(clamped) − 1/Ω Λ_jᵀ Φ⁺ Λ_k:

X. Wu, D. Vanderbilt and D. R. Hamann, Phys. Rev. B 72, 035105 (2005). e is the proper tensor, which
describes the current through a short-circuited crystal while it is strained: D. Vanderbilt, J.
Phys. Chem. Solids 61, 147 (2000). The ionic part of the proper and the improper tensor is the same;
the clamped part has to be the proper one. The proper tensor is also the derivative of the reduced
polarization (the components of P along the cell vectors), so that it does not depend on the branch
of P.
"""

from __future__ import annotations

import logging
import warnings

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from ase_equivar.ase_properties import CLAMPED_PIEZO
from ase_equivar.calculated_property import calculated_property
from ase_equivar.dielectric.infrared import infrared_modes, optical_modes
from ase_equivar.dielectric.piezoelectric_tensors import PiezoelectricTensors, clamped_array
from ase_equivar.dielectric.static import static_dielectric
from ase_equivar.dielectric.strain_response import (
    STEP,
    StrainResponse,
    check_strain_step,
    require_forces,
    strain_responses,
)
from ase_equivar.phonons import relaxation
from ase_equivar.phonons.born_source import Source, given_dielectric
from ase_equivar.phonons.cells import make_phonon
from ase_equivar.phonons.electronic_correction import Corrected
from ase_equivar.phonons.finite_displacement import force_constants, refuse_field
from ase_equivar.phonons.given_entries import primitive_as_given
from ase_equivar.phonons.nac import apply_nac, nac_params
from ase_equivar.phonons.operations import cartesian_operations, symmetrized
from ase_equivar.phonons.relax_modes import RelaxMode, relax_mode
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.symmetry import SYMPREC, Operation
from ase_equivar.structures.vacuum import describe_vacuum
from ase_equivar.structures.validation import check_structure
from ase_equivar.structures.voigt import from_voigt, to_voigt
from ase_equivar.units import C_PER_M2, THZ_TO_CM
from ase_equivar.warning_types import ConvergenceWarning

logger = logging.getLogger(__name__)

BROKEN_SYMMETRY = 0.25  # relative; a given clamped tensor then has other axes or another order
NOISE = 0.02  # C/m², of DFPT and of finite differences
COUPLED = 1e-3  # of the strongest coupling to strain; modes below it are ignored
STEP_WARNING = 0.03  # of the largest component

_Array = NDArray[np.float64]


def piezoelectric(
    atoms: Atoms,
    calculator: BaseCalculator,
    source: Source,
    *,
    clamped: ArrayLike | None = None,
    relax: RelaxMode = "none",
    dielectric_tensor: ArrayLike | Corrected | None = None,
    refractive_index: ArrayLike | None = None,
    step: float = STEP,
    symprec: float = SYMPREC,
    progress: bool = True,
) -> PiezoelectricTensors:
    """Return piezoelectric tensors, with elastic constants and ε0 at constant strain and stress.

    Whether the symmetry allows piezoelectricity, and whether Z* and ε∞ are available, is checked
    before any forces are calculated. Masses do not matter.

    Parameters
    ----------
    atoms : ase.Atoms
        The unit cell in equilibrium with `calculator`; if it is not, use `relax`. The residual
        stress of a measured cell changes elastic constants and d considerably, and e little.
    calculator : ase calculator
        Gives forces, and stress for the elastic constants.
    source, dielectric_tensor, refractive_index
        Sources of Z* and ε∞: see `ase_equivar.phonons.nac_params`. A calculator is evaluated for
        the relaxed crystal.
    clamped : array_like, optional
        The proper clamped-ion tensor, C/m², shape (3, 6), in the axes of `atoms`: row =
        polarization, columns xx, yy, zz, yz, xz, xy. By default ``piezoelectric_tensor_clamped`` of
        the calculator that gives Z*; if that does not provide it, only the ionic part is returned.
    relax : {"none", "positions", "cell"}
        What to relax with `calculator` first, at fixed space group: see `RelaxMode`.
    step : float
        Strain of the finite differences; twice this strain is used too, to estimate the error.
    symprec : float
        Symmetry tolerance, Å.
    progress : bool
        Whether to show progress bars (on stderr).

    Raises
    ------
    ValueError
        When e is zero by symmetry, the cell has vacuum or the crystal consists of metals; when a
        polar mode, or one that couples to strain, is imaginary; when `clamped` does not have the
        symmetry of the crystal; as `relax`, `force_constants` and `apply_nac`.
    RuntimeError, TypeError
        As `relax`, `force_constants` and `apply_nac`.

    Warns
    -----
    EquivarWarning
        As `force_constants`, `apply_nac` and `static_dielectric`, for example for a structure that
        is not relaxed.
    ConvergenceWarning
        When e changes by more than 3 % as the step is doubled.
    """
    relax = relax_mode("relax", relax)
    electronic = given_dielectric(dielectric_tensor, refractive_index)
    step = check_strain_step(step)
    require_forces(calculator)
    refuse_field(calculator)
    given = None if clamped is None else clamped_array("clamped", clamped)
    trial = piezoelectric_crystal(atoms, symprec=symprec)
    atoms = as_atoms(atoms).copy()
    atoms.set_masses()  # isotopes do not break this symmetry
    nac_params(trial, source, dielectric_tensor=electronic)
    if given is not None:
        _symmetrized_clamped(given, cartesian_operations(trial))
    if relax != "none":
        atoms = relaxation.relax(atoms, calculator, relax, symprec=symprec)
    phonon = force_constants(atoms, calculator, (1, 1, 1), symprec=symprec, progress=progress)
    apply_nac(phonon, source, dielectric_tensor=electronic)
    cell = primitive_as_given(phonon, atoms)
    return _tensors(phonon, cell, calculator, source, given, step, progress)


def piezoelectric_crystal(atoms: Atoms, *, symprec: float = SYMPREC) -> Phonopy:
    """Return a Phonopy object of a crystal whose symmetry allows piezoelectricity.

    Raises
    ------
    ValueError
        As `make_phonon`; when the cell has vacuum; when the point group leaves no piezoelectric
        tensor, naming it.
    """
    atoms = as_atoms(atoms).copy()
    check_structure(atoms)
    if (reason := describe_vacuum(atoms)) is not None:
        raise ValueError(
            f"the cell {reason}: a piezoelectric tensor in C/m² is defined for bulk crystals only"
        )
    atoms.set_masses()
    phonon = make_phonon(atoms, symprec=symprec)
    operations = cartesian_operations(phonon)
    independent = sum(
        float(
            np.trace(one.rotation)
            * (np.trace(one.rotation) ** 2 + np.trace(one.rotation @ one.rotation))
            / 2
        )
        for one in operations
    ) / len(operations)  # multiplicity of the identity in V ⊗ [V²]
    if independent > 0.5:
        return phonon
    symmetry = phonon.primitive_symmetry
    has_center = any(np.allclose(one.rotation, -np.eye(3), atol=1e-6) for one in operations)
    reason = "has a center of inversion" if has_center else "allows no component of it"
    raise ValueError(
        f"the piezoelectric tensor of this crystal is zero by symmetry: its point group "
        f"{symmetry.pointgroup_symbol} {reason}"
    )


def _tensors(
    phonon: Phonopy,
    cell: Atoms,
    calculator: BaseCalculator,
    source: Source,
    given: _Array | None,
    step: float,
    progress: bool,
) -> PiezoelectricTensors:
    operations = cartesian_operations(phonon)
    modes = infrared_modes(phonon)
    dielectric = static_dielectric(modes)
    clamped = given if given is not None else _clamped_of(source, cell)
    raw, doubled = strain_responses(cell, calculator, step=step, progress=progress)
    response = raw.symmetrized(operations)
    inverse = _inverse_force_constants(phonon, response)
    displacements = _displacements(inverse, response)
    ionic, elastic = _ionic(phonon, displacements), _elastic(phonon, response, displacements)
    coarse = doubled.symmetrized(operations)
    coarse_displacements = _displacements(inverse, coarse)
    step_error = float(np.abs(_ionic(phonon, coarse_displacements) - ionic).max())
    if step_error > STEP_WARNING * np.abs(ionic).max() + NOISE / 10:
        warnings.warn(
            f"the ionic part of e changes by {step_error:.2g} C/m² when the strain of {step:g} is "
            "doubled: use a smaller step for a strongly anharmonic crystal, a larger one for noisy "
            "forces",
            ConvergenceWarning,
            stacklevel=3,
        )
    elastic_step_error = elastic_asymmetry = clamped_asymmetry = float("nan")
    if (softer := _elastic(phonon, coarse, coarse_displacements)) is not None:
        assert elastic is not None
        assert raw.stress is not None
        assert response.stress is not None
        elastic_step_error = float(np.abs(softer - elastic).max())
        elastic_asymmetry = float(np.abs(raw.stress - response.stress).max())
    if clamped is not None:
        clamped, clamped_asymmetry = _symmetrized_clamped(clamped, operations)
    return PiezoelectricTensors(
        ionic=ionic,
        clamped=clamped,
        elastic_clamped=response.stress,
        elastic_relaxed=elastic,
        dielectric=dielectric,
        internal_displacements=displacements,
        force_response=response.forces,
        atoms=cell,
        step=step,
        ionic_step_error=step_error,
        elastic_step_error=elastic_step_error,
        ionic_asymmetry=float(np.abs(_ionic(phonon, _displacements(inverse, raw)) - ionic).max()),
        clamped_asymmetry=clamped_asymmetry,
        elastic_asymmetry=elastic_asymmetry,
    )


def _inverse_force_constants(phonon: Phonopy, response: StrainResponse) -> _Array:
    """Return Φ⁺, Å²/eV, shape (3 N, 3 N), without translations and uncoupled imaginary modes."""
    cell = phonon.primitive
    squares, vectors = optical_modes(phonon)
    patterns = vectors / np.sqrt(np.repeat(cell.masses, 3))[:, None]  # 1/√u
    couplings = np.linalg.norm(patterns.T @ response.forces.reshape(-1, 6), axis=1)
    stable = squares > 0
    unstable = ~stable & (couplings > COUPLED * couplings.max())
    if unstable.any():
        f = float(np.sqrt(-squares[unstable].min())) * phonon.unit_conversion_factor
        raise ValueError(
            f"the mode at {f:.2f}i THz ({f * THZ_TO_CM:.0f}i cm⁻¹) couples to strain and is "
            "unstable: the crystal would distort spontaneously, so the response of its atoms to "
            "strain has no meaning; relax the structure, or displace it along this mode and relax "
            "again"
        )
    inverse: _Array = patterns[:, stable] / squares[stable] @ patterns[:, stable].T
    return inverse


def _displacements(inverse: _Array, response: StrainResponse) -> _Array:
    """Return the internal displacements ∂u_ic/∂η_j, Å, shape (N, 3, 6), zero on average."""
    forces = response.forces - response.forces.mean(axis=0)
    moved = (inverse @ forces.reshape(-1, 6)).reshape(forces.shape)
    return moved - moved.mean(axis=0)


def _ionic(phonon: Phonopy, displacements: _Array) -> _Array:
    """Return the ionic part of e: dipoles of the displacements per volume, C/m², shape (3, 6)."""
    assert phonon.nac_params is not None
    charges = np.asarray(phonon.nac_params["born"])
    dipoles: _Array = np.einsum("iac,icj->aj", charges, displacements)
    return dipoles / abs(phonon.primitive.volume) / C_PER_M2


def _elastic(phonon: Phonopy, response: StrainResponse, displacements: _Array) -> _Array | None:
    """Return the elastic constants at relaxed atoms, GPa, shape (6, 6)."""
    if response.stress is None:
        return None
    energy = np.einsum("icj,ick->jk", response.forces, displacements)  # eV
    softening = energy / abs(phonon.primitive.volume) / units.GPa
    return response.stress - (softening + softening.T) / 2


def _clamped_of(source: Source, cell: Atoms) -> _Array | None:
    """Return the clamped-ion tensor of the calculator that gives Z*, C/m², or None."""
    calculator = source.calc if isinstance(source, Atoms) else source
    if not isinstance(calculator, BaseCalculator):
        return None
    if CLAMPED_PIEZO not in calculator.implemented_properties:
        return None
    value = calculated_property(calculator, CLAMPED_PIEZO, cell.copy())
    return clamped_array(f"{CLAMPED_PIEZO} of {type(calculator).__name__}", value)


def _symmetrized_clamped(clamped: _Array, operations: list[Operation]) -> tuple[_Array, float]:
    """Return the part with the symmetry of the crystal, and the largest change of a component."""
    symmetric = to_voigt(symmetrized(from_voigt(clamped), operations))
    change = float(np.abs(symmetric - clamped).max())
    if change > BROKEN_SYMMETRY * np.abs(clamped).max() + NOISE:
        raise ValueError(
            f"clamped does not have the symmetry of the crystal (a component differs by "
            f"{change:.2g} C/m²): it may be given in other axes, or its columns in another order "
            "than xx, yy, zz, yz, xz, xy"
        )
    return symmetric, change
