"""The parity plot of docs/validation.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from polar_crystal_record import Axis, Response, Result

Entry = tuple[Axis, Response, Response | None]
MODEL, DFPT = "#c0392b", "#2c6fa8"


def parity(entries: Sequence[Entry], results: Sequence[Result]) -> Figure:
    """Draw what was calculated over what is known.

    Parameters
    ----------
    entries : sequence of (Axis, Response, Response or None)
        The experiment, the model's response and DFPT's, for each crystal and axis.
    results : sequence of Result
        For the charges.
    """
    figure = Figure(figsize=(9.0, 8.4), dpi=150, layout="constrained")
    gaps, modes, charges, constants = figure.subplots(2, 2).ravel()

    for axis, model, dfpt in entries:
        k = axis.largest
        measured = axis.longitudinal[k] - axis.transverse[k]
        for response, color, marker in ((dfpt, DFPT, "s"), (model, MODEL, "o")):
            if response is not None and response.transverse[k] > 0:
                gap = response.longitudinal[k] - response.transverse[k]
                gaps.plot(measured, gap, marker, color=color, markersize=6, alpha=0.8)
        modes.plot(axis.transverse, model.transverse, "v", color="0.45", markersize=5)
        modes.plot(axis.longitudinal, model.longitudinal, "^", color=MODEL, markersize=5)
        constants.plot(axis.electronic, model.electronic, "o", color=MODEL, markersize=6)
        if model.static is not None:
            constants.plot(axis.static, model.static, "o", color=MODEL, fillstyle="none")

    for result in results:
        if result.dfpt_charges is not None:
            known, found = np.ravel(result.dfpt_charges), np.ravel(result.model_charges)
            charges.plot(known, found, "o", color=MODEL, markersize=4, alpha=0.7)

    _finish(gaps, "LO–TO gap (cm⁻¹)", "experiment", "calculated")
    gaps.plot([], [], "o", color=MODEL, label="Z*, ε∞ of the model")
    gaps.plot([], [], "s", color=DFPT, label="Z*, ε∞ of DFPT")
    _finish(modes, "all polar modes at Γ (cm⁻¹; imaginary below 0)", "experiment", "calculated")
    modes.plot([], [], "v", color="0.45", label="TO")
    modes.plot([], [], "^", color=MODEL, label="LO")
    _finish(charges, "components of Z* (e)", "DFPT", "model")
    constants.set_xscale("log")
    constants.set_yscale("log")
    _finish(constants, "dielectric constants", "experiment", "calculated")
    for ticked in (constants.xaxis, constants.yaxis):
        ticked.set_major_locator(FixedLocator([2, 5, 10, 20, 50, 200, 1000]))
        ticked.set_major_formatter(ScalarFormatter())
        ticked.set_minor_locator(NullLocator())
    constants.plot([], [], "o", color=MODEL, label="ε∞")
    constants.plot([], [], "o", color=MODEL, fillstyle="none", label="ε0")
    for ax in (gaps, modes, constants):
        ax.legend(frameon=False, loc="upper left")
    return figure


def _finish(ax: Axes, title: str, x: str, y: str) -> None:
    low = min(ax.get_xlim()[0], ax.get_ylim()[0])
    high = max(ax.get_xlim()[1], ax.get_ylim()[1])
    ax.plot([low, high], [low, high], color="black", linewidth=0.7, zorder=0)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    ax.set_title(title, fontsize="medium")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
