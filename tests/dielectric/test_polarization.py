"""Polarization from Z* along a path, against a polarization that is known in closed form."""

from __future__ import annotations

import json
import re
import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from helpers.paths import SIO2
from helpers.told_warnings import IGNORED

from ase_equivar.dielectric import polarization_along, polarization_change
from ase_equivar.dielectric.structure_pairs import is_polar
from ase_equivar.units import UC_PER_CM2
from ase_equivar.warning_types import PolarizationWarning


class TriclinicIons(Calculator):
    """Ions with Ω P(u) = Σ q_i u_i + a cubic polynomial of the differences of positions.

    In reduced coordinates, so that the same π belongs to the same reduced coordinates in any cell.
    """

    implemented_properties = ("born_effective_charges",)
    nominal = np.array([2.0, -1.3, -0.7])

    def reduced(self, s):
        """π of reduced coordinates s, shape (3,), periodic but for whole charges times s."""
        d, g = np.sin(2 * np.pi * (s[1] - s[0])), np.sin(2 * np.pi * (s[2] - s[0]))
        mixed = np.array(
            [d[0] * g[1] + 0.3 * d[2] ** 2, g[0] * g[2] * d[1], d[1] ** 3 + 0.2 * g[0]]
        )
        return self.nominal @ s + 0.05 * mixed

    def derivative(self, s, step=1e-6):
        """∂π/∂s, shape (N, 3, 3): central differences."""
        rows = np.zeros((len(s), 3, 3))
        for i, b in np.ndindex(s.shape):
            shift = np.zeros_like(s)
            shift[i, b] = step
            rows[i, :, b] = (self.reduced(s + shift) - self.reduced(s - shift)) / (2 * step)
        return rows

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        cell = self.atoms.cell.array
        rates = self.derivative(self.atoms.get_scaled_positions(wrap=False))
        # Ω P = π·cell and r = s·cell.
        charges = np.einsum("ka,ikl,bl->iab", cell, rates, np.linalg.inv(cell))
        self.results = {"born_effective_charges": charges}


START = np.array([[0.02, 0.05, 0.01], [0.48, 0.31, 0.92], [0.17, 0.66, 0.55]])
MOVES = np.array([[0.03, -0.08, 0.01], [-0.11, 0.12, 0.21], [0.07, 0.02, -0.16]])
CELL = np.array([[4.9, 0.1, 0.0], [1.3, 5.3, 0.2], [-0.9, 0.7, 5.8]])


def structure(reduced, cell=CELL):
    return Atoms("NaClO", scaled_positions=reduced, cell=cell, pbc=True)


def expected(start, end, cell):
    ions = TriclinicIons()
    change = ions.reduced(end) - ions.reduced(start)
    return change @ cell / np.linalg.det(cell) / UC_PER_CM2


def test_integral_along_the_path_is_the_difference_of_the_ends():
    found = polarization_change(structure(START), structure(START + MOVES), TriclinicIons())
    # Without the mean motion: it carries no polarization, as the charges sum to zero.
    np.testing.assert_allclose(found.change, expected(START, START + MOVES, CELL), atol=0.02)
    assert np.abs(found.change).max() > 15
    better = polarization_change(
        structure(START), structure(START + MOVES), TriclinicIons(), n_points=33
    )
    np.testing.assert_allclose(better.change, expected(START, START + MOVES, CELL), atol=1e-4)
    assert found.quadrature_error > np.abs(found.change - better.change).max()


def test_charges_at_one_end_are_not_enough():
    """What this toy would give in the linear approximation is off by far more than the integral."""
    start, end = structure(START), structure(START + MOVES)
    charges = TriclinicIons().get_property("born_effective_charges", start)
    linear = polarization_along([start, end], [charges, charges]).change
    assert np.abs(linear - expected(START, START + MOVES, CELL)).max() > 2
    turned = charges.transpose(0, 2, 1)
    assert np.abs(polarization_along([start, end], [turned, turned]).change - linear).max() > 1


