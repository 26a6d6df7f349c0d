"""Phonon density of states, with and without the non-analytical correction."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrix, DynamicalMatrixNAC
from phonopy.phonon.mesh import Mesh
from phonopy.phonon.spectrum import TetrahedronDOSAccumulator
from scipy.integrate import trapezoid

from ase_equivar.arguments import positive_number, whole_number
from ase_equivar.phonons.lo_to import warn_if_imaginary
from ase_equivar.phonons.requirements import require_force_constants
from ase_equivar.warning_types import InputWarning

LONGEST_MESH = 1000.0  # Å; already some 10⁷ points


@dataclass(frozen=True)
class DensityOfStates:
    """Number of modes per THz and primitive cell; its integral is 3 N.

    Attributes
    ----------
    frequencies : ndarray, shape (n,)
        THz; negative: imaginary.
    uncorrected : ndarray, shape (n,)
        Without the correction, 1/THz.
    corrected : ndarray, shape (n,), or None
        With the correction, 1/THz. None without ``nac_params``.
    """

    frequencies: NDArray[np.float64]
    uncorrected: NDArray[np.float64]
    corrected: NDArray[np.float64] | None


def density_of_states(
    phonon: Phonopy, *, mesh_length: float = 100.0, n_points: int = 801
) -> DensityOfStates:
    """Return the phonon density of states by the linear tetrahedron method.

    The mesh includes Γ, where q has no direction and the correction is omitted; the weight of this
    point vanishes for dense meshes.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants, and with ``nac_params`` for the corrected density. Not changed.
    mesh_length : float
        Length l in Å that sets the number of points, |b|·l (without 2π), along each reciprocal
        vector b: 20 for a cell of 5 Å with the default.
    n_points : int
        Number of frequencies.

    Raises
    ------
    ValueError
        If `phonon` lacks force constants or holds numbers that are not finite, or `mesh_length`
        (above 0, up to 1000 Å) or `n_points` is out of range.

    Warns
    -----
    ImaginaryModesWarning
        If modes are imaginary; their states are at negative frequencies.
    InputWarning
        If a tenth of the modes or more is missing, because the mesh has one point only, or because
        bands are flatter than the distance of two frequencies.
    """
    matrix = require_force_constants(phonon)
    mesh_length = positive_number("mesh_length", mesh_length, "Å", largest=LONGEST_MESH)
    n_points = whole_number("n_points", n_points, at_least=2)
    plain = DynamicalMatrix(phonon.supercell, phonon.primitive, phonon.force_constants)
    without = _mesh(phonon, plain, mesh_length)
    with_field = (
        _mesh(phonon, matrix, mesh_length) if isinstance(matrix, DynamicalMatrixNAC) else None
    )
    meshes = [without] if with_field is None else [without, with_field]
    lowest = min(float(mesh.frequencies.min()) for mesh in meshes)
    highest = max(float(mesh.frequencies.max()) for mesh in meshes)
    warn_if_imaginary(float(meshes[-1].frequencies.min()), "on the mesh")
    margin = 0.02 * (highest - lowest)
    frequencies = np.linspace(min(lowest, 0.0) - margin, highest + margin, n_points)
    uncorrected = _density(without, frequencies)
    found, there = float(trapezoid(uncorrected, frequencies)), without.frequencies.shape[1]
    if found < 0.9 * there:
        warnings.warn(
            f"the density of states holds {found:.2f} of {there} modes: with a mesh_length of "
            f"{mesh_length:g} Å and {n_points} frequencies, bands are too flat to be resolved; "
            "increase both",
            InputWarning,
            stacklevel=2,
        )
    return DensityOfStates(
        frequencies=frequencies,
        uncorrected=uncorrected,
        corrected=None if with_field is None else _density(with_field, frequencies),
    )


def _mesh(phonon: Phonopy, matrix: DynamicalMatrix, length: float) -> Mesh:
    mesh = Mesh(
        matrix,
        length,
        is_gamma_center=True,
        rotations=phonon.primitive_symmetry.pointgroup_operations,
        primitive_symmetry=phonon.primitive_symmetry,
        factor=phonon.unit_conversion_factor,
    )
    mesh.run()
    return mesh


def _density(mesh: Mesh, frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the densities of the bands, each at those frequencies only that it has."""
    density = np.zeros(len(frequencies))
    for band in mesh.frequencies.T:
        inside = slice(*np.searchsorted(frequencies, [band.min(), band.max()]))
        if inside.start == inside.stop:  # as flat as the distance of two frequencies
            continue
        density[inside] += TetrahedronDOSAccumulator(
            band[:, None],
            mesh.bz_grid,
            ir_grid_points=mesh.ir_grid_points,
            ir_grid_weights=mesh.weights,
            ir_grid_map=mesh.grid_mapping_table,
            sampling_points=frequencies[inside],
        ).result.density[0, :, 0]
    return density
