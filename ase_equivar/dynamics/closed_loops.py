"""Whether Z* derive from a polarization: their integral around closed loops of configurations.

If Z*[i, a, b] = Ω ∂P_a/∂u_ib for one polarization P, then Σ ∫ Z* dr around a closed loop that
encloses no metallic state is zero, and a static field does no work in it. Charges that a network
predicts directly obey the sum rule and the symmetry, but nothing makes them an exact derivative:
what is left around a loop says how far they are from one. A field E does the work E · change per
round, which is how much energy a run could gain or lose by going round there.
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

    change: ∮ Σ_i Z*_i dr_i, by component of the polarization, |e|·Å, shape=(3,); zero for Z* that
    derive from a polarization. length: ∮ |Σ_i Z*_i dr_i|, the way that Ω P went, |e|·Å.
    uncertainty: the largest difference of `change` from that with every second point, |e|·Å.
    """

    change: NDArray[np.float64]
    length: float
    uncertainty: float

    @property
    def relative(self) -> float:
        """|change| / length, from 0 to 1."""
        return float(np.linalg.norm(self.change) / self.length) if self.length else 0.0

    def work(self, field: ArrayLike) -> float:
        """Return the work of a static field in one round, eV, from the field in V/Å."""
        return float(check_field(field) @ self.change)


def loop_work(atoms: Atoms, first: ArrayLike, second: ArrayLike, *, n_points: int = 16) -> LoopWork:
    """Integrate Z* around the ellipse ``positions + cos θ · first + sin θ · second``.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that gives ``born_effective_charges``; left as they are.
    first, second : array_like
        Displacements of all atoms, Å, shape=(N, 3).
    n_points : int
        Where Z* are calculated, even, at least 4. The error falls exponentially with their
        number (trapezium rule on a periodic function).

    Returns
    -------
    LoopWork

    Raises
    ------
    ValueError
        If an argument makes no sense.
    ase.calculators.calculator.PropertyNotImplementedError
        If the calculator does not give Z*.
    """
    check_structure(atoms)
    if atoms.calc is None:
        raise ValueError("the atoms have no calculator to give Z*; set atoms.calc first")
    n_points = whole_number("n_points", n_points, at_least=4)
    if n_points % 2:
        raise ValueError(f"n_points is {n_points}; give an even number from 4 on")
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
    """Return one number for how far Z* near a structure are from deriving from a polarization.

    The loops go round structures displaced at random as well: around one all of whose atoms are
    centers of inversion, such as rock salt, the integral is zero by symmetry for any model.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that gives ``born_effective_charges``; left as they are.
    amplitude : float
        Root mean square of each coordinate's displacement, Å. The number grows in proportion to
        it: state it with the number.
    loops, n_points : int
        How many random loops, and points on each.
    seed : int
        Of the random displacements.

    Returns
    -------
    float
        √(Σ |change|² / Σ length²) over the loops, see LoopWork: 0 for the derivative of a
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
    change = sum(float(one.change @ one.change) for one in found)
    length = sum(one.length**2 for one in found)
    return float(np.sqrt(change / length)) if length else 0.0