def test_trapezium_over_many_images():
    fractions = np.linspace(0, 1, 81)
    images = [structure(START + f * MOVES) for f in fractions]
    calc = TriclinicIons()
    charges = [calc.get_property("born_effective_charges", image) for image in images]
    found = polarization_along(images, charges)
    np.testing.assert_allclose(found.change, expected(START, START + MOVES, CELL), atol=0.02)
    assert np.isnan(found.quadrature_error)


def test_wrapping_and_shifts_do_not_matter():
    plain = polarization_change(structure(START), structure(START + MOVES), TriclinicIons())
    end = structure((START + MOVES + [0.4, 0.45, -0.3]) % 1.0)
    moved = polarization_change(structure(START), end, TriclinicIons())
    np.testing.assert_allclose(moved.change, plain.change, atol=1e-6)


def test_a_strained_cell_keeps_the_reduced_polarization():
    """π of the toy depends on reduced coordinates only: P follows the cell of the end."""
    strained = CELL @ np.array([[1.03, 0.02, 0.0], [0.0, 0.97, 0.01], [0.01, 0.0, 1.05]])
    end = structure(START + MOVES, strained)
    with pytest.warns(UserWarning, match="both structures are polar"):
        found = polarization_change(structure(START), end, TriclinicIons(), n_points=33)
    np.testing.assert_allclose(found.change, expected(START, START + MOVES, strained), atol=1e-3)


def test_two_polar_structures_in_different_cells_are_warned_about():
    other = structure(START + MOVES, CELL * 1.01)
    with pytest.warns(UserWarning, match=r"both structures are polar.*\(strain 0.01\).*subtract"):
        polarization_change(structure(START), other, TriclinicIons(), n_points=33)
    charges = [np.zeros((3, 3, 3))] * 2
    with pytest.warns(UserWarning, match="both structures are polar"):
        polarization_along([structure(START), other], charges)


class Perovskite(Calculator):
    """Nominal charges, which make the polarization in any cell a sum over the ions."""

    implemented_properties = ("born_effective_charges",)
    nominal = np.array([2.0, 4.0, -2.0, -2.0, -2.0])

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"born_effective_charges": self.nominal[:, None, None] * np.eye(3)}


def perovskite(shifts, a, c):
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    sites[:, 2] += shifts
    return Atoms("PbTiO3", scaled_positions=sites, cell=[a, a, c], pbc=True)


@pytest.mark.filterwarnings("error", IGNORED)
def test_both_ways_between_a_polar_and_a_nonpolar_structure_agree():
    shifts = np.array([0.0, 0.04, 0.11, 0.12, 0.12])
    cubic, tetragonal = perovskite(0.0, 3.97, 3.97), perovskite(shifts, 3.90, 4.15)
    forward = polarization_change(cubic, tetragonal, Perovskite())
    backward = polarization_change(tetragonal, cubic, Perovskite())
    known = Perovskite.nominal @ shifts / 3.90**2 / UC_PER_CM2
    np.testing.assert_allclose(forward.change, [0, 0, known], atol=1e-6)
    np.testing.assert_allclose(backward.change, -forward.change, atol=1e-6)
    np.testing.assert_allclose(backward.quanta, forward.quanta)
    charges = [Perovskite.nominal[:, None, None] * np.eye(3)] * 2
    along = polarization_along([tetragonal, cubic], charges)
    np.testing.assert_allclose(along.change, -forward.change, atol=1e-6)


def test_which_structures_are_polar():
    zincblende = bulk("ZnS", "zincblende", a=5.41)  # no center of inversion, no polar axis either
    assert not is_polar(zincblende)
    assert is_polar(bulk("ZnS", "wurtzite", a=3.82, c=6.26))
    assert not is_polar(perovskite(0.0, 3.9, 4.1))
    assert is_polar(structure(START))


