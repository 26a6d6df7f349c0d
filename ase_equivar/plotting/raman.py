"""Pictures of Raman spectra, alone or over the infrared spectrum, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ase_equivar.dielectric.function import DielectricFunction
from ase_equivar.dielectric.raman_intensity import RamanSpectrum
from ase_equivar.dielectric.raman_mode import RamanModes
from ase_equivar.plotting.figure import Figure
from ase_equivar.units import FrequencyUnit

COLORS = ("black", "#c0392b", "#2c6fa8", "#3f8f4f", "#8e5ea2", "#b8860b")
LABELLED = 0.02  # of the largest value of a spectrum: weaker modes are not labelled


def plot_raman(
    modes: RamanModes,
    spectra: Sequence[RamanSpectrum],
    infrared: DielectricFunction | None = None,
    unit: FrequencyUnit = FrequencyUnit.CM,
    *,
    title: str | None = None,
) -> Figure:
    """Plot Raman spectra, with the infrared absorption below on the same axis.

    Parameters
    ----------
    modes : RamanModes
        Labelled at their frequencies, if they are visible in the first spectrum.
    spectra : sequence of RamanSpectrum
        At least one; each is scaled to its largest value, which the legend gives.
    infrared : DielectricFunction, optional
        As returned by `dielectric_function`; tr Im ε/3 is plotted.
    unit : FrequencyUnit
        Unit of the frequency axis.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``savefig``.

    Raises
    ------
    ValueError
        If there is no spectrum.
    """
    if not spectra:
        raise ValueError("spectra is empty: there is nothing to plot")
    figure = Figure(figsize=(7.2, 4.2 if infrared is None else 6.4), dpi=150, layout="constrained")
    axes = figure.subplots(1 if infrared is None else 2, sharex=True, squeeze=False)[:, 0]
    upper, lower = axes[0], axes[-1]
    for index, spectrum in enumerate(spectra):
        largest = float(spectrum.intensity.max())
        upper.plot(
            spectrum.frequencies * unit.per_thz,
            spectrum.intensity / largest if largest > 0 else spectrum.intensity,
            color=COLORS[index % len(COLORS)],
            linewidth=1.3,
            label=f"{spectrum.name}: {largest:.3g}",
        )
    _name_modes(upper, modes, spectra[0], unit)
    upper.set_ylim(0, 1.25)
    upper.set_ylabel("Raman intensity\n(of the largest)")
    upper.legend(
        title="largest, 10⁻³⁰ cm²/(sr THz) per cell",
        title_fontsize="x-small",
        frameon=False,
        fontsize="small",
    )
    if infrared is not None:
        absorption = np.einsum("waa->w", infrared.epsilon.imag) / 3
        lower.plot(infrared.frequencies * unit.per_thz, absorption, color=COLORS[1], linewidth=1.3)
        lower.set_ylabel("infrared: tr Im ε/3")
        lower.set_ylim(bottom=0)
    ends = [float(one.frequencies[-1]) for one in spectra]
    lower.set_xlim(0, max(ends) * unit.per_thz)
    lower.set_xlabel(f"Raman shift, {unit.axis_label}")
    figure.align_ylabels()
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def _name_modes(
    axes: Axes, modes: RamanModes, spectrum: RamanSpectrum, unit: FrequencyUnit
) -> None:
    largest = float(spectrum.intensity.max())
    for mode in modes.active:
        height = float(np.interp(mode.frequency, spectrum.frequencies, spectrum.intensity))
        if mode.label and largest > 0 and height > LABELLED * largest:
            axes.annotate(
                mode.label,
                (mode.frequency * unit.per_thz, height / largest),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize="x-small",
            )
