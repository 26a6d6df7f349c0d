"""The change of polarization between two structures of a crystal, from Z* along the path.

At a fixed cell, Ω dP_a = e Σ_ib Z_i[a, b] du_ib: the change of polarization is the integral of Z*
over the displacements from one structure to the other, on the branch that the path follows. All
other branches differ from it by integer multiples of the polarization quanta e a_k/Ω, where a_k is
a lattice vector: R. D. King-Smith and D. Vanderbilt, Phys. Rev. B 47, 1651 (1993); R. Resta, Rev.
Mod. Phys. 66, 899 (1994).

If the cell changes too, the reduced polarization π is integrated, with P = e Σ_k π_k a_k/Ω. A
homogeneous strain changes π only by the electronic (clamped-ion) piezoelectric response, which Z*
do not contain. It is neglected unless the proper clamped-ion tensor is given; its contribution to π
is then that tensor times the strain (D. Vanderbilt, J. Phys. Chem. Solids 61, 147 (2000)). Δπ is
converted to a polarization with the cell of the polar structure, whether that is the first or the
last one: a nonpolar structure has π = 0 (or a constant fixed by symmetry) in any cell. If both
structures are polar, π of the first one would be needed as well, which Z* do not determine.

A rotation of the whole crystal leaves π as it is. So the path has none: it is the pure strain of
the cell of the first structure, by the polar decomposition.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from scipy import integrate

from ase_equivar.arguments import (
    LARGEST_CHARGE,
    finite_real,
    whole_number,
)
from ase_equivar.charge_source import ChargeSource, read_charges
from ase_equivar.dielectric.atom_matching import shortest_order
from ase_equivar.dielectric.piezoelectric_tensors import clamped_array
from ase_equivar.dielectric.structure_pairs import (
    cell_of_polar,
    check_pair,
    reduced_step,
    stretch,
    warn_if_same,
    warn_of_order,
)
from ase_equivar.structures.metals import refuse_metal, violation_per_atom, warn_if_like_a_metal
from ase_equivar.structures.validation import check_structure
from ase_equivar.structures.voigt import strain_components
from ase_equivar.sum_rule import neutralize
from ase_equivar.units import C_PER_M2, UC_PER_CM2
from ase_equivar.warning_types import ConvergenceWarning

QUADRATURE_WARNING = 0.01  # relative


@dataclass(frozen=True)
class PolarizationChange:
    """The polarization of the last structure minus that of the first one, Cartesian, µC/cm².

    Of crystals that are turned with respect to each other, that of the first one is taken as turned
    into the orientation of the last one. The Cartesian axes are those of the last structure, or of
    the first one if only that is polar (then that of the last one is zero).

    Attributes
    ----------
    change : ndarray, shape (3,)
        µC/cm², on the branch that the path follows; not reduced modulo the quanta.
    quanta : ndarray, shape (3, 3)
        The polarization quanta e a_k/Ω, µC/cm², row k for lattice vector a_k: of the last
        structure, or of the first one if only that is polar. The polarization of a single structure
        is only defined modulo these quanta.
    quadrature_error : float
        By how much the largest component of the integral changes if every other point is left out,
        µC/cm²; NaN for `polarization_along`, which has no points to spare.
    """

    change: NDArray[np.float64]
    quanta: NDArray[np.float64]
    quadrature_error: float

    def nearest_to(self, polarization: ArrayLike) -> NDArray[np.float64]:
        """Return the change shifted by integer multiples of the quanta, closest to a given value.

        Parameters
        ----------
        polarization : array_like, shape (3,)
            The given value, µC/cm², for example from a Berry-phase calculation.

        Returns
        -------
        ndarray, shape (3,)
            µC/cm². Along each lattice vector it differs from `polarization` by at most half a
            quantum.
        """
        given = finite_real("polarization", polarization, (3,), unit="µC/cm²")
        away = np.linalg.solve(self.quanta.T, given - self.change)
        return self.change + np.rint(away) @ self.quanta


def polarization_change(
    start: Atoms,
    end: Atoms,
    born_charges: ChargeSource,
    *,
    n_points: int = 9,
    clamped_piezoelectric: ArrayLike | None = None,
) -> PolarizationChange:
    """Return the change of polarization along the straight path from one structure to another.

    Reduced coordinates and cell vectors are interpolated linearly from `start` to `end`, each atom
    moving to its nearest periodic image. A rigid shift of the whole crystal does not contribute,
    nor does a rotation: all structures along the path are oriented as `start`. If atoms of an
    element are listed in a different order, they are matched by the smallest displacements. The
    integral is evaluated by Simpson's rule.

    Parameters
    ----------
    start, end : ase.Atoms
        The same elements in the same order, periodic in three directions. If the cells differ, one
        of the two structures should have a nonpolar point group: only then do both directions of
        the path give the same change, with opposite sign.
    born_charges : calculator, callable, array_like or mapping
        Source of Z* for every structure along the path: see
        `ase_equivar.charge_source.ChargeSource`. Tensors given as an array are in the Cartesian
        axes of `start`.
    n_points : int
        Number of structures along the path, both ends included: odd, 5 or more.
    clamped_piezoelectric : array_like, optional
        Proper clamped-ion piezoelectric tensor of `start` in its Cartesian axes, C/m², shape
        (3, 6): row = polarization, columns xx, yy, zz, yz, xz, xy. Adds the response of the
        electrons to a change of the cell, to first order in the strain.

    Returns
    -------
    PolarizationChange
        In the Cartesian axes of `end`, or of `start` if only that is polar.

    Raises
    ------
    ValueError
        When the structures do not contain the same atoms or consist of metals only, when atoms move
        by nearly half a lattice vector relative to the others, so that the path is ambiguous,
        when one cell is right-handed and the other left-handed or its vectors are others of the
        same lattice, or when the calculator is for a charged cell.
    ase.calculators.calculator.PropertyNotImplementedError
        When a calculator does not give Z*.

    Warns
    -----
    ConvergenceWarning
        When the error of the quadrature exceeds 1 %: use more points.
    MetalWarning
        When the raw Z* of a structure along the path violate the sum rule as those of metals do.
    PolarizationWarning
        When atoms are matched in a different order; when the two structures are the same, or one is
        the other shifted or turned as a whole; or when both structures are polar and one cell is
        strained relative to the other, so that the polarization of the first one in its own cell is
        not known.
    """
    n_points = check_points("n_points", n_points)
    clamped = None
    if clamped_piezoelectric is not None:
        clamped = clamped_array("clamped_piezoelectric", clamped_piezoelectric)
    charges_of = read_charges(born_charges)
    if charge := getattr(born_charges, "total_charge", 0):
        raise ValueError(
            f"the calculator has total_charge={charge}: the polarization of a charged cell depends "
            "on the origin"
        )
    check_pair(start, end)
    refuse_metal(start)
    order = shortest_order(start, end)
    if order is not None:
        warn_of_order(start, order, ": this order is used instead of the one in the file")
        end = end[order]
    step = reduced_step(start, end)
    warn_if_same(start, end, step)
    strain = stretch(start, end) - np.eye(3)
    rates, violations = [], []
    for fraction in np.linspace(0, 1, n_points):
        atoms = start.copy()
        atoms.calc = None
        cell = start.cell.array @ (np.eye(3) + fraction * strain)
        reduced = start.get_scaled_positions(wrap=False) + fraction * step
        atoms.set_cell(cell, apply_constraint=False)  # FixSymmetry would change it
        atoms.set_positions(reduced @ cell, apply_constraint=False)
        charges = charges_of(atoms)
        violations.append(violation_per_atom(born_charges, atoms, charges))
        rates.append(_reduced_change(neutralize(charges), step, cell))
    warn_if_like_a_metal(born_charges, start, max(violations))
    change = integrate.simpson(np.array(rates), dx=1 / (n_points - 1), axis=0)
    coarse = integrate.simpson(np.array(rates[::2]), dx=2 / (n_points - 1), axis=0)
    if clamped is not None:
        by_strain = _strain_change(clamped, start.cell.array, strain)
        change, coarse = change + by_strain, coarse + by_strain
    result = _to_cartesian(change, cell_of_polar(start, end), coarse)
    size = float(np.abs(result.change).max())
    if result.quadrature_error > max(QUADRATURE_WARNING * size, 1e-3):
        warnings.warn(
            f"the change of polarization is uncertain by {result.quadrature_error:.3g} µC/cm² with "
            f"n_points={n_points}: use more points",
            ConvergenceWarning,
            stacklevel=2,
        )
    return result


def check_points(name: str, value: object) -> int:
    """Return how many structures are predicted on a path, or refuse what Simpson's rule cannot."""
    number = whole_number(name, value)
    if number < 5 or number % 2 == 0:
        raise ValueError(f"{name} must be odd and at least 5, got {number}")
    return number