def test_quanta_and_branches():
    found = polarization_change(structure(START), structure(START + MOVES), TriclinicIons())
    np.testing.assert_allclose(found.quanta, CELL / np.linalg.det(CELL) / UC_PER_CM2, rtol=1e-12)
    assert np.linalg.norm(found.quanta[0]) == pytest.approx(52.2, abs=0.5)
    other = found.change + np.array([2, -1, 3]) @ found.quanta
    np.testing.assert_allclose(
        found.nearest_to(other + np.array([1.0, -2.0, 0.5])), other, atol=1e-9
    )


def test_quartz_agrees_with_the_berry_phase_of_quantum_espresso():
    frames = ase.io.read(SIO2, ":")
    charges = [atoms.arrays["born_charges"].reshape(-1, 3, 3) for atoms in frames]
    moments = np.array([atoms.calc.results["polarization"] for atoms in frames])  # Ω P, |e|·Å
    scale = 1 / UC_PER_CM2 / frames[0].get_volume()
    known = (moments[1:] - moments[0]) * scale
    found = [
        polarization_along([frames[0], frames[k]], [charges[0], charges[k]])
        for k in range(1, len(frames))
    ]
    change = np.array([one.change for one in found])
    assert np.linalg.norm(change - known) < 0.03 * np.linalg.norm(known)
    nearest = np.array([one.nearest_to(k) for one, k in zip(found, known, strict=True)])
    np.testing.assert_allclose(nearest, change)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (Atoms("NaOCl", scaled_positions=START, cell=CELL, pbc=True), "same atoms in the same"),
        (Atoms("NaCl", cell=CELL, pbc=True), "ClNa do not list|NaCl do not list"),
        (Atoms("NaClO", scaled_positions=START, cell=CELL, pbc=(1, 1, 0)), "periodic in three"),
        (structure(START + np.diag([0, 0.49, 0])[:, [1, 0, 2]]), "ambiguous"),
    ],
)
def test_structures_that_do_not_belong_together(end, message):
    with pytest.raises(ValueError, match=message):
        polarization_change(structure(START), end, TriclinicIons())


