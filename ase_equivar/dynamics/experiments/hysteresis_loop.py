"""Ferroelectric hysteresis: polarization as a function of a cyclic field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import whole_number
from ase_equivar.dynamics.experiments.thermal_run import MDSettings, field_run, steps_in
from ase_equivar.dynamics.observables import FieldRun
from ase_equivar.fields import check_field
from ase_equivar.fields.waveforms import TriangleField

POINTS = 400  # observations per period


@dataclass(frozen=True)
class HysteresisLoop:
    """The loop P(E) along the direction of the field, averaged over the recorded periods.

    The polarization is measured from its mean over a period, because Z* give only its changes. The
    loop is therefore centered in P and does not show an imprint in polarization; it does show one
    in the field. A crystal that does not switch shows the line of a dielectric.

    Attributes
    ----------
    field : ndarray, shape (T,)
        V/Å, from 0 up to the amplitude, down to its negative, and back to 0.
    polarization : ndarray, shape (T,)
        µC/cm².
    loss : float
        ∮ E dP, the work of the field in one period per volume, eV/Å³.
    run : FieldRun
        The whole run, with all components.
    """

    field: NDArray[np.float64]
    polarization: NDArray[np.float64]
    loss: float
    run: FieldRun

    @property
    def remanent_polarization(self) -> float:
        """Half the distance between the two branches at zero field, µC/cm²."""
        quarter, three = len(self.field) // 4, 3 * len(self.field) // 4
        falling = _crossing(self.polarization[quarter:three], self.field[quarter:three])
        rising = 0.5 * (self.polarization[0] + self.polarization[-1])
        return float(0.5 * (falling - rising))

    @property
    def coercive_field(self) -> float:
        """Half the distance between the two zeros of P, V/Å; NaN if P does not change sign."""
        top, bottom = int(self.field.argmax()), int(self.field.argmin())
        falling = slice(top, bottom + 1)
        order = np.r_[bottom : len(self.field), 0 : top + 1]
        return float(
            0.5
            * (
                _crossing(self.field[order], self.polarization[order])
                - _crossing(self.field[falling], self.polarization[falling])
            )
        )


def hysteresis(
    atoms: Atoms,
    amplitude: ArrayLike,
    period: float,
    *,
    periods: int = 2,
    md_settings: MDSettings | None = None,
    folder: str | Path | None = None,
) -> HysteresisLoop:
    """Drive a crystal around its hysteresis loop with a triangular wave, at fixed cell.

    In a small cell and within picoseconds the whole cell switches at once. The coercive field is
    therefore far above measured ones, at which domain walls move within microseconds.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that provides forces and ``born_effective_charges``; not modified.
    amplitude : array_like
        The largest field, V/Å, shape=(3,); its direction is that of the loop.
    period : float
        Period of the wave, fs. It is lengthened to a multiple of four time steps (by at most 1 % if
        it spans many steps), so that the extrema of the field are observed.
    periods : int
        Number of periods to record, after a first one that is left out.
    md_settings : MDSettings, optional
        Temperature, time step, friction.
    folder : str or pathlib.Path, optional
        Folder for the log and checkpoints; see `field_run`.

    Returns
    -------
    HysteresisLoop

    Raises
    ------
    ValueError
        If the amplitude is zero or a number is out of range; and as for `drive`.
    """
    md_settings = md_settings or MDSettings()
    largest = check_field(amplitude)
    strength = float(np.linalg.norm(largest))
    if not strength:
        raise ValueError("the amplitude is zero; give the largest field in V/Å")
    periods = whole_number("periods", periods, at_least=1)
    interval, points = _observations(steps_in("period", period, md_settings))
    wave = TriangleField(largest, period=points * interval * md_settings.timestep)
    run = field_run(
        atoms,
        wave,
        (periods + 1) * points * interval,
        md_settings,
        interval=interval,
        folder=folder,
        description="hysteresis",
    )
    direction = largest / strength
    field = run.electric_field[points:] @ direction
    polarization = run.polarization_change[points:] @ direction
    # from the work of all steps, of which the run keeps some
    loss = float((run.work[-1] - run.work[points]) / atoms.get_volume() / periods)
    # A drift between periods (from ions that hop irreversibly) would leave the mean loop open.
    mean = np.array([polarization[i * points : (i + 1) * points + 1] for i in range(periods)])
    mean = mean.mean(axis=0)
    return HysteresisLoop(
        field=field[: points + 1],
        polarization=mean - mean[:-1].mean(),
        loss=loss,
        run=run,
    )


def _observations(steps: int) -> tuple[int, int]:
    """Return the number of steps between observations and of observations per period.

    The latter is a multiple of four, so that the extrema of the field are observed.
    """
    longest = max(steps // POINTS, 1)
    exact = [i for i in range(longest, longest // 2, -1) if steps % (4 * i) == 0]
    interval = exact[0] if exact else longest
    return interval, 4 * math.ceil(steps / (4 * interval))


def _crossing(values: NDArray[np.float64], along: NDArray[np.float64]) -> float:
    """Return `values` at the zero of `along`; NaN if there is none.

    Noise makes several zeros: the middle of the first and the last is taken, for the last alone
    would always be on the same side.
    """
    changes = np.flatnonzero(np.diff(np.signbit(along)))
    if not len(changes):
        return float("nan")
    i = changes[[0, -1]]
    fraction = along[i] / (along[i] - along[i + 1])
    return float((values[i] + fraction * (values[i + 1] - values[i])).mean())
