"""What the infrared pictures show, read back from their axes."""

from __future__ import annotations

import numpy as np
import pytest

from ase_equivar.dielectric.function import DielectricFunction
from ase_equivar.dielectric.infrared import InfraredMode, InfraredModes
from ase_equivar.plotting import plot_infrared
from ase_equivar.units import FrequencyUnit

GRID = np.linspace(0, 12, 301)


def mode(frequency, intensity):
    tensor = np.eye(3)
    return InfraredMode(frequency, 1, 1.0, intensity, tensor, tensor, intensity > 0, "T1u")


MODES = InfraredModes(
    (mode(3.0, 2.0), mode(4.0, 0.0), mode(6.0, 5.0)),
    electronic=2 * np.eye(3), symbols=("Na", "Cl"), volume=40.0, oscillator_sum=np.eye(3),
)  # fmt: skip


def spectrum(*strengths):
    shape = 36 / (36 - GRID**2 - 0.4j * GRID)
    diagonal = np.array([2 + strength * shape for strength in strengths]).T
    return DielectricFunction(GRID, diagonal[:, :, None] * np.eye(3))


def legend(figure):
    return [text.get_text() for text in figure.axes[1].get_legend().get_texts()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "per_thz", "label"),
    [("cm", 33.35641, "cm⁻¹"), ("THz", 1.0, "THz"), ("meV", 4.135668, "meV")],
)
def test_one_axis_for_all(unit, per_thz, label, tmp_path):
    figure = plot_infrared(MODES, spectrum(3, 3, 3), FrequencyUnit(unit), title="rock salt")
    bars, epsilon, loss, reflectivity = figure.axes
    segments = bars.collections[0].get_segments()
    assert len(segments) == 2  # the silent mode is not drawn
    np.testing.assert_allclose([s[0, 0] for s in segments], [3 * per_thz, 6 * per_thz], rtol=1e-6)
    np.testing.assert_allclose([s[1, 1] for s in segments], [2, 5])
    assert label in reflectivity.get_xlabel()
    for ax in figure.axes:
        assert ax.get_xlim() == pytest.approx((0, 12 * per_thz))
    real, imaginary = epsilon.lines[:2]
    assert real.get_ydata()[0] == pytest.approx(5.0)
    peak = imaginary.get_xdata()[imaginary.get_ydata().argmax()]
    assert peak == pytest.approx(6.0 * per_thz, rel=0.01)
    lo = 6.0 * 2.5**0.5  # Lyddane–Sachs–Teller
    (line,) = loss.lines
    assert line.get_xdata()[line.get_ydata().argmax()] == pytest.approx(lo * per_thz, rel=0.01)
    (line,) = reflectivity.lines
    assert line.get_ydata()[0] == pytest.approx(((5**0.5 - 1) / (5**0.5 + 1)) ** 2)
    figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_equivalent_axes_are_drawn_once():
    assert legend(plot_infrared(MODES, spectrum(3, 3, 3))) == ["Re ε", "Im ε"]
    figure = plot_infrared(MODES, spectrum(3, 5, 3))
    assert legend(figure) == ["Re ε x = z", "Im ε x = z", "Re ε y", "Im ε y"]
    _, epsilon, loss, _ = figure.axes
    statics = [epsilon.lines[i].get_ydata()[0] for i in (0, 2)]
    np.testing.assert_allclose(statics, [5, 7])
    assert len(loss.lines) == 2
    assert len(legend(plot_infrared(MODES, spectrum(3, 4, 5)))) == 6


def test_axes_between_those_of_the_crystal_reflect_differently():
    """Turned by 45° about z: ε_xx = ε_yy, and only light along x, on the face z, sees ε_xy."""
    crystal = spectrum(3, 5, 4)
    half = np.sqrt(0.5)
    turn = np.array([[half, -half, 0], [half, half, 0], [0, 0, 1]])
    turned = DielectricFunction(GRID, np.einsum("ia,wab,jb->wij", turn, crystal.epsilon, turn))
    figure = plot_infrared(MODES, turned)
    assert [name for name in legend(figure) if "Re" in name] == ["Re ε x", "Re ε y", "Re ε z"]
    first, second = (figure.axes[3].lines[i].get_ydata()[0] for i in (0, 1))
    index = np.sqrt([5, 7])  # static: along x, half of the light is of either principal axis
    assert first == pytest.approx((((index - 1) / (index + 1)) ** 2).mean())
    effective = np.sqrt(2 / (1 / 5 + 1 / 7))  # light along y on the face x: no D along x
    assert second == pytest.approx(((effective - 1) / (effective + 1)) ** 2)


def test_a_crystal_without_active_modes():
    silent = InfraredModes((mode(4.0, 0.0),), 2 * np.eye(3), ("Si",), 40.0, np.zeros((3, 3)))
    figure = plot_infrared(silent, spectrum(0, 0, 0))
    assert not figure.axes[0].collections
