"""Pictures of phonons, drawn without a display: every function returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ase_equivar.phonons.band_structure import BandSegment
from ase_equivar.phonons.density import DensityOfStates
from ase_equivar.phonons.lo_to import IMAGINARY_WARNING
from ase_equivar.phonons.oblique import AngularDispersion, BranchKind
from ase_equivar.plotting.figure import Figure
from ase_equivar.units import THZ_TO_CM

CORRECTED = "#c0392b"
UNCORRECTED = "#8a96a3"
STROKES: dict[BranchKind, dict[str, Any]] = {
    BranchKind.EXTRAORDINARY: {"color": "#d98880", "linewidth": 1.4, "linestyle": "-"},
    BranchKind.ORDINARY: {"color": "#2c6fa8", "linewidth": 1.4, "linestyle": "--"},
    BranchKind.NONPOLAR: {"color": UNCORRECTED, "linewidth": 0.8, "linestyle": ":"},
}
WIDTH_OF_A_LETTER = 0.017  # of a label, relative to the width of the axes


def plot_bands(segments: Sequence[BandSegment], *, title: str | None = None) -> Figure:
    """Plot the phonon bands with the non-analytical correction over those without.

    At Γ the corrected bands end at the frequencies for q → 0 along each segment, so they may be
    discontinuous there, unlike those without the correction.

    Parameters
    ----------
    segments : sequence of BandSegment
        As returned by `ase_equivar.phonons.bands`.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        THz on the left, cm⁻¹ on the right; imaginary modes below zero. Save it with ``savefig``.

    Raises
    ------
    ValueError
        If there are no segments.
    """
    if not segments:
        raise ValueError("there are no band segments to plot")
    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    has_correction = segments[0].corrected is not None
    for i, segment in enumerate(segments):
        for frequencies, color, style, label in (
            (segment.uncorrected, UNCORRECTED, "--", "without correction"),
            (segment.corrected, CORRECTED, "-", "with non-analytical correction"),
        ):
            if frequencies is None:
                continue
            lines = ax.plot(
                segment.distances,
                frequencies,
                linestyle=style if has_correction else "-",
                color=color,
                linewidth=1.4,
            )
            if i == 0 and has_correction:
                lines[0].set_label(label)

    ticks, names = _ticks(segments)
    ax.set_xticks(ticks, names)
    ax.set_xlim(ticks[0], ticks[-1])
    for tick in ticks[1:-1]:
        ax.axvline(tick, color="black", linewidth=0.6)

    values = [f for s in segments for f in (s.uncorrected, s.corrected) if f is not None]
    lowest, highest = min(f.min() for f in values), max(f.max() for f in values)
    if lowest < IMAGINARY_WARNING:
        ax.axhline(0, color="black", linewidth=0.6)
        ax.set_ylabel("frequency (THz; imaginary below 0)")
    else:
        lowest = 0.0
        ax.set_ylabel("frequency (THz)")
    margin = 0.05 * (highest - lowest)
    ax.set_ylim(lowest - margin if lowest < 0 else 0.0, highest + margin)
    wavenumbers = ax.secondary_yaxis("right", functions=(_to_wavenumber, _to_frequency))
    wavenumbers.set_ylabel("wavenumber (cm⁻¹)")
    if has_correction:
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    if title:
        ax.set_title(title, fontsize="medium")
    return figure


def plot_density_of_states(density: DensityOfStates, *, title: str | None = None) -> Figure:
    """Plot the phonon density of states with the non-analytical correction over that without.

    Parameters
    ----------
    density : DensityOfStates
        As returned by `ase_equivar.phonons.density_of_states`.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        THz below, cm⁻¹ above; imaginary modes left of zero. Save it with ``savefig``.
    """
    figure = Figure(figsize=(6.4, 3.6), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    x = density.frequencies
    if density.corrected is None:
        ax.plot(x, density.uncorrected, color=UNCORRECTED, linewidth=1.4)
    else:
        ax.plot(
            x, density.uncorrected, "--", color=UNCORRECTED, label="without correction", linewidth=1
        )
        ax.plot(
            x,
            density.corrected,
            color=CORRECTED,
            label="with non-analytical correction",
            linewidth=1.4,
        )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    drawn = density.uncorrected if density.corrected is None else density.corrected
    shows_imaginary = bool(drawn[x < IMAGINARY_WARNING].sum() > 0)
    if shows_imaginary:
        ax.axvline(0, color="black", linewidth=0.6)
    ax.set_xlim(x[0] if shows_imaginary else 0, x[-1])
    ax.set_ylim(bottom=0)
    ax.set_xlabel("frequency (THz; imaginary below 0)" if shows_imaginary else "frequency (THz)")
    ax.set_ylabel("density of states (1/THz)")
    wavenumbers = ax.secondary_xaxis("top", functions=(_to_wavenumber, _to_frequency))
    wavenumbers.set_xlabel("wavenumber (cm⁻¹)")
    if title:
        ax.set_title(title, fontsize="medium")
    return figure


def plot_angular_dispersion(dispersion: AngularDispersion, *, title: str | None = None) -> Figure:
    """Plot the modes at Γ over the direction of q.

    Parameters
    ----------
    dispersion : AngularDispersion
        As returned by `ase_equivar.phonons.angular_dispersion`.
    title : str, optional
        Written above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Extraordinary, ordinary and nonpolar branches differ in colour and line style; dots on the
        extraordinary ones become redder and larger with the field. Polar branches are labelled at
        both ends.
    """
    figure = Figure(figsize=(6.4, 6.0), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    extraordinary = [
        k for k, kind in enumerate(dispersion.kinds) if kind is BranchKind.EXTRAORDINARY
    ]
    drawn: set[BranchKind] = set()
    for branch, kind in zip(dispersion.frequencies.T, dispersion.kinds, strict=True):
        (line,) = ax.plot(dispersion.angles, branch, **STROKES[kind])
        if kind not in drawn:
            line.set_label(kind.value)
            drawn.add(kind)
    share = dispersion.longitudinal[:, extraordinary]
    dots = ax.scatter(
        np.repeat(dispersion.angles, len(extraordinary)),
        dispersion.frequencies[:, extraordinary].ravel(),
        s=14 * share.clip(0).ravel(),
        c=share.ravel(),
        cmap="Reds",
        vmin=-0.3,  # a weak field is pale, not white
        vmax=1,
        linewidths=0,
        zorder=3,
    )
    bar = figure.colorbar(dots, ax=ax, location="bottom", aspect=40, pad=0.02)
    bar.ax.set_xlim(0, 1)
    bar.set_label("share of the longitudinal field")
    span = dispersion.angles[-1] - dispersion.angles[0]
    # Room for the names of the branches at both ends.
    ax.set_xlim(dispersion.angles[0] - 0.2 * span, dispersion.angles[-1] + 0.2 * span)
    ax.set_xticks(np.linspace(dispersion.angles[0], dispersion.angles[-1], 7))
    ax.xaxis.set_major_formatter("{x:.4g}")
    ax.set_xlabel(
        f"angle of q to {_direction(dispersion.start)}, towards "
        f"{_direction(dispersion.end)} (degrees)"
    )
    lowest = float(dispersion.frequencies.min())
    unstable = lowest < IMAGINARY_WARNING
    ax.set_ylabel("frequency (THz; imaginary below 0)" if unstable else "frequency (THz)")
    highest = float(dispersion.frequencies.max())
    ax.set_ylim(lowest - 0.05 * (highest - lowest) if unstable else 0, 1.05 * highest)
    wavenumbers = ax.secondary_yaxis("right", functions=(_to_wavenumber, _to_frequency))
    wavenumbers.set_ylabel("wavenumber (cm⁻¹)")
    for end in (0, -1):
        _name_branches(ax, dispersion, end)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    if title:
        ax.set_title(title, fontsize="medium")
    return figure


def _name_branches(ax: Axes, dispersion: AngularDispersion, end: int) -> None:
    """Label the polar branches at one end, without overlap."""
    named = sorted(
        {
            (round(float(dispersion.frequencies[end, k]), 2), dispersion.labels[k][end])
            for k, kind in enumerate(dispersion.kinds)
            if kind is not BranchKind.NONPOLAR and dispersion.labels[k][end]
        }
    )
    low, high = ax.get_ylim()
    line_height = 0.028 * (high - low)
    blocks: list[list[tuple[float, str]]] = []
    for entry in named:
        blocks.append([entry])
        while len(blocks) > 1 and _middle(blocks[-1]) - _middle(blocks[-2]) < line_height * (
            (len(blocks[-1]) + len(blocks[-2])) / 2
        ):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    span = dispersion.angles[-1] - dispersion.angles[0]
    for block in blocks:
        ax.text(
            dispersion.angles[end] + (0.01 if end else -0.01) * span,
            _middle(block),
            "\n".join(name for _, name in reversed(block)),
            fontsize=7,
            ha="left" if end else "right",
            va="center",
        )


def _middle(block: list[tuple[float, str]]) -> float:
    return (block[0][0] + block[-1][0]) / 2


def _direction(vector: NDArray[np.float64]) -> str:
    for name, axis in zip("xyz", np.eye(3), strict=True):
        if np.allclose(vector, axis, atol=1e-6):
            return name
    return "(" + " ".join(f"{component:.2g}" for component in vector) + ")"


def _ticks(segments: Sequence[BandSegment]) -> tuple[list[float], list[str]]:
    """Return the positions and labels of the segment ends; "U|K" where the path jumps.

    The second of two that are close is one line lower, so that they can be read.
    """
    ticks = [float(segments[0].distances[0])]
    names = [_pretty(segments[0].start)]
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        ticks.append(float(segment.distances[-1]))
        name = _pretty(segment.end)
        if following is not None and following.start != segment.end:
            name += "|" + _pretty(following.start)
        names.append(name)
    length = ticks[-1] - ticks[0]
    for number in range(1, len(ticks)):
        letters = (_letters(names[number - 1]) + _letters(names[number])) / 2
        is_close = ticks[number] - ticks[number - 1] < WIDTH_OF_A_LETTER * (letters + 0.5) * length
        if is_close and not names[number - 1].startswith("\n"):
            names[number] = "\n" + names[number]
    return ticks, names


def _to_wavenumber(frequency: Any) -> Any:
    return frequency * THZ_TO_CM


def _to_frequency(wavenumber: Any) -> Any:
    return wavenumber / THZ_TO_CM


def _letters(name: str) -> int:
    """Count the letters of a label as it is drawn."""
    return len(name) - 4 * name.count("$_{")


def _pretty(name: str) -> str:
    letter, digits = name[0], name[1:]
    letter = "Γ" if letter == "G" else letter
    return f"{letter}$_{{{digits}}}$" if digits else letter
