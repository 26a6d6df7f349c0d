"""Test whether Z* derive from a polarization: their integral around closed loops of configurations.

If Z*[i, a, b] = Ω ∂P_a/∂u_ib for one polarization P, then Σ ∫ Z* dr around a closed loop that
encloses no metallic state is zero, and a static field does no work in it. Charges that a network
predicts directly obey the sum rule and the symmetry, but are not exact derivatives by construction;
the loop integral measures the deviation. A field E does the work E · change per cycle, the energy
that a run could gain or lose by following the loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import LARGEST_LENGTH, finite_real, positive_number, whole_number
from ase_equivar.dynamics.charge_refresh import BornCharges
from ase_equivar.fields import check_field
from ase_equivar.structures.validation import check_structure

LARGEST_AMPLITUDE = 10.0  # Å


@dataclass(frozen=True)
class LoopWork:
    """The integral of Z* around one closed loop.

    Attributes
    ----------
    dipole_change : numpy.ndarray
        ∮ Σ_i Z*_i dr_i by component of the polarization, |e|·Å, shape=(3,); zero for Z* that
        derive from a polarization.
    length : float
        ∮ |Σ_i Z*_i dr_i|, the path length of Ω P, |e|·Å.
    uncertainty : float
        Largest difference between `dipole_change` and its value from every second point, |e|·Å.
    """

    dipole_change: NDArray[np.float64]
    length: float
    uncertainty: float

    @property
    def relative(self) -> float:
        """|dipole_change| / length, from 0 to 1."""
        return float(np.linalg.norm(self.dipole_change) / self.length) if self.length else 0.0

    def work(self, field: ArrayLike) -> float:
        """Return the work of a static field (V/Å) per cycle, eV."""
        return float(check_field(field) @ self.dipole_change)


def loop_work(atoms: Atoms, first: ArrayLike, second: ArrayLike, *, n_points: int = 16) -> LoopWork:
    """Integrate Z* around the ellipse ``positions + cos θ · first + sin θ · second``.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that provides ``born_effective_charges``; not modified.
    first, second : array_like
        Displacements of all atoms, Å, shape=(N, 3).
    n_points : int
        Number of points at which Z* are calculated, even, at least 4. The error decreases
        exponentially with it (trapezoidal rule for a periodic function).

    Returns
    -------
    LoopWork

    Raises
    ------
    ValueError
        If a displacement is not finite, has another shape or exceeds 10 Å, or if `n_points` is odd
        or below 4.
    ase.calculators.calculator.PropertyNotImplementedError
        If the calculator does not give Z*.
    """
    check_structure(atoms)
    if atoms.calc is None:
        raise ValueError("the atoms have no calculator to give Z*; set atoms.calc first")
    n_points = whole_number("n_points", n_points, at_least=4)
    if n_points % 2:
        raise ValueError(f"n_points is {n_points}; give an even number of at least 4")
    one, two = (
        finite_real(name, given, (len(atoms), 3), unit="Å", largest=LARGEST_LENGTH)
        for name, given in (("first", first), ("second", second))
    )
    charges = BornCharges(atoms.calc)
    moved = atoms.copy()
    steps = []
    for angle in np.arange(n_points) * 2 * np.pi / n_points:
        moved.positions = atoms.positions + np.cos(angle) * one + np.sin(angle) * two
        tangent = np.cos(angle) * two - np.sin(angle) * one
        born = charges(moved, np.zeros(3))
        steps.append(np.einsum("iab,ib->a", born, tangent) * 2 * np.pi / n_points)
    change = np.sum(steps, axis=0)
    coarse = 2 * np.sum(steps[::2], axis=0)
    length = float(np.linalg.norm(steps, axis=1).sum())
    return LoopWork(change, length, float(np.abs(change - coarse).max()))


def loop_residual(
    atoms: Atoms, *, amplitude: float = 0.05, loops: int = 4, n_points: int = 16, seed: int = 0
) -> float:
    """Return how far Z* near a structure are from deriving from a polarization, as one number.

    The loops also start from randomly displaced structures: if all atoms are centers of inversion,
    as in rock salt, the integral around the structure itself is zero by symmetry for any model.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that provides ``born_effective_charges``; not modified.
    amplitude : float
        Root mean square of each coordinate's displacement, Å. The result is proportional to it, so
        quote both together.
    loops, n_points : int
        Number of random loops, and of points on each.
    seed : int
        Seed of the random displacements.

    Returns
    -------
    float
        √(Σ |dipole_change|² / Σ length²) over the loops, see LoopWork: 0 for the derivative of a
        polarization, at most 1.
    """
    check_structure(atoms)
    amplitude = positive_number("amplitude", amplitude, "Å", largest=LARGEST_AMPLITUDE)
    loops = whole_number("loops", loops, at_least=1)
    rng = np.random.default_rng(whole_number("seed", seed))
    center = atoms.copy()
    center.calc = atoms.calc
    found = []
    for _ in range(loops):
        shift, first, second = rng.normal(scale=amplitude, size=(3, len(atoms), 3))
        center.positions = atoms.positions + shift
        found.append(loop_work(center, first, second, n_points=n_points))
    change = sum(float(one.dipole_change @ one.dipole_change) for one in found)
    length = sum(one.length**2 for one in found)
    return float(np.sqrt(change / length)) if length else 0.0
