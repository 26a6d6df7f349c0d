"""A picture of a field over time, drawn without a display."""

from __future__ import annotations

import numpy as np

from ase_equivar.arguments import finite_number, positive_number
from ase_equivar.fields import check_field
from ase_equivar.fields.algebra import Field
from ase_equivar.plotting.figure import Figure
from ase_equivar.units import MV_PER_CM, PICOSECOND

POINTS = 2000


def plot_field(
    field: Field, duration: float, *, start: float = 0.0, title: str | None = None
) -> Figure:
    """Plot the three components of E(t).

    Parameters
    ----------
    field : callable
        E(t) in V/Å, time in fs.
    duration : float
        Length of the time axis, fs.
    start : float
        Start of the time axis, fs.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        MV/cm over ps. Save it with ``savefig``.

    Raises
    ------
    ValueError
        If the duration is not positive or the field is not three finite numbers.
    """
    duration = positive_number("duration", duration, "fs")
    start = finite_number("start", start, unit="fs")
    times = start + np.linspace(0, duration, POINTS)
    values = np.array([check_field(field(time)) for time in times]) / MV_PER_CM
    figure = Figure(figsize=(6.4, 3.2), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    for component, name in zip(values.T, "xyz", strict=True):
        ax.plot(times / PICOSECOND, component, label=f"$E_{name}$", linewidth=1.4)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_xlabel("time (ps)")
    ax.set_ylabel("electric field (MV/cm)")
    ax.margins(x=0)
    ax.legend(frameon=False)
    if title is not None:
        ax.set_title(title)
    return figure
