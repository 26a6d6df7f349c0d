"""Pictures of a model's errors, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from ase_equivar.plotting.figure import Figure

if TYPE_CHECKING:  # the extra `train` may be absent
    from ase_equivar.training.comparison import Comparison
    from ase_equivar.training.evaluate import Evaluation

WIDE = 4.0  # ratio of largest to smallest value above which ticks at 1, 2 and 5 suffice
DIAGONAL, OFF_DIAGONAL = "#c0392b", "#2c6fa8"


def plot_errors(
    comparison: Comparison,
    errors: Evaluation,
    curve: Sequence[dict[str, float]] = (),
    *,
    title: str | None = None,
) -> Figure:
    """Plot predictions against labels, errors by element and the learning curve.

    Parameters
    ----------
    comparison : Comparison
        Labels and predictions, for parity plots of all components of Z*, and of tr ε∞ / 3 if
        available.
    errors : Evaluation
        Errors of this comparison, for the mean absolute error of each element.
    curve : sequence of dict
        As returned by `ase_equivar.training.curve.learning_curve`; left out if empty.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``savefig``.
    """
    figure = Figure(figsize=(10.5, 7.2), dpi=150, layout="constrained")
    pairs = comparison.dielectric_pairs
    n_panels = 1 + bool(pairs) + bool(curve)
    grid = figure.add_gridspec(2, n_panels, height_ratios=(1.35, 1))
    panels = [figure.add_subplot(grid[0, column]) for column in range(n_panels)]
    _charges(panels.pop(0), comparison)
    if pairs:
        _dielectric(panels.pop(0), [(np.trace(a) / 3, np.trace(b) / 3) for a, b in pairs])
    if curve:
        _learning(panels.pop(0), curve)
    _elements(figure.add_subplot(grid[1, :]), errors)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title)
    return figure


def _charges(axes: Axes, comparison: Comparison) -> None:
    predicted = np.concatenate(comparison.born_charges)
    labels = np.concatenate([frame.born_charges for frame in comparison.frames])
    on = np.eye(3, dtype=bool)
    for where, color, name in ((~on, OFF_DIAGONAL, "off-diagonal"), (on, DIAGONAL, "diagonal")):
        axes.plot(
            labels[:, where].ravel(), predicted[:, where].ravel(), ".",
            color=color, markersize=2.5, alpha=0.5, rasterized=True, label=name,
        )  # fmt: skip
    _parity(axes, np.concatenate([labels.ravel(), predicted.ravel()]))
    axes.set_xlabel("Z* by DFPT, e")
    axes.set_ylabel("Z* predicted, e")
    axes.legend(frameon=False, markerscale=4)


def _dielectric(axes: Axes, pairs: list[tuple[float, float]]) -> None:
    predicted, labels = np.array(pairs).T
    axes.plot(labels, predicted, ".", color="black", markersize=3, alpha=0.5)
    values = np.concatenate([labels, predicted])
    _scale(axes, values, "xy")
    _parity(axes, values)
    axes.set_xlabel("tr ε∞ / 3 by DFPT")
    axes.set_ylabel("tr ε∞ / 3 predicted")


def _parity(axes: Axes, values: np.ndarray) -> None:
    """Draw the line of exact predictions beneath the points."""
    ends = [float(values.min()), float(values.max())]
    axes.plot(ends, ends, color="0.6", linewidth=0.8, zorder=0)
    axes.set_aspect("equal", adjustable="datalim")


def _scale(axes: Axes, values: np.ndarray, which: str) -> None:
    """Use logarithmic axes for wide ranges, with plain numbers that do not overlap."""
    is_wide = values.min() > 0 and values.max() > WIDE * values.min()
    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        if not is_wide:
            axis.set_major_locator(MaxNLocator(5))
            continue
        axes.set(**{f"{name}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(NullLocator())


def _learning(axes: Axes, curve: Sequence[dict[str, float]]) -> None:
    for name, color, label in (
        ("train_mae", "0.6", "training"),
        ("valid_mae", "black", "validation"),
    ):
        known = [(row["epoch"] + 1, row[name]) for row in curve if name in row]
        if known:
            marker = "." if len(known) == 1 else ""  # a line has two points
            axes.plot(*np.array(known).T, color=color, label=label, marker=marker)
    if axes.lines:
        _scale(axes, np.concatenate([line.get_ydata() for line in axes.lines]), "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(curve) == 1:
        axes.set_xlim(curve[0]["epoch"] + 0.5, curve[0]["epoch"] + 1.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean absolute error of Z*, e")
    axes.legend(frameon=False)


def _elements(axes: Axes, errors: Evaluation) -> None:
    ordered = sorted(errors.by_element.items(), key=lambda item: -item[1].mae)
    axes.bar(range(len(ordered)), [row.mae for _, row in ordered], color="0.5")
    axes.axhline(errors.born.mae, color=DIAGONAL, linewidth=0.8)
    axes.annotate(
        f"all atoms {errors.born.mae:.3f} e", (1, errors.born.mae), xytext=(0, 2),
        xycoords=("axes fraction", "data"), textcoords="offset points",
        color=DIAGONAL, ha="right", va="bottom",
    )  # fmt: skip
    axes.set_xticks(range(len(ordered)), [symbol for symbol, _ in ordered], fontsize=6)
    axes.set_xlim(-0.7, len(ordered) - 0.3)
    axes.set_xlabel("element, by error")
    axes.set_ylabel("mean absolute error, e")
