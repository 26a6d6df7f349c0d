"""Sums over all steps of the response to a pulse, of which no step is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import CZT

from ase_equivar.dynamics.driven import Drive
from ase_equivar.dynamics.recorder import Recorder

BLOCK = 1024  # steps that are transformed together
LATE = 0.1  # part of the run, at its end, in which the polarization should have died away


class PulseSums(Recorder):
    """Discrete Fourier transform of ΔP over all steps, its largest values, and the work.

    Parameters
    ----------
    samples : int
        Number N of times, the steps of the run and its start.
    first, count : int
        The frequencies: k/(N Δt) for `count` whole numbers k from `first` on.

    Attributes
    ----------
    largest, largest_late : float
        The largest |ΔP| of the run, and of its last tenth, |e|/Å².
    work : float
        Work of the field, eV.
    """

    def __init__(self, samples: int, first: int, count: int) -> None:
        self.largest = self.largest_late = self.work = 0.0
        self._samples, self._first, self._count = samples, first, count
        self._seen = 0
        self._block = np.zeros((3, BLOCK))
        self._sums = np.zeros((3, count), dtype=np.complex128)
        turn = 2j * np.pi / samples
        # a chirp transform costs far less than steps times frequencies
        self._transform = CZT(BLOCK, count, w=np.exp(turn), a=np.exp(-turn * first))

    def __call__(self, driven: Drive) -> None:
        """Take in the present step."""
        step = driven.dynamics.nsteps
        if step < self._seen:
            return
        polarization = driven.dipole_changes.sum(axis=0) / driven.atoms.get_volume()
        size = float(np.linalg.norm(polarization))
        self.largest = max(self.largest, size)
        if step >= self._samples * (1 - LATE):
            self.largest_late = max(self.largest_late, size)
        self.work = driven.work
        self.add(polarization)

    def add(self, values: NDArray[np.float64]) -> None:
        """Add the values of the next time to the transform, shape=(3,)."""
        place = self._seen % BLOCK
        self._block[:, place] = values
        self._seen += 1
        if place == BLOCK - 1:
            self._sums += self._transformed()
            self._block[:] = 0

    @property
    def spectrum(self) -> NDArray[np.complex128]:
        """Σ_n ΔP(t_n) exp(2πi k n/N) over the times so far, |e|/Å², shape=(count, 3)."""
        return (self._sums + (self._transformed() if self._seen % BLOCK else 0)).T

    def state(self) -> dict[str, Any]:
        """Return the sums so far."""
        return {
            "seen": self._seen,
            "block": self._block,
            "sums": self._sums,
            "largest": self.largest,
            "largest_late": self.largest_late,
            "work": self.work,
        }

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore the sums of an earlier part of the run."""
        self._seen = state["seen"]
        self._block, self._sums = np.array(state["block"]), np.array(state["sums"])
        self.largest, self.largest_late = state["largest"], state["largest_late"]
        self.work = state["work"]

    def _transformed(self) -> NDArray[np.complex128]:
        """Return the part of the sums from the block that ends with the last time seen."""
        begin = (self._seen - 1) // BLOCK * BLOCK
        # whole numbers keep all digits of the phase, however long the run
        turns = begin * (self._first + np.arange(self._count)) % self._samples
        phases = np.exp(2j * np.pi / self._samples * turns)
        return np.asarray(self._transform(self._block) * phases)
