"""The change of polarization of crystals whose second structure is turned, by any angle."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from ase_equivar.dielectric import polarization_along, polarization_change
from ase_equivar.dielectric.atom_matching import shortest_order
from ase_equivar.units import UC_PER_CM2

CELL = np.array([[4.9, 0.1, 0.0], [1.3, 5.3, 0.2], [-0.9, 0.7, 5.8]])
START = np.array([[0.02, 0.05, 0.01], [0.48, 0.31, 0.92], [0.17, 0.66, 0.55]])
MOVES = np.array([[0.03, -0.08, 0.01], [-0.11, 0.12, 0.21], [0.07, 0.02, -0.16]])
STRAIN = np.array([[0.04, 0.02, -0.01], [0.02, -0.03, 0.015], [-0.01, 0.015, 0.05]])
CHARGES = np.array([2.0, -1.3, -0.7])
CLAMPED = np.arange(18.0).reshape(3, 6) / 20 - 0.3
TURNS = [
    *Rotation.from_quat(np.random.default_rng(7).normal(size=(4, 4))).as_matrix(),
    Rotation.from_rotvec([0, 0, 3.13]).as_matrix(),
]

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")


def structure(reduced: NDArray[np.float64], cell: NDArray[np.float64]) -> Atoms:
    return Atoms("NaClO", scaled_positions=reduced, cell=cell, pbc=True)


class OfTheCell(Calculator):
    """Z* that turn with the crystal and depend on the lengths and angles of its cell."""

    implemented_properties = ("born_effective_charges",)

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        a, b, c = self.atoms.cell.array
        mixed = np.outer(a, b) + 0.4 * np.outer(b, c) + 0.5 * a @ c * np.eye(3)
        tensor = np.linalg.det(self.atoms.cell.array) / 100 * np.eye(3) + 0.03 * mixed
        self.results = {"born_effective_charges": CHARGES[:, None, None] * tensor}


def by_hand(start_cell: NDArray[np.float64], strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Δπ for Z* of `OfTheCell`, a midpoint sum over cells strained without rotation."""
    calc, total, count = OfTheCell(), np.zeros(3), 100
    for n in range(count):
        cell = start_cell @ (np.eye(3) + (n + 0.5) / count * strain)
        tensors = calc.get_property("born_effective_charges", structure(START, cell))
        moment = sum(one @ (move @ cell) for one, move in zip(tensors, MOVES, strict=True))
        total += moment @ np.linalg.inv(cell) / count
    return total


