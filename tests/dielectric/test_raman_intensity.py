"""Raman intensities: averages over orientations, light and temperature, Porto's geometries."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from helpers.bond_polarizability import BondPolarizability
from helpers.polar_phonons import wurtzite
from scipy.integrate import trapezoid
from scipy.spatial.transform import Rotation

from ase_equivar.dielectric import (
    DielectricDerivative,
    RamanMode,
    RamanModes,
    ScatteringGeometry,
    raman_intensities,
    raman_modes,
    raman_spectrum,
)

X, Y, Z = np.eye(3)
THZ_PER_CM = 0.0299792458


def made_of(tensors, frequencies, direction=None):
    """Single modes with given tensors."""
    nothing = np.zeros((1, 3, 3, 3))
    derivative = DielectricDerivative(nothing, nothing, None, np.eye(3), 0.01, 1, Atoms())
    modes = tuple(
        RamanMode(f, np.array([t]), bool(np.any(t)), "A", 0.0, None)
        for t, f in zip(tensors, frequencies, strict=True)
    )
    return RamanModes(modes, direction, derivative, ("Si", "O"), 40.0)


@pytest.fixture
def tensor():
    t = np.random.default_rng(2).normal(size=(3, 3))
    return t + t.T + np.eye(3)


def test_powder_is_the_average_over_all_orientations(tensor):
    """All rotations of a tensor of rank two squared: a group of 60 averages them exactly."""
    group = Rotation.create_group("I").as_matrix()
    single, powder = made_of([tensor], [10.0]), {}
    for name, e_s in (("parallel", X), ("perpendicular", Y)):
        turned = [r @ tensor @ r.T for r in group]
        mean = np.mean([(e_s @ t @ X) ** 2 for t in turned])
        one = made_of([np.outer(X, X)], [10.0], direction=Z)
        unit = raman_intensities(one, "z(xx)-z")[0]  # of |e·α·e|² = 1
        powder[name] = raman_intensities(single, name)[0]
        assert powder[name] == pytest.approx(mean * unit)
    assert raman_intensities(single)[0] == pytest.approx(sum(powder.values()))
    ratio = powder["perpendicular"] / powder["parallel"]
    assert ratio == pytest.approx(single[0].depolarization)


def test_absolute_cross_section_in_atomic_units():
    """(ω_s/c)⁴ α²/(2ω), ħ = m_e = e = 1, c = 137.036, lengths in bohr."""
    bohr, hartree_cm, u = 0.529177211, 219474.6314, 1822.888486
    wave, shift, alpha = 1e7 / 532, 465.0, 0.9  # cm⁻¹, cm⁻¹, Å²/√u
    scattered = (wave - shift) / hartree_cm
    polarizability = alpha / bohr**2 / np.sqrt(u)
    expected = (scattered / 137.035999) ** 4 * polarizability**2 / (2 * shift / hartree_cm)
    expected *= (bohr * 1e-8) ** 2 / 1e-30  # 10⁻³⁰ cm²
    modes = made_of([alpha * np.eye(3)], [shift * THZ_PER_CM])
    found = raman_intensities(modes, "parallel", wavelength=532, temperature=0)
    assert found[0] == pytest.approx(expected, rel=1e-6)


def test_temperature_wavelength_and_frequency_enter_as_they_should(tensor):
    modes = made_of([tensor, tensor], [100 * THZ_PER_CM, 900 * THZ_PER_CM])
    cold = raman_intensities(modes, temperature=0)
    hot = raman_intensities(modes, temperature=300)
    bose = 1 / np.expm1(np.array([100, 900]) / (0.6950348 * 300))  # k_B in cm⁻¹/K
    np.testing.assert_allclose(hot / cold, bose + 1, rtol=1e-6)
    blue = raman_intensities(modes, wavelength=400, temperature=0)
    laser = np.array([1e7 / 400, 1e7 / 532])
    by_shift = [((laser[0] - s) / (laser[1] - s)) ** 4 for s in (100, 900)]
    np.testing.assert_allclose(blue / cold, by_shift, rtol=1e-6)
    ratio = 9 * ((laser[1] - 100) / (laser[1] - 900)) ** 4
    assert cold[0] / cold[1] == pytest.approx(ratio, rel=1e-6)
    with pytest.raises(ValueError, match=r"wavelength is 15000 nm.* mode at 900 cm⁻¹"):
        raman_intensities(modes, wavelength=15_000)


def test_spectrum_has_the_intensities_as_areas(tensor):
    modes = made_of([tensor, 2 * tensor], [9.0, 15.0])
    grid = np.linspace(0, 400, 400_001)
    widths = [0.2, 0.5]
    spectrum = raman_spectrum(modes, widths, frequencies=grid, temperature=100)
    area = trapezoid(spectrum.intensity, grid)
    intensities = raman_intensities(modes, temperature=100)
    assert area == pytest.approx(intensities.sum(), rel=0.01)  # tails of Lorentzians go on
    near = np.abs(grid - 15) < 0.25  # half of a line lies within its full width
    inside = trapezoid(spectrum.intensity[near], grid[near])
    assert inside == pytest.approx(intensities[1] / 2, rel=0.02)
    assert spectrum.name == "powder"
    assert spectrum.frequencies_cm[-1] == pytest.approx(400 / THZ_PER_CM)
    default = raman_spectrum(modes, 0.3)
    assert default.frequencies[0] == 0
    assert default.frequencies[-1] == pytest.approx(15 + 20 * 0.3)
    assert default.intensity.max() == pytest.approx(
        raman_intensities(modes)[1] * 2 / np.pi / 0.3, rel=0.05
    )


@pytest.mark.parametrize(
    ("text", "name", "q"),
    [
        ("z(xx)-z", "z(xx)-z", Z),
        ("z(xx)z\u0304", "z(xx)-z", Z),
        ("z(xx)z\u0305", "z(xx)-z", Z),
        ("\u2212z (x, y) z", "-z(xy)z", -Z),
        ("X(YZ)Y", "x(yz)y", (X - Y) / np.sqrt(2)),
        ("\u0233(zz)x", "-y(zz)x", -(X + Y) / np.sqrt(2)),  # ȳ as one letter
        ("x(zz)x", "x(zz)x", None),
    ],
)
def test_notation_of_porto(text, name, q):
    geometry = ScatteringGeometry.porto(text)
    assert geometry.name == name
    if q is None:
        assert geometry.direction is None
    else:
        np.testing.assert_allclose(geometry.direction, q, atol=1e-12)
    assert ScatteringGeometry.porto(name).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("z(zx)-z", r"z\(zx\)-z: incident light along z cannot be polarized along z"),
        ("z(xy)y", r"z\(xy\)y: scattered light along y cannot be polarized along y"),
        ("z(xx)", r"'z\(xx\)' is not in Porto's notation: give incident direction"),
        ("a(bb)c", "is not in Porto's notation"),
        ("", "is not in Porto's notation"),
        (None, "is not in Porto's notation"),
    ],
)
def test_geometries_that_are_none(text, message):
    with pytest.raises(ValueError, match=message):
        ScatteringGeometry.porto(text)


def test_geometries_of_any_directions():
    diagonal = ScatteringGeometry((1, 1, 0), (0, 0, 2), (1, 0, 0), (0, 3, 0), name="oblique")
    np.testing.assert_allclose(diagonal.incident, (X + Y) / np.sqrt(2))
    np.testing.assert_allclose(diagonal.incident_polarization, Z)
    with pytest.raises(ValueError, match="incident_polarization is zero"):
        ScatteringGeometry(X, (0, 0, 0), X, Y)
    with pytest.raises(ValueError, match="scattered_polarization must be perpendicular"):
        ScatteringGeometry(X, Y, (1, 1, 0), X)


def test_polarized_light_picks_modes_of_wurtzite():
    """Backscattering on c-face: E2 and A1(LO); on the side: A1(TO), E1(TO): Arguello (1969)."""
    phonon = wurtzite()
    modes = raman_modes(phonon, BondPolarizability(), progress=False)
    seen = {}
    for text in ("z(xx)-z", "z(xy)-z", "x(zz)-x", "x(yz)-x", "x(yy)-x", "x(yz)y"):
        geometry = ScatteringGeometry.porto(text)
        found = raman_modes(phonon, modes.derivative, direction=geometry.direction)
        values = raman_intensities(found, geometry)
        seen[text] = {
            m.label for m, i in zip(found, values, strict=True) if i > 1e-9 * values.max()
        }
    assert seen == {
        "z(xx)-z": {"A1 (LO)", "E2"},
        "z(xy)-z": {"E2"},
        "x(zz)-x": {"A1 (TO)"},
        "x(yz)-x": {"E1 (TO)"},
        "x(yy)-x": {"A1 (TO)", "E2"},
        "x(yz)y": {"E1 (TO)", "E1 (LO)"},
    }


def test_turned_crystals_scatter_alike_in_turned_light():
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    lights = (X, Y, Z, -Y)
    found = []
    for rotation in (np.eye(3), turn):
        phonon = wurtzite(rotation)
        modes = raman_modes(phonon, BondPolarizability(), progress=False)
        geometry = ScatteringGeometry(*(rotation @ light for light in lights))
        along = raman_modes(phonon, modes.derivative, direction=geometry.direction)
        found.append((raman_intensities(modes), raman_intensities(along, geometry)))
    for straight, turned in zip(*found, strict=True):
        np.testing.assert_allclose(turned, straight, rtol=5e-3, atol=1e-6 * straight.max())


def test_modes_of_another_direction_are_refused(tensor):
    transverse = made_of([tensor], [10.0])
    along_z = made_of([tensor], [10.0], direction=Z)
    for modes, geometry, wanted in (
        (transverse, "z(xx)-z", r"direction=\[0\.0, 0\.0, 1\.0\]"),
        (along_z, "x(zz)-x", r"direction=\[1\.0, 0\.0, 0\.0\]"),
        (along_z, "powder", r"direction=None"),
        (along_z, "z(xx)z", r"direction=None"),
    ):
        with pytest.raises(ValueError, match=wanted):
            raman_intensities(modes, geometry)
    assert raman_intensities(along_z, "-z(xx)z") == raman_intensities(along_z, "z(xx)-z")


def test_imaginary_modes_and_bad_numbers_are_refused(tensor):
    with pytest.raises(ValueError, match=r"2\.00i THz .* is unstable"):
        raman_spectrum(made_of([tensor], [-2.0]), 0.3)
    silent = made_of([np.zeros((3, 3)), tensor], [-2.0, 3.0])
    assert raman_intensities(silent)[0] == 0
    modes = made_of([tensor], [10.0])
    for arguments, message in (
        ({"damping": 0.0}, "damping must be a positive"),
        ({"damping": [0.1, 0.1]}, "one for each of the 1 sets"),
        ({"wavelength": -1}, "wavelength"),
        ({"temperature": -1}, "temperature"),
        ({"frequencies": [[1.0]]}, "frequencies"),
    ):
        with pytest.raises(ValueError, match=message):
            raman_spectrum(modes, **({"damping": 0.3} | arguments))
