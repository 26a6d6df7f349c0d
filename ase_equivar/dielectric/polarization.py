"""How the polarization changes between two structures of a crystal, from Z* along the way.

At a fixed cell, Ω dP_a = e Σ_i Z_i[a, b] du_ib: the change of polarization is the integral of Z*
over the displacements from one structure to the other, on the branch that the path follows. Every
other branch differs by whole polarization quanta e a_k/Ω, a_k a lattice vector: R. D. King-Smith
and D. Vanderbilt, Phys. Rev. B 47, 1651 (1993); R. Resta, Rev. Mod. Phys. 66, 899 (1994).

Where the cell changes too, what is integrated is the reduced polarization π, with P = e Σ_k π_k
a_k/Ω. A homogeneous strain leaves π as it is but for the piezoelectric response of the electrons at
clamped reduced coordinates, which Z* do not hold. It is left out, unless the proper clamped-ion
tensor is given: what this adds to π is the tensor's product with the strain, as D. Vanderbilt, J.
Phys. Chem. Solids 61, 147 (2000), defines proper. The change Δπ is turned into a polarization with
the cell of the polar structure, whichever way the path goes: of a nonpolar one π = 0 (or a constant
that symmetry gives to a whole branch), in any cell. Where both are polar, the start's own π would
be needed too, and Z* do not tell it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import spglib
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from scipy import integrate
from scipy.linalg import polar

from ase_equivar.arguments import (
    LARGEST_CHARGE,
    finite_real,
    whole_number,
)
from ase_equivar.charge_source import ChargeSource, read_charges
from ase_equivar.dielectric.atom_matching import shortest_order
from ase_equivar.dielectric.piezoelectric_tensors import clamped_array
from ase_equivar.structures.metals import refuse_metal, violation_per_atom, warn_if_like_a_metal
from ase_equivar.structures.validation import check_structure
from ase_equivar.structures.voigt import strain_components
from ase_equivar.sum_rule import neutralize
from ase_equivar.units import C_PER_M2, UC_PER_CM2
from ase_equivar.warning_types import ConvergenceWarning, PolarizationWarning

AMBIGUOUS = 0.45  # of a lattice vector: from here on, the image could be the nearer one
QUADRATURE_WARNING = 0.01
STRAINED = 1e-4  # from here on, cells differ


@dataclass(frozen=True)
class PolarizationChange:
    """The polarization of the last structure less that of the first one, Cartesian, µC/cm².

    Attributes
    ----------
    change : ndarray, shape (3,)
        µC/cm², on the branch that the path follows: nothing is reduced by quanta.
    quanta : ndarray, shape (3, 3)
        The polarization quanta e a_k/Ω, µC/cm², one per row: of the last structure, or of the first
        one where only that is polar. A polarization that is calculated at one structure alone is
        defined up to whole multiples of them.
    quadrature_error : float
        How much the integral changes when every other point is left out, largest component; NaN
        where there are too few points to tell.
    """

    change: NDArray[np.float64]
    quanta: NDArray[np.float64]
    quadrature_error: float

    def nearest_to(self, polarization: ArrayLike) -> NDArray[np.float64]:
        """Return the change shifted by those whole quanta that bring it closest to a given one.

        Parameters
        ----------
        polarization : array_like, shape (3,)
            µC/cm², from a Berry-phase calculation, say.

        Returns
        -------
        ndarray, shape (3,)
            Close in units of the quanta, each component by itself.
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
    """Return the change of polarization on the straight way from one structure to another.

    Reduced coordinates and cell vectors go straight from `start` to `end`, each atom to the nearest
    periodic image; a shift of the whole crystal does not count. Like atoms that are listed in
    another order are matched so that they move least. Simpson's rule.

    Parameters
    ----------
    start, end : ase.Atoms
        The same atoms in the same order, periodic in three directions. Where the cells differ, one
        of them should be nonpolar by its point group: with both ways the same change is found then,
        but for its sign.
    born_charges : calculator, callable, array_like or mapping
        Where Z* of every structure on the way come from: see
        `ase_equivar.charge_source.ChargeSource`.
    n_points : int
        Number of structures on the way, both ends included: odd, 5 or more.
    clamped_piezoelectric : array_like, optional
        Proper clamped-ion tensor of `start` in its axes, C/m², shape (3, 6), columns xx, yy, zz,
        yz, xz, xy: what the electrons add where the cell changes, to first order in the strain.

    Returns
    -------
    PolarizationChange

    Raises
    ------
    ValueError
        When the structures do not belong together or are made of metals only, the way is
        ambiguous, or the calculator is for a charged cell.
    ase.calculators.calculator.PropertyNotImplementedError
        When a calculator does not give Z*.

    Warns
    -----
    ConvergenceWarning
        When the integral is not good to 1 %: use more points.
    MetalWarning
        When the raw Z* of a structure on the way break the sum rule as those of metals do.
    PolarizationWarning
        When like atoms are matched in another order, or the cells differ and both structures are
        polar: the polarization of the first one in its own cell is not known then.
    """
    n_points = whole_number("n_points", n_points)
    if n_points < 5 or n_points % 2 == 0:
        raise ValueError(f"n_points must be odd and at least 5, got {n_points}")
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
        _warn_of_order(start, order, "; they are matched so, whatever the order in the file")
        end = end[order]
    step = reduced_step(start, end)
    cells, rates, violations = [], [], []
    for fraction in np.linspace(0, 1, n_points):
        atoms = start.copy()
        atoms.calc = None
        cells.append((1 - fraction) * start.cell.array + fraction * end.cell.array)
        reduced = start.get_scaled_positions(wrap=False) + fraction * step
        atoms.set_cell(cells[-1])
        atoms.set_positions(reduced @ cells[-1], apply_constraint=False)
        charges = charges_of(atoms)
        violations.append(violation_per_atom(born_charges, atoms, charges))
        rates.append(_reduced_change(neutralize(charges), step, cells[-1]))
    warn_if_like_a_metal(born_charges, start, max(violations))
    change = integrate.simpson(np.array(rates), dx=1 / (n_points - 1), axis=0)
    coarse = integrate.simpson(np.array(rates[::2]), dx=2 / (n_points - 1), axis=0)
    if clamped is not None:
        by_strain = _strain_change(clamped, start.cell.array, end.cell.array)
        change, coarse = change + by_strain, coarse + by_strain
    result = _to_cartesian(change, _cell_of_polar(start, end), coarse)
    size = float(np.abs(result.change).max())
    if result.quadrature_error > max(QUADRATURE_WARNING * size, 1e-3):
        warnings.warn(
            f"the change of polarization is uncertain by {result.quadrature_error:.3g} µC/cm² with "
            f"{n_points} points: use more",
            ConvergenceWarning,
            stacklevel=2,
        )
    return result


