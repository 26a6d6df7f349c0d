"""A picture of the infrared spectrum and of ε(ω) of a trajectory, drawn without a display."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ase_equivar.arguments import positive_number
from ase_equivar.dielectric.fluctuations import CurrentSpectrum, QuantumCorrection
from ase_equivar.plotting.figure import Figure
from ase_equivar.units import FrequencyUnit

COLOR, REAL_COLOR = "#2c6fa8", "#c4622d"


def plot_current_spectrum(
    spectrum: CurrentSpectrum,
    unit: FrequencyUnit = FrequencyUnit.CM,
    *,
    correction: QuantumCorrection = "harmonic",
    limit: float | None = None,
    title: str | None = None,
) -> Figure:
    """Plot the absorption of a powder with its uncertainty, and below it tr ε(ω)/3.

    Parameters
    ----------
    spectrum : CurrentSpectrum
        As returned by `ase_equivar.dielectric.current_spectrum`.
    unit : FrequencyUnit
        Unit of the frequency axis.
    correction : {"harmonic", "standard", "schofield"}
        See `ase_equivar.dielectric.fluctuations.QuantumCorrection`; named in the picture. ε(ω) is
        classical.
    limit : float, optional
        End of the frequency axis, in `unit`; by default, 99.5 % of the absorption lies below it.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``savefig``.

    Raises
    ------
    ValueError
        If no frequency of the spectrum lies below the limit.
    """
    if limit is not None:
        limit = positive_number("limit", limit, unit.label)
    x = spectrum.dielectric.frequencies * unit.per_thz
    if limit is not None and not _shown(x, limit).any():
        raise ValueError(
            f"limit is {limit:g} {unit.label}, but the first frequency of the spectrum is "
            f"{x[x > 0].min():.3g} {unit.label}"
        )
    absorption = spectrum.absorption(correction)
    error = spectrum.absorption_uncertainty(correction)
    figure = Figure(figsize=(6.4, 6.0), dpi=150, layout="constrained")
    ax, below_it = figure.subplots(2, 1, sharex=True)
    low, high = absorption - error, absorption + error
    ax.fill_between(x, low, high, color=COLOR, alpha=0.25, linewidth=0, label="standard error")
    ax.plot(x, absorption, color=COLOR, linewidth=1.2)
    if limit is None:
        below = np.cumsum(np.clip(absorption, 0, None))
        limit = 1.1 * float(x[np.searchsorted(below, 0.995 * below[-1])])
    ax.set_xlim(0, limit)
    shown = absorption[x <= limit]
    low = 1.1 * min(shown.min(), 0.0)  # below 0: too short a correlation time
    ax.set_ylim(bottom=low)
    if low:
        ax.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    _draw_dielectric(below_it, spectrum, x, limit)
    below_it.set_xlabel(unit.axis_label)
    ax.set_ylabel("n α of a powder (cm⁻¹)")
    ax.legend(
        frameon=False,
        title=f"{spectrum.temperature:.0f} K, {spectrum.window} window, "
        f"{spectrum.correlation_time:.0f} fs,\nquantum correction: {correction}",
    )
    if title:
        ax.set_title(title, fontsize="medium")
    return figure


def _shown(x: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    """Return which frequencies decide the axis: ε of a conductor diverges at 0."""
    return (x <= limit) & (x > limit / 50)


def _draw_dielectric(
    ax: Axes, spectrum: CurrentSpectrum, x: NDArray[np.float64], limit: float
) -> None:
    mean = np.einsum("waa->w", spectrum.dielectric.epsilon) / 3
    error = spectrum.isotropic_absorption_error
    ax.fill_between(x, mean.imag - error, mean.imag + error, color=COLOR, alpha=0.25, linewidth=0)
    ax.plot(x, mean.imag, color=COLOR, linewidth=1.2, label="Im ε, with standard error")
    ax.plot(x, mean.real, color=REAL_COLOR, linewidth=1.2, label="Re ε")
    ax.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    shown = mean[_shown(x, limit)]
    low, high = min(shown.real.min(), 0.0), max(shown.real.max(), shown.imag.max())
    margin = 0.05 * (high - low)
    ax.set_ylim(low - margin, high + margin)
    ax.set_ylabel("ε(ω), a third of the trace")
    ax.legend(frameon=False)
