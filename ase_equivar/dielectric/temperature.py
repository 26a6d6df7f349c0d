"""The kinetic temperature of a trajectory, of those degrees of freedom that take part in it."""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms, units
from ase.constraints import FixAtoms, FixCartesian, FixCom, FixedLine, FixedPlane, FixScaled
from numpy.typing import NDArray

from ase_equivar.warning_types import SamplingWarning

HOLDING = (FixAtoms, FixCartesian, FixScaled, FixedLine, FixedPlane)
"""Constraints that hold atoms one by one."""

CONSERVED = 1e-3  # of the momentum that independent atoms would have together


class MovingAtoms:
    """What moves in a trajectory, frame by frame.

    Three degrees of freedom for each atom, less those of

    - coordinates whose velocity is zero in all frames, or that a constraint of the first frame
      holds: some formats lose constraints;
    - other constraints of the first frame, such as rigid bonds;
    - each component of the total momentum that is the same in all frames: in molecular dynamics
      with constant energy, or with `ase.constraints.FixCom`, but not with a Langevin thermostat
      alone, nor where some atoms are held. Its kinetic energy does not count either.

    Parameters
    ----------
    first : ase.Atoms
        The first frame, which is not added by that.
    """

    def __init__(self, first: Atoms) -> None:
        self._first = first
        self._still = np.ones((len(first), 3), dtype=bool)
        self._momenta: list[NDArray[np.float64]] = []
        self._independent: list[NDArray[np.float64]] = []
        self._kinetic: list[float] = []

    def add(self, atoms: Atoms) -> None:
        """Take note of one more frame."""
        momenta = atoms.get_momenta()
        self._still &= momenta == 0
        self._momenta.append(momenta.sum(axis=0))
        self._independent.append((momenta**2).sum(axis=0))
        self._kinetic.append(atoms.get_kinetic_energy())

    @property
    def any(self) -> bool:
        """Whether anything moves at all."""
        return bool(np.any(self._kinetic))

    def temperature(self) -> float:
        """Return the mean kinetic temperature, K; 0 where no degree of freedom is left.

        Warns
        -----
        UserWarning
            When a constraint does not tell how many degrees of freedom it takes.
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
        """Count the degrees of freedom that never move, and those that constraints take."""
        by_constraints = np.zeros(len(self._first), dtype=int)
        together = 0
        for constraint in self._first.constraints:
            if isinstance(constraint, FixCom):
                continue  # the momenta tell
            try:
                removed = constraint.get_removed_dof(self._first)
            except (AttributeError, NotImplementedError):
                warnings.warn(
                    f"how many degrees of freedom {type(constraint).__name__} takes is not known: "
                    "the kinetic temperature is too low, give the temperature of the run",
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
