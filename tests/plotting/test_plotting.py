"""What the pictures show, read back from their axes."""

from __future__ import annotations

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from ase.build import bulk
from helpers.springs import Springs

from ase_equivar.phonons import (
    apply_nac,
    bands,
    density_of_states,
    force_constants,
    lo_to_splitting,
)
from ase_equivar.phonons.band_structure import BandSegment
from ase_equivar.phonons.density import DensityOfStates
from ase_equivar.plotting.phonons import (
    CORRECTED,
    UNCORRECTED,
    plot_bands,
    plot_density_of_states,
)


@pytest.fixture(scope="module")
def nacl():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    phonon = force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)
    born = np.array([np.eye(3), -np.eye(3)])
    return apply_nac(phonon, (born, 2.43 * np.eye(3)))


def curves(figure, color):
    return [line for line in figure.axes[0].lines if line.get_color() == color]


def test_lo_is_drawn_at_gamma_on_every_segment(nacl):
    figure = plot_bands(bands(nacl, n_points=9))
    pair = lo_to_splitting(nacl).largest
    gamma = [
        x
        for x, text in zip(
            figure.axes[0].get_xticks(), figure.axes[0].get_xticklabels(), strict=True
        )
        if text.get_text() == "Γ"
    ]
    assert len(gamma) == 2
    tops = {CORRECTED: pair.lo, UNCORRECTED: pair.to}
    for color, top in tops.items():
        ends = [
            y
            for line in curves(figure, color)
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
            if min(abs(x - g) for g in gamma) < 1e-9
        ]
        # One at the start of the path, two where the path passes through Γ.
        assert sum(abs(y - top) < 1e-4 for y in ends) == (3 if color == CORRECTED else 9)


def test_labels_of_close_points_do_not_overlap():
    def segment(start, end, begin, length):
        distances = np.linspace(begin, begin + length, 3)
        return BandSegment(start, end, np.zeros((3, 3)), distances, np.ones((3, 3)), None)

    path = [("G", "H1", 0, 0.5), ("M", "E", 0.5, 0.4), ("E", "M1", 0.9, 0.01), ("M1", "X", 0.91, 1)]
    figure = plot_bands([segment(*one) for one in path])
    figure.draw_without_rendering()
    labels = figure.axes[0].get_xticklabels()
    lower = [one for one in labels if one.get_text().startswith("\n")]
    for row in (lower, [one for one in labels if one not in lower]):
        assert row
        boxes = [one.get_window_extent() for one in row]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))


def test_axes_and_labels(nacl, tmp_path):
    figure = plot_bands(bands(nacl, "GXWKGLUWLK,UX", n_points=5), title="NaCl")
    ax = figure.axes[0]
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert names == ["Γ", "X", "W", "K", "Γ", "L", "U", "W", "L", "K|U", "X"]
    assert "THz" in ax.get_ylabel()
    assert ax.get_title() == "NaCl"
    assert ax.get_ylim()[0] == 0
    (wavenumbers,) = ax.child_axes
    assert "cm⁻¹" in wavenumbers.get_ylabel()
    figure.savefig(tmp_path / "bands.png")
    low, high = wavenumbers.get_ylim()
    assert high - low == pytest.approx(33.35641 * ax.get_ylim()[1])
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["without correction", "with non-analytical correction"]
    assert (tmp_path / "bands.png").stat().st_size > 10_000


def test_imaginary_modes_are_shown():
    distances = np.linspace(0, 1, 3)
    frequencies = np.array([[-2.0, 5.0], [-1.0, 5.0], [1.0, 5.0]])
    segment = BandSegment("G", "X1", np.zeros((3, 3)), distances, frequencies, None)
    figure = plot_bands([segment])
    ax = figure.axes[0]
    assert ax.get_ylim()[0] < -2
    assert "imaginary" in ax.get_ylabel()
    assert [text.get_text() for text in ax.get_xticklabels()] == ["Γ", "X$_{1}$"]
    assert not figure.legends  # one kind of curve only


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no band segments"):
        plot_bands([])


def test_no_window_is_opened(nacl, monkeypatch):
    """Figures are made without pyplot: no display is needed, and none pile up in its registry."""
    monkeypatch.delenv("DISPLAY", raising=False)
    plot_bands(bands(nacl, "GX", n_points=3))
    assert not matplotlib._pylab_helpers.Gcf.get_all_fig_managers()


def test_density_of_states_with_and_without(nacl, tmp_path):
    density = density_of_states(nacl, mesh_length=30, n_points=101)
    figure = plot_density_of_states(density, title="NaCl")
    for color, expected in (
        (CORRECTED, density.corrected),
        (UNCORRECTED, density.uncorrected),
    ):
        (line,) = curves(figure, color)
        np.testing.assert_allclose(line.get_ydata(), expected)
    assert figure.axes[0].get_xlabel() == "frequency (THz)"
    figure.savefig(tmp_path / "dos.png")


def test_imaginary_states_are_left_of_zero():
    density = DensityOfStates(np.linspace(-2, 5, 50), np.ones(50), None)
    ax = plot_density_of_states(density).axes[0]
    assert ax.get_xlim()[0] == -2
    assert "imaginary" in ax.get_xlabel()


def test_weak_instabilities_are_inside_the_axes():
    """Quartz has −0.32 THz beside 36 THz: far less than a fiftieth."""
    qpoints = np.linspace([0, 0, 0], [0.5, 0, 0], 5)
    bands = np.linspace([-0.32, 30.0], [0.5, 36.0], 5)
    segment = BandSegment("G", "X", qpoints, np.linspace(0, 0.1, 5), bands, None)
    ax = plot_bands([segment]).axes[0]
    assert ax.get_ylim()[0] < -0.32
    assert "imaginary" in ax.get_ylabel()
    noise = BandSegment("G", "X", qpoints, segment.distances, bands.clip(-0.01), None)
    assert plot_bands([noise]).axes[0].get_ylim()[0] == 0
    frequencies = np.linspace(-1.0, 37.0, 400)
    states = np.where(frequencies > -0.32, 1.0, 0.0)
    ax = plot_density_of_states(DensityOfStates(frequencies, states, None)).axes[0]
    assert ax.get_xlim()[0] < -0.32
    assert "imaginary" in ax.get_xlabel()
