"""The kinetic temperature of a trajectory, from its free degrees of freedom."""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms, units
from ase.constraints import FixAtoms, FixCartesian, FixCom, FixedLine, FixedPlane, FixScaled
from numpy.typing import NDArray

from ase_equivar.warning_types import SamplingWarning

HOLDING = (FixAtoms, FixCartesian, FixScaled, FixedLine, FixedPlane)
"""Constraints that act on each atom separately."""

CONSERVED = 1e-3  # relative to the total momentum that independent atoms would have


class MovingAtoms:
    """Kinetic energy and degrees of freedom of a trajectory, accumulated frame by frame.

    The degrees of freedom are three for each atom, minus

    - coordinates whose velocity is zero in all frames (some file formats lose constraints), or that
      a constraint of the first frame keeps fixed;
    - those that other constraints of the first frame remove, such as rigid bonds;
    - one for each component of the total momentum that is the same in all frames, as in molecular
      dynamics at constant energy or with `ase.constraints.FixCom`, but not with a Langevin
      thermostat alone nor with fixed atoms. The kinetic energy of that motion is subtracted too.

    Parameters
    ----------
    first : ase.Atoms
        The first frame, for its constraints and masses; `add` has to be called for it as well.
    """

    def __init__(self, first: Atoms) -> None:
        self._first = first
        self._still = np.ones((len(first), 3), dtype=bool)
        self._momenta: list[NDArray[np.float64]] = []
        self._independent: list[NDArray[np.float64]] = []
        self._kinetic: list[float] = []

    def add(self, atoms: Atoms) -> None:
        """Add one frame."""
        momenta = atoms.get_momenta()
        self._still &= momenta == 0
        self._momenta.append(momenta.sum(axis=0))
        self._independent.append((momenta**2).sum(axis=0))
        self._kinetic.append(atoms.get_kinetic_energy())

    @property
    def any(self) -> bool:
        """Whether any atom moves in any frame."""
        return bool(np.any(self._kinetic))

    def temperature(self) -> float:
        """Return the mean kinetic temperature, K; 0 if no degree of freedom is left.

        Warns
        -----
        SamplingWarning
            When ASE does not know how many degrees of freedom a constraint removes.
        """
        total = np.array(self._momenta)
        usual = np.sqrt(np.mean(self._independent, axis=0))
        conserved = (usual > 0) & (total.std(axis=0) <= CONSERVED * usual)
        common = (total.mean(axis=0)[conserved] ** 2).sum() / (2 * self._first.get_masses().sum())
        freedom = 3 * len(self._first) - self._held() - int(conserved.sum())
        if freedom <= 0:
            return 0.0
        return float(2 * (np.mean(self._kinetic) - common) / (freedom * units.kB))

    def _held(self) -> int:
        """Return the number of degrees of freedom that never move or that constraints remove."""
        by_constraints = np.zeros(len(self._first), dtype=int)
        together = 0
        for constraint in self._first.constraints:
            if isinstance(constraint, FixCom):
                continue  # visible in the total momentum
            try:
                removed = constraint.get_removed_dof(self._first)
            except (AttributeError, NotImplementedError):
                warnings.warn(
                    f"ASE does not know how many degrees of freedom {type(constraint).__name__} "
                    "removes, so the kinetic temperature is too low: give the temperature of the "
                    "run",
                    SamplingWarning,
                    stacklevel=4,
                )
                continue
            if isinstance(constraint, HOLDING):
                indices = constraint.get_indices()
                by_constraints[indices] += removed // len(indices)
            else:
                together += removed
        held = np.maximum(self._still.sum(axis=1), np.minimum(by_constraints, 3))
        return int(held.sum()) + together
