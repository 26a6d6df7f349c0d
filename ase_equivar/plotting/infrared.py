"""Pictures of infrared spectra, drawn without a display."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_equivar.dielectric.function import DielectricFunction
from ase_equivar.dielectric.infrared import InfraredModes
from ase_equivar.io.infrared_files import AXES, FACE_NORMALS
from ase_equivar.plotting.figure import Figure
from ase_equivar.units import FrequencyUnit

COLORS = ("#c0392b", "#2c6fa8", "#3f8f4f")
SAME_CURVE = 1e-3  # relative difference, below which two axes share one curve


def plot_infrared(
    modes: InfraredModes,
    spectrum: DielectricFunction,
    unit: FrequencyUnit = FrequencyUnit.CM,
    *,
    title: str | None = None,
) -> Figure:
    """Plot infrared intensities, ε(ω), loss and reflectivity over a common frequency axis.

    Parameters
    ----------
    modes : InfraredModes
        Their intensities are drawn as bars at the transverse frequencies; silent modes are left
        out.
    spectrum : DielectricFunction
        Plotted for light polarized along x, y and z, once for equivalent axes. The reflectivity is
        that at normal incidence, on the face with normal z for light along x, x for y, and y for z.
    unit : FrequencyUnit
        Unit of the frequency axis.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``savefig``.
    """
    figure = Figure(figsize=(7.2, 8.0), dpi=150, layout="constrained")
    bars, epsilon, loss, reflectivity = figure.subplots(
        4, sharex=True, height_ratios=(0.7, 1.3, 1, 1)
    )
    active = modes.active
    if active:
        bars.vlines(
            [mode.frequency * unit.per_thz for mode in active],
            0,
            [mode.intensity for mode in active],
            color="black",
            linewidth=2,
        )
    bars.set_ylim(bottom=0)
    bars.set_ylabel("intensity\n((D/Å)²/u)")

    x = spectrum.frequencies * unit.per_thz
    curves = _distinct_axes(spectrum)
    for (name, axes), color in zip(curves.items(), COLORS, strict=False):
        axis = AXES[axes]
        along = spectrum.along(axis)
        epsilon.plot(x, along.real, color=color, linewidth=1.4, label=f"Re ε {name}".rstrip())
        epsilon.plot(x, along.imag, "--", color=color, linewidth=1.2, label=f"Im ε {name}".rstrip())
        loss.plot(x, spectrum.loss(axis), color=color, linewidth=1.4)
        reflected = spectrum.reflectivity(axis, AXES[FACE_NORMALS[axes]])
        reflectivity.plot(x, reflected, color=color, linewidth=1.4)
    epsilon.axhline(0, color="black", linewidth=0.6)
    epsilon.set_ylabel("ε")
    epsilon.legend(frameon=False, fontsize="small", ncols=len(curves))
    loss.set_ylabel("loss −Im 1/ε")
    loss.set_ylim(bottom=0)
    reflectivity.set_ylabel("reflectivity")
    reflectivity.set_ylim(0, 1.02)
    reflectivity.set_xlim(x[0], x[-1])
    reflectivity.set_xlabel(unit.axis_label)
    figure.align_ylabels()
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def _distinct_axes(spectrum: DielectricFunction) -> dict[str, str]:
    """Return the label of each curve, such as "x = y", and the axis to plot for it."""
    along: dict[str, NDArray[Any]] = {axis: spectrum.along(vector) for axis, vector in AXES.items()}
    # Where the crystal is turned, ε along two axes may be the same, but not its other components.
    reflected: dict[str, NDArray[Any]] = {
        axis: spectrum.reflectivity(AXES[axis], AXES[normal])
        for axis, normal in FACE_NORMALS.items()
    }
    groups: list[list[str]] = []
    for axis in AXES:
        for group in groups:
            if all(_is_same(of[axis], of[group[0]]) for of in (along, reflected)):
                group.append(axis)
                break
        else:
            groups.append([axis])
    if len(groups) == 1:
        return {"": "x"}
    return {" = ".join(group): group[0] for group in groups}


def _is_same(curve: NDArray[Any], first: NDArray[Any]) -> bool:
    return bool(np.abs(curve - first).max() < SAME_CURVE * np.abs(first).max())