def polarization_along(
    images: Sequence[Atoms], born_charges: Sequence[ArrayLike]
) -> PolarizationChange:
    """Return the change of polarization from the first to the last of structures with known Z*.

    Trapezium rule between neighbors, for Z* from DFPT at a few structures.

    Parameters
    ----------
    images : sequence of ase.Atoms
        At least two, as in `polarization_change`.
    born_charges : sequence of array_like, each of shape (N, 3, 3)
        Of each image, |e|, row = field or polarization, column = displacement.

    Raises
    ------
    ValueError
        As `polarization_change`, and when the charges do not fit the structures.

    Warns
    -----
    PolarizationWarning
        When the cells differ and both the first and the last structure are polar, and when like
        atoms would move less if they changed places from one structure to the next.
    """
    if len(images) < 2 or len(images) != len(born_charges):
        raise ValueError(
            f"needs two structures or more and Z* of each, got {len(images)} structures and "
            f"{len(born_charges)} arrays of Z*"
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
            _warn_of_order(before, order, ": is their order the same in all structures?")
    steps = [reduced_step(a, b) for a, b in pairwise(images)]
    change = np.zeros(3)
    for k, step in enumerate(steps):
        for side in (k, k + 1):
            change += _reduced_change(charges[side], step, images[side].cell.array) / 2
    return _to_cartesian(change, _cell_of_polar(images[0], images[-1]), None)


def _warn_of_order(start: Atoms, order: NDArray[np.int64], told: str) -> None:
    moved = np.flatnonzero(order != np.arange(len(order)))
    pairs = ", ".join(f"{start.symbols[i]} {i} to {order[i]}" for i in moved[:4])
    more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
    warnings.warn(
        f"like atoms move less when they change places ({pairs}{more}){told}",
        PolarizationWarning,
        stacklevel=3,
    )


def check_pair(start: Atoms, end: Atoms) -> None:
    """Refuse structures that do not list the same atoms, or are not crystals."""
    for atoms in (start, end):
        check_structure(atoms)
    if not np.array_equal(start.numbers, end.numbers):
        raise ValueError(
            f"the structures {start.get_chemical_formula()} and {end.get_chemical_formula()} do "
            "not list the same atoms in the same order"
        )
    if not (start.pbc.all() and end.pbc.all()):
        raise ValueError("a polarization needs crystals that are periodic in three directions")


def reduced_step(start: Atoms, end: Atoms) -> NDArray[np.float64]:
    """Return how far each atom moves, in units of the lattice vectors; shape=(N, 3).

    To its nearest image, less a shift of all. ValueError if one goes too far to tell.
    """
    step = end.get_scaled_positions(wrap=False) - start.get_scaled_positions(wrap=False)
    step = step - step[0]  # a common shift must not decide which image is the nearest
    step -= np.rint(step)
    step = step - np.median(step, axis=0)
    step -= np.rint(step)
    farthest = int(np.abs(step).max(axis=1).argmax())
    if np.abs(step[farthest]).max() > AMBIGUOUS:
        raise ValueError(
            f"atom {farthest} ({start.symbols[farthest]}) moves by "
            f"{np.abs(step[farthest]).max():.2f} of a lattice vector against the others: which "
            "image it goes to is ambiguous; go through a structure in between"
        )
    moved: NDArray[np.float64] = step
    return moved


def _reduced_change(
    charges: NDArray[np.float64], step: NDArray[np.float64], cell: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Σ Z*·u in units of the lattice vectors, |e|; shape=(3,)."""
    dipole = np.einsum("iab,ib->a", charges, step @ cell)
    return np.linalg.solve(cell.T, dipole)


def _strain_change(
    clamped: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what the electrons add to π when the cell changes, |e|, whatever its rotation."""
    stretch = polar(np.linalg.solve(start, end), side="left")[1]
    response = clamped @ strain_components(stretch - np.eye(3)) * C_PER_M2
    return abs(np.linalg.det(start)) * np.linalg.solve(start.T, response)


def _cell_of_polar(start: Atoms, end: Atoms) -> NDArray[np.float64]:
    """Return the cell whose polarization the change of π is; shape=(3, 3)."""
    strain = np.abs(np.linalg.solve(start.cell.array, end.cell.array) - np.eye(3)).max()
    if strain > STRAINED and is_polar(start):
        if not is_polar(end):
            return np.asarray(start.cell.array)
        warnings.warn(
            f"both structures are polar and their cells differ (strain {strain:.2g}): the "
            "polarization of the first one changes with the cell by what Z* cannot tell, and is "
            "taken to be 0. Go from a nonpolar structure to each of them and subtract",
            PolarizationWarning,
            stacklevel=3,
        )
    return np.asarray(end.cell.array)


def is_polar(atoms: Atoms) -> bool:
    """Say whether a crystal's point group allows a spontaneous polarization (within 0.01 Å)."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    symmetry = spglib.get_symmetry(cell, symprec=0.01)
    if symmetry is None:  # spglib cannot tell
        return True
    # The mean of all rotations projects on the vectors that none of them changes.
    return bool(np.abs(symmetry["rotations"].mean(axis=0)).max() > 1e-6)


def _to_cartesian(
    change: NDArray[np.float64], cell: NDArray[np.float64], coarse: NDArray[np.float64] | None
) -> PolarizationChange:
    quanta = cell * (1 / UC_PER_CM2 / abs(np.linalg.det(cell)))
    error = np.nan if coarse is None else float(np.abs((change - coarse) @ quanta).max())
    return PolarizationChange(change=change @ quanta, quanta=quanta, quadrature_error=error)
