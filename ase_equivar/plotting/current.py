"""A picture of the infrared spectrum of a trajectory, drawn without a display."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ase_equivar.dielectric.fluctuations import CurrentSpectrum, QuantumCorrection
from ase_equivar.frequency_units import FrequencyUnit

COLOR = "#2c6fa8"


def plot_current_spectrum(
    spectrum: CurrentSpectrum,
    unit: FrequencyUnit = FrequencyUnit.CM,
    *,
    correction: QuantumCorrection = "harmonic",
    limit: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the absorption of a powder with its uncertainty.

    Parameters
    ----------
    spectrum : CurrentSpectrum
        From `ase_equivar.dielectric.current_spectrum`.
    unit : FrequencyUnit
        Of the frequency axis.
    correction : {"harmonic", "standard", "schofield"}
        See `ase_equivar.dielectric.fluctuations.QuantumCorrection`; named in the picture.
    limit : float, optional
        End of the frequency axis, in `unit`; by default, where 99.5 % of the absorption lies below.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``savefig``.
    """
    absorption = spectrum.absorption(correction)
    error = spectrum.absorption_uncertainty(correction)
    figure = Figure(figsize=(6.4, 3.6), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    x = spectrum.dielectric.frequencies * unit.per_thz
    low, high = absorption - error, absorption + error
    ax.fill_between(x, low, high, color=COLOR, alpha=0.25, linewidth=0, label="standard error")
    ax.plot(x, absorption, color=COLOR, linewidth=1.2)
    if limit is None:
        below = np.cumsum(np.clip(absorption, 0, None))
        limit = 1.1 * float(x[np.searchsorted(below, 0.995 * below[-1])])
    ax.set_xlim(0, limit)
    ax.set_ylim(bottom=0)
    kind = "energy" if unit is FrequencyUnit.MEV else "frequency"
    name = "wavenumber" if unit is FrequencyUnit.CM else kind
    ax.set_xlabel(f"{name} ({unit.label})")
    ax.set_ylabel("n α of a powder (cm⁻¹)")
    ax.legend(
        frameon=False,
        title=f"{spectrum.temperature:.0f} K, {spectrum.window} window, "
        f"{spectrum.correlation_time:.0f} fs,\nquantum correction: {correction}",
    )
    if title:
        ax.set_title(title, fontsize="medium")
    return figure
