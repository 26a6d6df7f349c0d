"""Response to a short pulse: energy taken up, polarization in time, and ε(ω) of a weak one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real
from ase_equivar.dynamics.experiments.thermal_run import MDSettings, field_run, steps_in
from ase_equivar.dynamics.observables import FieldRun
from ase_equivar.fields.algebra import Waveform
from ase_equivar.structures.validation import check_structure
from ase_equivar.units import CYCLES_PER_FS, UC_PER_CM2, VACUUM_PERMITTIVITY
from ase_equivar.warning_types import ConvergenceWarning, NotRelaxedWarning

SPECTRUM_FROM = 0.05  # of the pulse's largest Fourier component; below, a ratio to it is noise
POINTS = 4000
DIED_AWAY = 0.05  # of the largest polarization
AT_REST = 0.05  # eV/Å; with larger forces the structure swings by itself


@dataclass(frozen=True)
class PulseResponse:
    """What a pulse has done.

    Attributes
    ----------
    run : FieldRun
        In time.
    absorbed : float
        Work of the pulse, eV.
    frequencies : ndarray, shape (F,)
        Those that the pulse holds, THz.
    susceptibility : ndarray, shape (F, 3), complex
        P(ω) / (ε0 E(ω)) of the ions, for E along the direction of the pulse and each component of
        P, with the sign of exp(−iωt): absorption is a positive imaginary part. It is that of linear
        response if the pulse is weak, and complete if the polarization has died away at the end.
    remaining : float
        Largest |P| in the last tenth of the run over the largest of all: near 0 if it has died
        away.
    """

    run: FieldRun
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
    """Send a pulse through a crystal at fixed cell.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that gives forces and ``born_effective_charges``; left as they are. From
        rest at the minimum and with temperature 0, a single run gives the susceptibility; at a
        temperature, thermal motion adds noise to it.
    pulse : Waveform
        In one direction, such as a GaussianPulse.
    duration : float
        Of the run, fs.
    md_settings : MDSettings, optional
        By default without thermostat, at 0 K. A friction γ is the damping of each mode, whose full
        width at half maximum is γ/(2π): 1000 γ/(2π) in THz for γ in 1/fs.
    folder : str or pathlib.Path, optional
        For log and checkpoints; see `field_run`.

    Returns
    -------
    PulseResponse

    Raises
    ------
    ValueError
        If an argument makes no sense, the pulse changes its direction, or it is not over at the
        end; and all that `drive` refuses.

    Warns
    -----
    NotRelaxedWarning, ConvergenceWarning
        At 0 K, if the structure is not at its minimum; if much of the polarization is left at the
        end, so that the susceptibility is not complete.
    """
    md_settings = md_settings or MDSettings(temperature=0.0, friction=0.0)
    steps = steps_in("duration", duration, md_settings)
    check_structure(atoms)
    if not callable(pulse):
        raise TypeError(f"pulse is {pulse!r}; give a Waveform, such as a GaussianPulse")
    times = md_settings.timestep * np.arange(steps + 1)
    values = finite_real("the pulse", [pulse(float(time)) for time in times], None)
    strengths = np.linalg.norm(values, axis=-1) if values.ndim == 2 else np.abs(values)
    if values.shape != (steps + 1, 3) or not strengths.any():
        raise ValueError("the pulse is not a field that differs from zero during the run")
    if max(strengths[0], strengths[-1]) > 0.01 * strengths.max():
        raise ValueError(
            "the pulse is not over within the run: at its beginning or end it has more than 1 % of "
            "its height; move its center or prolong the run"
        )
    direction = values[strengths.argmax()] / strengths.max()
    if np.abs(values - np.outer(values @ direction, direction)).max() > 1e-6 * strengths.max():
        raise ValueError("the pulse changes its direction; give one along one direction")
    if not md_settings.temperature and atoms.calc is not None:
        largest = float(np.abs(atoms.get_forces()).max())
        if largest > AT_REST:
            warnings.warn(
                f"forces are up to {largest:.2g} eV/Å without field: the atoms will move by "
                "themselves, which counts as response here; relax the structure first",
                NotRelaxedWarning,
                stacklevel=2,
            )
    interval = max(steps // POINTS, 1)
    run = field_run(
        atoms, pulse, steps, md_settings, interval=interval, folder=folder, description="pulse"
    )
    polarization = run.polarization_change
    norms = np.linalg.norm(polarization, axis=1)
    remaining = float(norms[-len(norms) // 10 :].max() / norms.max()) if norms.any() else 0.0
    if remaining > DIED_AWAY:
        warnings.warn(
            f"at the end {remaining:.0%} of the largest polarization is left, so the "
            "susceptibility is not converged: prolong the run, or use more friction; the "
            "energy taken up is not affected",
            ConvergenceWarning,
            stacklevel=2,
        )
    spacing = interval * md_settings.timestep
    frequencies = np.fft.rfftfreq(len(norms), spacing) / CYCLES_PER_FS
    # The conjugate: NumPy transforms with exp(−iωt), physics with exp(+iωt).
    field_spectrum = np.fft.rfft(run.electric_field @ direction).conj()
    spectrum = UC_PER_CM2 * np.fft.rfft(polarization, axis=0).conj()
    held = np.abs(field_spectrum) > SPECTRUM_FROM * np.abs(field_spectrum).max()
    return PulseResponse(
        run=run,
        absorbed=float(run.work[-1]),
        frequencies=frequencies[held],
        susceptibility=spectrum[held] / field_spectrum[held, None] / VACUUM_PERMITTIVITY,
        remaining=remaining,
    )