def polarization_along(
    images: Sequence[Atoms], born_charges: Sequence[ArrayLike]
) -> PolarizationChange:
    """Return the change of polarization along a sequence of structures whose Z* are known.

    The integral from one structure to the next is evaluated by the trapezium rule; meant for Z*
    from DFPT at a few structures.

    Parameters
    ----------
    images : sequence of ase.Atoms
        At least two, as in `polarization_change`. They may be turned with respect to each other.
    born_charges : sequence of array_like, each of shape (N, 3, 3)
        Z* of each structure, |e|, [i, a, b]: row a = field or polarization, column b =
        displacement; in the Cartesian axes of that structure.

    Returns
    -------
    PolarizationChange
        In the Cartesian axes of the last structure, or of the first one if only that is polar.

    Raises
    ------
    ValueError
        As `polarization_change`, and when the charges do not fit the structures.

    Warns
    -----
    PolarizationWarning
        When the cells differ and both the first and the last structure are polar; when atoms of an
        element would move less from one structure to the next in a different order; and when there
        are two structures, which are the same.
    """
    if len(images) < 2 or len(images) != len(born_charges):
        raise ValueError(
            f"images must be at least two structures, and born_charges Z* of each; got "
            f"{len(images)} structures and {len(born_charges)} arrays of Z*"
        )
    charges = []
    for image in images:
        check_structure(image)
    for image, given in zip(images, born_charges, strict=True):
        array = finite_real("born_charges", given, None, unit="|e|", largest=LARGEST_CHARGE)
        if array.shape != (len(image), 3, 3):
            raise ValueError(
                f"Z* of shape {array.shape} do not fit a structure of {len(image)} atoms: expected "
                f"({len(image)}, 3, 3)"
            )
        charges.append(neutralize(array))

    for before, after in pairwise(images):
        check_pair(before, after)
        order = shortest_order(before, after)
        if order is not None:
            warn_of_order(before, order, ": is their order the same in all structures?")
    steps = [reduced_step(a, b) for a, b in pairwise(images)]
    if len(images) == 2:
        warn_if_same(images[0], images[1], steps[0])
    change = np.zeros(3)
    for k, step in enumerate(steps):
        for side in (k, k + 1):
            change += _reduced_change(charges[side], step, images[side].cell.array) / 2
    return _to_cartesian(change, cell_of_polar(images[0], images[-1]), None)


def _reduced_change(
    charges: NDArray[np.float64], step: NDArray[np.float64], cell: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Σ_i Z_i·u_i in reduced coordinates, |e|; shape=(3,)."""
    dipole = np.einsum("iab,ib->a", charges, step @ cell)
    return np.linalg.solve(cell.T, dipole)


def _strain_change(
    clamped: NDArray[np.float64], start: NDArray[np.float64], strain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the clamped-ion change of π for a strain of the cell, |e|."""
    response = clamped @ strain_components(strain) * C_PER_M2
    return abs(np.linalg.det(start)) * np.linalg.solve(start.T, response)


def _to_cartesian(
    change: NDArray[np.float64], cell: NDArray[np.float64], coarse: NDArray[np.float64] | None
) -> PolarizationChange:
    quanta = cell * (1 / UC_PER_CM2 / abs(np.linalg.det(cell)))
    error = np.nan if coarse is None else float(np.abs((change - coarse) @ quanta).max())
    return PolarizationChange(change=change @ quanta, quanta=quanta, quadrature_error=error)