def to_polarization(change: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(change @ cell / abs(np.linalg.det(cell)) / UC_PER_CM2)


@pytest.mark.parametrize("hand", [1, -1])
def test_the_change_is_in_the_axes_of_the_end_however_it_is_turned(hand: int) -> None:
    start_cell = hand * CELL
    expected = by_hand(start_cell, STRAIN)
    strained = start_cell @ (np.eye(3) + STRAIN)
    for turn in (np.eye(3), *TURNS):
        end_cell = strained @ turn
        found = polarization_change(
            structure(START, start_cell), structure(START + MOVES, end_cell), OfTheCell()
        )
        known = to_polarization(expected, end_cell)
        np.testing.assert_allclose(found.change, known, atol=1e-4 * np.linalg.norm(known))
        assert np.linalg.norm(known) > 20
        np.testing.assert_allclose(
            found.quanta, end_cell / np.linalg.det(CELL @ (np.eye(3) + STRAIN)) / UC_PER_CM2
        )


def test_axes_of_cells_that_share_the_direction_of_a_vector() -> None:
    """A small rotation comes with the strain, as in most files: nothing is turned in the result."""
    end_cell = CELL @ (np.eye(3) + 0.002 * np.tri(3))
    found = polarization_change(
        structure(START, CELL), structure(START + MOVES, end_cell), OfTheCell()
    ).change
    straight = by_hand(CELL, np.linalg.solve(CELL, end_cell) - np.eye(3))  # fixed axes
    known = to_polarization(straight, end_cell)
    size = np.linalg.norm(known)
    np.testing.assert_allclose(found, known, atol=1e-5 * size)
    rotation = polar(np.linalg.solve(CELL, end_cell), side="left")[0]
    assert np.linalg.norm(known @ rotation.T - found) > 1e-4 * size  # in the axes of the start


def test_the_tensor_of_the_electrons_is_in_the_axes_of_the_start() -> None:
    start, strained = structure(START, CELL), CELL @ (np.eye(3) + STRAIN)
    parts = []
    for turn in (np.eye(3), *TURNS):
        end = structure(START + MOVES, strained @ turn)
        both = [
            polarization_change(start, end, OfTheCell(), clamped_piezoelectric=tensor).change
            for tensor in (CLAMPED, None)
        ]
        parts.append((both[0] - both[1]) @ turn.T)
    doubled = np.array([1, 1, 1, 2, 2, 2]) * STRAIN[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    response = CLAMPED @ doubled @ (np.eye(3) + STRAIN) / np.linalg.det(np.eye(3) + STRAIN)
    np.testing.assert_allclose(parts, np.tile(100 * response, (len(parts), 1)), atol=1e-6)


def test_if_only_the_start_is_polar_the_axes_are_those_of_the_start() -> None:
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    shifts = np.array([0.0, 0.04, -0.02, -0.03, -0.03])
    cubic = Atoms("PbTiO3", scaled_positions=sites, cell=[3.97] * 3, pbc=True)
    sites[:, 2] += shifts
    polar = Atoms("PbTiO3", scaled_positions=sites, cell=[3.90, 3.90, 4.15], pbc=True)
    nominal = np.array([2.0, 4.0, -2.0, -2.0, -2.0])
    charges = {"Pb": 2, "Ti": 4, "O": -2}
    known = nominal @ shifts / 3.90**2 / UC_PER_CM2
    for turn in TURNS:
        turned = cubic.copy()
        turned.set_cell(cubic.cell.array @ turn, scale_atoms=True)
        away = polarization_change(polar, turned, charges).change
        np.testing.assert_allclose(away, [0, 0, -known], atol=1e-6)
        back = polarization_change(turned, polar, charges).change
        np.testing.assert_allclose(back, [0, 0, known], atol=1e-6)


def test_along_structures_that_are_turned() -> None:
    cells = [CELL @ (np.eye(3) + f * STRAIN) for f in (0, 0.5, 1)]
    results = []
    for turns in ([np.eye(3)] * 3, TURNS[:3]):
        images = [
            structure(START + f * MOVES, cell @ turn)
            for f, cell, turn in zip((0, 0.5, 1), cells, turns, strict=True)
        ]
        charges = [OfTheCell().get_property("born_effective_charges", one) for one in images]
        results.append(polarization_along(images, charges).change @ turns[-1].T)
    np.testing.assert_allclose(results[1], results[0], atol=1e-9)


def test_atoms_are_matched_in_the_turned_crystal() -> None:
    rng = np.random.default_rng(5)
    reduced = rng.uniform(size=(8, 3))
    start = Atoms("Na4Cl4", scaled_positions=reduced, cell=CELL, pbc=True)
    order = np.array([2, 0, 3, 1, 4, 6, 7, 5])
    moved = reduced + rng.normal(scale=0.01, size=(8, 3))
    for turn in (np.eye(3), *TURNS, np.diag([-1.0, -1.0, 1.0])):
        end = Atoms(start.numbers, scaled_positions=moved[order], cell=CELL @ turn, pbc=True)
        found = shortest_order(start, end)
        assert found is not None
        np.testing.assert_array_equal(order[found], np.arange(8))


def test_a_turned_copy_is_the_same_crystal() -> None:
    start, turned = structure(START, CELL), structure(START, CELL @ TURNS[0])
    with pytest.warns(UserWarning, match="apart from a shift or rotation of the whole crystal"):
        change = polarization_change(start, turned, OfTheCell()).change
    np.testing.assert_allclose(change, 0, atol=1e-9)


@pytest.mark.filterwarnings("error::ase_equivar.warning_types.PolarizationWarning")
def test_polar_cells_that_are_only_turned_do_not_differ() -> None:
    polarization_change(
        structure(START, CELL), structure(START + MOVES, CELL @ TURNS[1]), OfTheCell()
    )


def test_cells_of_different_handedness_are_refused() -> None:
    start, end = structure(START, CELL), structure(START + MOVES, CELL)
    expected = polarization_change(start, end, OfTheCell()).change
    for vectors in (CELL * [[-1], [1], [1]], CELL[[1, 0, 2]], -CELL):
        end.set_cell(vectors, scale_atoms=False)
        message = (
            r"one structure are right.*left-handed: no path.*reversing or exchanging.*set_cell"
        )
        with pytest.raises(ValueError, match=message):
            polarization_change(start, end, OfTheCell())
        with pytest.raises(ValueError, match=r"one structure are left-handed and .* right-handed"):
            polarization_along([end, start], [np.zeros((3, 3, 3))] * 2)
        end.set_cell(CELL, scale_atoms=False)  # the remedy that the message names
        np.testing.assert_allclose(polarization_change(start, end, OfTheCell()).change, expected)
