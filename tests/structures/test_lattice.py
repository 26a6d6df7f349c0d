"""Nothing depends on how skewed the vectors are by which a lattice is described."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import graphene
from ase.calculators.lj import LennardJones
from ase.units import fs
from helpers.structures import sheet, triclinic
from helpers.toy_network import ToyNetwork

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import polarization_change, with_velocities
from ase_equivar.graph import build_graph
from ase_equivar.phonons import force_constants, relax, supercell_for_length
from ase_equivar.structures.lattice import (
    FLATTEST,
    MIN_HEIGHT,
    compact_vectors,
    heights,
    is_ordinary,
    nearest_images,
    volume,
)
from ase_equivar.structures.vacuum import describe_vacuum
from ase_equivar.structures.validation import check_structure

SHEARS = [3, 20, 900]


def sheared(atoms: Atoms, k: int) -> Atoms:
    """The same crystal, in a cell of small height: 0.5, 0.01 and 7e-6 Å in that of five atoms."""
    other = atoms.copy()
    other.set_cell(np.array([[1, 0, 0], [k, 1, 0], [1 - k, k, 1]]) @ atoms.cell.array)
    return other


@pytest.mark.parametrize("k", SHEARS)
def test_charges_and_neighbors(k):
    atoms = triclinic()
    calculator = EquivarCalculator(model=ToyNetwork())
    plain = calculator.get_property("born_charges", atoms)
    skewed = calculator.get_property("born_charges", sheared(atoms, k))
    np.testing.assert_allclose(skewed, plain, atol=1e-5)
    graphs = [build_graph(one, 5.0) for one in (atoms, sheared(atoms, k))]
    assert graphs[0].n_edges == graphs[1].n_edges


@pytest.mark.parametrize("k", SHEARS)
def test_phonons(k):
    atoms = triclinic()[[0, 1]]
    potential = LennardJones(sigma=2.5)
    frequencies = []
    for one in (atoms, sheared(atoms, k)):
        # the supercell of 1×2×2, in units of other vectors
        vectors = np.linalg.solve(one.cell.array.T, atoms.cell.array.T) @ np.diag([1, 2, 2])
        cells = [np.eye(3)]
        if k < 100:
            cells += [np.rint(vectors), supercell_for_length(one, 6.0)]
        for matrix in cells:
            phonon = force_constants(one, potential, matrix, progress=False)
            phonon.run_qpoints([[0, 0, 0]])
            frequencies.append(phonon.qpoints.frequencies)
    half = len(frequencies) // 2
    np.testing.assert_allclose(frequencies[half:], frequencies[:half], atol=1e-4)


def test_supercells_too_far_from_those_of_short_vectors_are_refused():
    skewed = sheared(triclinic(), 900)
    with pytest.raises(ValueError, match="supercell"):
        force_constants(skewed, LennardJones(), supercell_for_length(skewed, 6.0))


@pytest.mark.parametrize(("mode", "k"), [("positions", 20), ("cell", 900)])
def test_relaxed_structures(mode, k):
    atoms = Atoms(
        "ArNe",
        cell=[[3.1, 0.1, 0], [0.2, 3.3, 0.1], [0.1, 0.3, 3.6]],
        scaled_positions=[[0.02, 0.05, 0.01], [0.48, 0.55, 0.46]],
        pbc=True,
    )
    potential = LennardJones(sigma=2.8, epsilon=0.1, rc=7.0, smooth=True)
    plain, skewed = (relax(one, potential, mode, fmax=0.05) for one in (atoms, sheared(atoms, k)))
    shear = np.rint(sheared(atoms, k).cell.array @ np.linalg.inv(atoms.cell.array))
    np.testing.assert_allclose(np.linalg.inv(shear) @ skewed.cell.array, plain.cell, atol=5e-3)
    energies = [potential.get_potential_energy(one) for one in (plain, skewed)]
    assert energies[1] == pytest.approx(energies[0], abs=1e-3)


@pytest.mark.parametrize("k", SHEARS)
def test_paths_between_structures(k):
    """Atoms move by up to 0.9 Å, many times the smallest height; two are listed exchanged."""
    start = triclinic()
    end = start.copy()
    end.positions += np.random.default_rng(3).uniform(-0.5, 0.5, (5, 3))
    end.wrap()
    charges = np.random.default_rng(4).normal(size=(5, 3, 3))
    changes = [
        polarization_change(sheared(start, n), sheared(end, n), charges).change for n in (0, k)
    ]
    np.testing.assert_allclose(changes[1], changes[0], rtol=1e-6)
    swapped = end[[4, 1, 2, 3, 0]] if start.numbers[0] == start.numbers[4] else end
    frames = [start, end, swapped, start, end]
    found = [next(with_velocities([sheared(one, n) for one in frames], 1.0)) for n in (0, k)]
    np.testing.assert_allclose(found[1].get_velocities(), found[0].get_velocities(), atol=1e-6)


def test_sheets_in_cells_of_which_no_face_is_parallel_to_them():
    atoms = graphene("BN", a=2.5, vacuum=4.0)
    atoms.pbc = True
    for shear in ([[1, 0, 2], [0, 1, -1], [0, 0, 1]], [[1, 0, 30], [0, 1, 7], [0, 4, 29]]):
        other = atoms.copy()
        other.set_cell(np.array(shear) @ atoms.cell.array)
        assert describe_vacuum(other) == describe_vacuum(atoms) == "has 6.3 Å of vacuum"


@pytest.mark.parametrize("noise", [0.0, 1e-13, 1e-9])
@pytest.mark.parametrize("factors", [(2, 0), (700, 0.3), (-1e5, 31)])
def test_vectors_that_are_parallel_but_for_rounding_are_refused(noise, factors):
    rng = np.random.default_rng(0)
    a, b = np.array([2.1, 0.3, 1.7]), np.array([0.4, 3.9, 0.2])
    for third in (factors[0] * a + factors[1] * b, a):
        cell = np.array([a, b, third + noise * rng.normal(size=3)])
        with pytest.raises(ValueError, match=r"span no volume|Å high"):
            check_structure(Atoms("Na", cell=cell, pbc=True))


def test_flat_lattices_are_refused_however_they_are_described():
    flat = Atoms("H", cell=[9.0, 8.0, 0.2], pbc=True)
    with pytest.raises(ValueError, match=r"0.2 Å high along c"):
        check_structure(flat)
    with pytest.raises(ValueError, match=r"0.2 Å high with the shortest vectors"):
        check_structure(sheared(flat, 40))


def test_compact_vectors_are_of_the_same_lattice():
    for atoms in (triclinic(), sheet()):
        assert np.array_equal(
            compact_vectors(atoms.cell.array, atoms.pbc)[atoms.pbc], atoms.cell.array[atoms.pbc]
        )
        skewed = atoms.cell.array.copy()
        skewed[1] += 57 * skewed[0]
        found = compact_vectors(skewed, atoms.pbc)
        assert heights(found).min() > 0.9
        there = found[atoms.pbc] @ np.linalg.pinv(skewed[atoms.pbc])
        np.testing.assert_allclose(there, np.rint(there), atol=1e-8)
        assert volume(found[atoms.pbc]) == pytest.approx(volume(atoms.cell.array[atoms.pbc]))


def test_nearest_images_along_periodic_directions_only():
    cell, pbc = np.array([[3.0, 0, 0], [150.0, 3, 0], [0, 0, 4]]), np.array([True, True, False])
    steps = np.random.default_rng(1).uniform(-40, 40, (50, 3))
    found = nearest_images(steps, cell, pbc)
    whole = steps - found
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-9)
    np.testing.assert_allclose(found[:, 2], steps[:, 2])
    assert np.abs((found @ cell)[:, :2]).max() <= 1.5 + 1e-9


@pytest.mark.parametrize("shear", [0.0, 0.3, 0.9, 3.0, 30.0])
def test_the_quick_test_of_ordinary_cells_agrees_with_the_whole_one(shear):
    rng = np.random.default_rng(7)
    for _ in range(200):
        cell = rng.uniform(0.2, 6.0) * rng.normal(size=(3, 3)) * rng.uniform(0.05, 1.0, size=(3, 1))
        cell[0] += shear * cell[1]
        if is_ordinary(cell):
            along = cell / np.linalg.norm(cell, axis=1)[:, None]
            assert np.linalg.svd(along, compute_uv=False).min() > FLATTEST
            assert heights(cell).min() > MIN_HEIGHT
    assert is_ordinary(np.diag([3.0, 4.0, 5.0]))
    assert not is_ordinary(np.zeros((3, 3)))


def test_a_cell_that_changes_in_place_is_not_shared():
    cell = np.diag([3.0, 4.0, 5.0])
    assert not np.shares_memory(compact_vectors(cell, np.array([True] * 3)), cell)


@pytest.mark.parametrize("k", range(13))
def test_nearest_images_are_the_nearest_however_moderately_a_cell_is_skewed(k):
    """Between 4 and 9 vectors added, rounding in units of the cell was 20 Å off."""
    cell = np.diag([4.0, 4.3, 4.6])
    cell[2] += k * cell[0] - (k // 2) * cell[1]
    moved = np.array([[0.1, -0.2, 0.5], [-1.4, 1.3, 1.9], [1.9, 0.0, -0.4]])
    rng = np.random.default_rng(k)
    there = moved + rng.integers(-3, 4, size=(3, 3)) @ cell
    found = nearest_images(there @ np.linalg.inv(cell), cell) @ cell
    np.testing.assert_allclose(found, moved, atol=1e-9)


@pytest.mark.parametrize("k", [0, 5, 6, 9])
def test_velocities_and_polarization_do_not_depend_on_the_skew(k):
    start = Atoms("BaTiO3", positions=[[0, 0, 0], [2, 2, 2], [2, 2, 0], [2, 0, 2], [0, 2, 2]])
    cell = np.diag([4.0, 4.0, 4.0])
    cell[2] += k * cell[0]
    start.set_cell(cell)
    start.pbc = True
    charges = np.array([2.7, 7.0, -5.5, -2.1, -2.1])[:, None, None] * np.eye(3)
    frames = [start.copy() for _ in range(6)]
    for number, frame in enumerate(frames):
        frame.positions[1, 2] += 0.35 * number
        frame.wrap()
    moving = next(with_velocities(frames, 1.0)).get_velocities()[1] * fs
    np.testing.assert_allclose(moving, [0, 0, 0.35], atol=1e-9)
    change = polarization_change(start, frames[1], charges).change
    expected = 7.0 * 0.35 / 64 * 1602.176634  # µC/cm²
    np.testing.assert_allclose(change, [0, 0, expected], atol=1e-6)
