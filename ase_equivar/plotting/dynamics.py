"""Pictures of experiments in a field, drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real
from ase_equivar.dynamics.experiments.drift import IonDrift
from ase_equivar.dynamics.experiments.finite_field import FiniteFieldDielectric
from ase_equivar.dynamics.experiments.hysteresis_loop import HysteresisLoop
from ase_equivar.dynamics.experiments.pulse import PulseResponse
from ase_equivar.plotting.figure import Figure
from ase_equivar.units import MV_PER_CM, PICOSECOND

COLORS = ("#c0392b", "#2c6fa8", "#3f8f4f")
LINES = ("-", "--", ":", "-.")  # of further rounds of these colors
PALE = "0.8"


def plot_hysteresis(loop: HysteresisLoop, *, title: str | None = None) -> Figure:
    """Plot the loop P(E), with remanent polarization and coercive field marked.

    Parameters
    ----------
    loop : HysteresisLoop
        As returned by `ase_equivar.dynamics.experiments.hysteresis_loop.hysteresis`.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        µC/cm² over MV/cm. Save it with ``savefig``.
    """
    figure = Figure(figsize=(5.4, 4.4), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    ax.axhline(0, color=PALE, linewidth=0.8)
    ax.axvline(0, color=PALE, linewidth=0.8)
    ax.plot(loop.field / MV_PER_CM, loop.polarization, color=COLORS[0], linewidth=1.4)
    remanent = loop.remanent_polarization
    coercive = loop.coercive_field / MV_PER_CM
    ax.plot([0, 0], [remanent, -remanent], "o", color="black", markersize=4)
    label = f"$P_r$ = {remanent:.3g} µC/cm²"
    if np.isfinite(coercive):
        ax.plot([coercive, -coercive], [0, 0], "s", color="black", markersize=4)
        label += f"\n$E_c$ = {coercive:.3g} MV/cm"
    ax.text(0.03, 0.97, label, transform=ax.transAxes, va="top")
    ax.set_xlabel("electric field (MV/cm)")
    ax.set_ylabel("polarization (µC/cm²)")
    if title:
        ax.set_title(title, fontsize="medium")
    return figure


def plot_ion_drift(drifts: Mapping[str, IonDrift], *, title: str | None = None) -> Figure:
    """Plot the mean displacement of the ions along the field, relative to the other atoms.

    Parameters
    ----------
    drifts : mapping of str to IonDrift
        Name of each run, such as "Born charges", and its result.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Å over ps, with the mobility of each. Save it with ``savefig``.

    Raises
    ------
    ValueError
        If `drifts` is empty.
    """
    if not drifts:
        raise ValueError("there is no drift to plot")
    figure = Figure(figsize=(6.0, 3.8), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    for number, (name, drift) in enumerate(drifts.items()):
        along = drift.electric_field / np.linalg.norm(drift.electric_field)
        ax.plot(
            drift.run.times / PICOSECOND,
            drift.displacement @ along,
            color=COLORS[number % len(COLORS)],
            linestyle=LINES[number // len(COLORS) % len(LINES)],
            linewidth=1.4,
            label=f"{name}: {drift.mobility_text}",
        )
    ax.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    species = next(iter(drifts.values())).species
    ax.set_xlabel("time (ps)")
    ax.set_ylabel(f"displacement of {species} along the field (Å)")
    ax.margins(x=0)
    figure.legend(loc="outside lower center", frameon=False, fontsize="small")
    if title:
        ax.set_title(title, fontsize="medium")
    return figure


def plot_pulse_response(response: PulseResponse, *, title: str | None = None) -> Figure:
    """Plot field, polarization and work over time, and the susceptibility over frequency.

    Parameters
    ----------
    response : PulseResponse
        As returned by `ase_equivar.dynamics.experiments.pulse.pulse_response`.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        With the susceptibility along the pulse. Save it with ``savefig``.
    """
    run = response.run
    figure = Figure(figsize=(7.2, 6.4), dpi=150, layout="constrained")
    field, polarization, work, spectrum = figure.subplots(4, height_ratios=(1, 1, 0.8, 1.3))
    time = run.times / PICOSECOND
    for ax, values, label in (
        (field, run.electric_field / MV_PER_CM, "E (MV/cm)"),
        (polarization, run.polarization_change, "ΔP (µC/cm²)"),
    ):
        for component, name, color in zip(values.T, "xyz", COLORS, strict=True):
            ax.plot(time, component, color=color, linewidth=1.2, label=name)
        ax.set_ylabel(label)
        ax.tick_params(labelbottom=False)
    field.legend(frameon=False, fontsize="small", ncols=3)
    work.plot(time, 1000 * run.work, color="black", linewidth=1.2)
    work.set_ylabel("work (meV)")
    work.set_xlabel("time (ps)")
    for ax in (field, polarization, work):
        ax.margins(x=0)
    along = response.susceptibility @ response.direction
    terahertz = response.frequencies
    spectrum.plot(terahertz, along.real, color=COLORS[0], linewidth=1.4, label="Re χ")
    spectrum.plot(terahertz, along.imag, "--", color=COLORS[0], linewidth=1.2, label="Im χ")
    spectrum.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    spectrum.set_xlabel("frequency (THz)")
    spectrum.set_ylabel("χ along the pulse")
    spectrum.legend(frameon=False, fontsize="small")
    spectrum.margins(x=0)
    figure.align_ylabels()
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def plot_finite_field(
    measured: FiniteFieldDielectric,
    phonons: NDArray[np.float64] | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Plot the ionic part of the static dielectric tensor, beside that from phonons.

    Parameters
    ----------
    measured : FiniteFieldDielectric
        As returned by `ase_equivar.dynamics.experiments.finite_field.finite_field_dielectric`.
    phonons : numpy.ndarray, optional
        ``static_dielectric(modes).ionic`` of `ase_equivar.dielectric`, shape=(3, 3).
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Bars for each component, with standard errors. Save it with ``savefig``.
    """
    if phonons is not None:
        phonons = finite_real("phonons", phonons, (3, 3))
    figure = Figure(figsize=(6.4, 3.6), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    names = [a + b for a in "xyz" for b in "xyz"]
    at = np.arange(9)
    width = 0.8 if phonons is None else 0.4
    shift = 0 if phonons is None else 0.2
    ax.bar(
        at - shift,
        measured.ionic.ravel(),
        width,
        yerr=measured.ionic_error.ravel(),
        capsize=2,
        color=COLORS[0],
        label="⟨P⟩ in small fields",
    )
    if phonons is not None:
        ax.bar(at + shift, np.ravel(phonons), width, color=COLORS[1], label="phonons")
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set_xticks(at, names)
    ax.set_ylabel("ionic part of the static ε")
    if title:
        ax.set_title(title, fontsize="medium", loc="left")
    return figure