SHEARED = [
    [[1, 0, 0], [0, 1, 0], [-1, 0, 1]],
    [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
    [[1, 1, -1], [0, 1, -1], [0, 0, 1]],
    [[2, 1, 0], [1, 1, 0], [0, 0, 1]],
    [[1, 0, 0], [2, 1, 0], [0, -1, 1]],
]


@pytest.mark.parametrize("vectors", SHEARED)
@pytest.mark.parametrize("ions", ["two", "three"])
def test_other_vectors_of_the_same_lattice_are_refused(vectors, ions):
    """Polarizations of another branch, or of none, came out: the path sheared the crystal."""
    if ions == "two":
        start = bulk("MgO", "rocksalt", a=4.21)
        end, charges = start.copy(), np.array([2.1 * np.eye(3), -2.1 * np.eye(3)])
        end.positions[1] += [0.05, -0.02, 0.1]
    else:
        start, end, charges = structure(START), structure(START + MOVES), TriclinicIons()
    expected = polarization_change(start, end, charges).change
    end.set_cell(np.array(vectors) @ end.cell.array, scale_atoms=False)
    with pytest.raises(ValueError, match=r"other vectors of its lattice by 0\.0") as error:
        polarization_change(start, end, charges)
    told = re.search(r"set_cell\(np\.array\((.*)\) @ cell, scale", str(error.value)).group(1)
    end.set_cell(np.array(json.loads(told)) @ end.cell.array, scale_atoms=False)
    np.testing.assert_allclose(polarization_change(start, end, charges).change, expected)


def test_a_crystal_that_changes_its_shape_is_no_other_lattice():
    """Ferroelastic switching exchanges the long axis, along which the polarization was."""
    along_z, along_x = [[0, 0, 0], [0.5, 0.5, 0.45]], [[0, 0, 0], [0.45, 0.5, 0.5]]
    start = Atoms("TiO", scaled_positions=along_z, cell=[3.9, 3.9, 4.15], pbc=True)
    end = Atoms("TiO", scaled_positions=along_x, cell=[4.15, 3.9, 3.9], pbc=True)
    charges = np.array([4 * np.eye(3), -4 * np.eye(3)])
    with pytest.warns(PolarizationWarning, match="both structures are polar"):
        change = polarization_change(start, end, charges).change
    quantum = 4 / np.linalg.det(start.cell.array) / UC_PER_CM2
    np.testing.assert_allclose(
        change, quantum * 0.05 * np.array([4.15, 0, -3.9]), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("share", [0.46, 0.5, 0.54])
@pytest.mark.parametrize("n_moved", [1, 2, 3])
def test_half_of_the_atoms_do_not_hide_an_ambiguity(share, n_moved):
    """Displacements were those from the median, which lies between two halves."""
    start = Atoms("TiOTiO", pbc=True, cell=[[4.6, 0, 0], [0.2, 4.5, 0], [0, 0.3, 3.0]])
    start.set_scaled_positions([[0, 0, 0], [0.3, 0.3, 0], [0.5, 0.5, 0.5], [0.8, 0.2, 0.5]])
    end = start.copy()
    end.positions[:n_moved] += share * start.cell[2]
    charges = np.array([q * np.eye(3) for q in (3, -3, 3, -3)])
    with pytest.raises(ValueError, match="of a lattice vector relative to the others"):
        polarization_change(start, end, charges)


def test_bad_arguments():
    start, end = structure(START), structure(START + MOVES)
    for n_points in (3, 8):
        with pytest.raises(ValueError, match="odd and at least 5"):
            polarization_change(start, end, TriclinicIons(), n_points=n_points)
    with pytest.raises(NotImplementedError, match="does not give 'born_effective_charges'"):
        polarization_change(start, end, Calculator())
    charged = TriclinicIons()
    charged.total_charge = 1.0
    with pytest.raises(ValueError, match=r"total_charge=1\.0: the polarization of a charged"):
        polarization_change(start, end, charged)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 3\) do not fit a structure of 3 atoms"):
        polarization_along([start, end], [np.zeros((2, 3, 3))] * 2)
    with pytest.raises(ValueError, match="at least two structures, and born_charges Z"):
        polarization_along([start], [np.zeros((3, 3, 3))])


@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("order", [[0, 1, 2], None])
def test_a_structure_with_itself_is_told(shift, order):
    start = Atoms("OTiO", [[0.1, 0.2, 0.3], [1.7, 1.9, 0.4], [0.5, 2.2, 2.1]], pbc=True)
    start.set_cell([[4.0, 0.1, 0], [0.2, 4.3, 0.4], [0, 0.3, 4.6]])
    end = start.copy()[order or [2, 1, 0]]
    end.positions += shift
    charges = np.random.default_rng(0).normal(size=(3, 3, 3))
    with pytest.warns(PolarizationWarning, match="the same within 1e-06 Å.*given twice"):
        assert np.abs(polarization_change(start, end, charges).change).max() < 1e-9
    end.positions[1, 0] += 1e-4
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*the same within")
        polarization_change(start, end, charges)


def test_two_images_that_are_the_same_are_told():
    atoms = bulk("MgO", "rocksalt", a=4.21)
    charges = [np.array([np.eye(3), -np.eye(3)])] * 2
    with pytest.warns(PolarizationWarning, match="given twice"):
        polarization_along([atoms, atoms], charges)


def test_too_few_points_are_warned_about():
    class FasterIons(TriclinicIons):
        def reduced(self, s):
            return super().reduced(2.2 * s)

    end = structure(START + MOVES)
    with pytest.warns(UserWarning, match="n_points=5: use more points"):
        polarization_change(structure(START), end, FasterIons(), n_points=5)
