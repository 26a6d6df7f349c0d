"""Response to a short pulse: absorbed energy, polarization over time, and χ(ω) for a weak pulse."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real
from ase_equivar.dynamics.experiments.pulse_sums import PulseSums
from ase_equivar.dynamics.experiments.thermal_run import MDSettings, field_run, steps_in
from ase_equivar.dynamics.observables import FieldRun
from ase_equivar.fields.algebra import Waveform
from ase_equivar.structures.validation import check_structure
from ase_equivar.units import CYCLES_PER_FS, VACUUM_PERMITTIVITY
from ase_equivar.warning_types import ConvergenceWarning, NotRelaxedWarning

SPECTRUM_FROM = 0.05  # of the pulse's largest Fourier component; below, the ratio is noise
POINTS = 4000  # observations of the run, for curves over time
CHUNK = 10_000  # steps for which the pulse is calculated together
DIED_AWAY = 0.05  # of the largest polarization
AT_REST = 0.05  # eV/Å; with larger forces the structure oscillates without field


@dataclass(frozen=True)
class PulseResponse:
    """Response of a crystal to a pulse.

    Attributes
    ----------
    run : FieldRun
        Observables over time: at each step, or from 8000 steps on at every few steps, between which
        a short pulse may fall. Nothing else here is derived from them.
    direction : ndarray, shape (3,)
        Unit vector along the field of the pulse at its maximum.
    absorbed : float
        Work of the pulse, eV.
    frequencies : ndarray, shape (F,)
        Frequencies contained in the pulse, THz.
    susceptibility : ndarray, shape (F, 3), complex
        P(ω) / (ε0 E(ω)) of the ions, for E along the direction of the pulse and each component of
        P, with the convention exp(−iωt): absorption is a positive imaginary part. It is the linear
        response if the pulse is weak, and converged if the polarization has decayed at the end. All
        steps contribute, not only those of `run`.
    remaining : float
        Largest |P| in the last tenth of the run divided by the largest overall; near 0 if P has
        decayed.
    """

    run: FieldRun
    direction: NDArray[np.float64]
    absorbed: float
    frequencies: NDArray[np.float64]
    susceptibility: NDArray[np.complex128]
    remaining: float


def pulse_response(
    atoms: Atoms,
    pulse: Waveform,
    duration: float,
    *,
    md_settings: MDSettings | None = None,
    folder: str | Path | None = None,
) -> PulseResponse:
    """Apply a pulse to a crystal at fixed cell.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that provides forces and ``born_effective_charges``; not modified.
        Starting at rest at the minimum, with temperature 0, a single run gives the susceptibility;
        at finite temperature, thermal motion adds noise.
    pulse : Waveform
        Along one direction, such as a GaussianPulse.
    duration : float
        Length of the run, fs.
    md_settings : MDSettings, optional
        By default without thermostat, at 0 K. A friction γ is the damping of each mode, whose full
        width at half maximum is γ/(2π): 1000 γ/(2π) in THz for γ in 1/fs.
    folder : str or pathlib.Path, optional
        Folder for the log and checkpoints; see `field_run`.

    Returns
    -------
    PulseResponse

    Raises
    ------
    ValueError
        If a number is out of range, the pulse is zero or changes its direction, or it is not over
        at the end; and as for `drive`.

    Warns
    -----
    NotRelaxedWarning, ConvergenceWarning
        If the structure is not at its minimum at 0 K; if much of the polarization remains at the
        end, so that the susceptibility is not converged.
    """
    md_settings = md_settings or MDSettings(temperature=0.0, friction=0.0)
    steps = steps_in("duration", duration, md_settings)
    check_structure(atoms)
    if not callable(pulse):
        raise TypeError(f"pulse is {pulse!r}; give a Waveform, such as a GaussianPulse")
    direction, held, field_spectrum = _spectrum(pulse, steps, md_settings.timestep)
    if not md_settings.temperature and atoms.calc is not None:
        largest = float(np.abs(atoms.get_forces()).max())
        if largest > AT_REST:
            warnings.warn(
                f"forces are up to {largest:.2g} eV/Å without field: the resulting motion would "
                "be taken for a response to the pulse; relax the structure first",
                NotRelaxedWarning,
                stacklevel=2,
            )
    sums = PulseSums(steps + 1, int(held[0]), int(held[-1] - held[0] + 1))
    run = field_run(
        atoms,
        pulse,
        steps,
        md_settings,
        interval=max(steps // POINTS, 1),
        recorder=sums,
        folder=folder,
        description="pulse",
    )
    remaining = sums.largest_late / sums.largest if sums.largest else 0.0
    if remaining > DIED_AWAY:
        warnings.warn(
            f"at the end {remaining:.0%} of the largest polarization remains, so the "
            "susceptibility is not converged: lengthen the run, or use more friction; the "
            "absorbed energy is not affected",
            ConvergenceWarning,
            stacklevel=2,
        )
    response = sums.spectrum[held - held[0]]
    return PulseResponse(
        run=run,
        direction=direction,
        absorbed=sums.work,
        frequencies=held / ((steps + 1) * md_settings.timestep) / CYCLES_PER_FS,
        susceptibility=response / field_spectrum[:, None] / VACUUM_PERMITTIVITY,
        remaining=remaining,
    )


def _spectrum(
    pulse: Waveform, steps: int, timestep: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.complex128]]:
    """Return the direction of a pulse, the numbers of its frequencies and E(ω), or refuse it."""
    times = timestep * np.arange(steps + 1)
    values = np.concatenate(
        [
            finite_real("the pulse", [pulse(float(time)) for time in times[i : i + CHUNK]], None)
            for i in range(0, len(times), CHUNK)
        ]
    )
    strengths = np.linalg.norm(values, axis=-1) if values.ndim == 2 else np.abs(values)
    if values.shape != (len(times), 3) or not strengths.any():
        raise ValueError("the pulse is zero throughout the run")
    if max(strengths[0], strengths[-1]) > 0.01 * strengths.max():
        raise ValueError(
            "the pulse is not over within the run: at the start or the end it is above 1 % of its "
            "maximum; move its center or lengthen the run"
        )
    direction = values[strengths.argmax()] / strengths.max()
    along = values @ direction
    values -= np.outer(along, direction)
    if np.abs(values).max() > 1e-6 * strengths.max():
        raise ValueError("the pulse changes its direction; give a pulse along a fixed direction")
    # The conjugate: NumPy transforms with exp(−iωt), physics with exp(+iωt).
    spectrum = np.fft.rfft(along).conj()
    held = np.flatnonzero(np.abs(spectrum) > SPECTRUM_FROM * np.abs(spectrum).max())
    return direction, held, spectrum[held]
