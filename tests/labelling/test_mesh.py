"""Meshes: the period is kept whatever the cell's shape; the cell's choice changes nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_equivar.labelling.mesh import choose_mesh, compact_cell

CRYSTALS = {
    "fcc": bulk("NaCl", "rocksalt", 5.64),
    "hcp": bulk("Mg", "hcp", a=3.2, c=5.2),
    "bcc": bulk("Na", "bcc", 4.2),
    "triclinic": Atoms("NaCl", [[0, 0, 0], [2, 1, 2]], cell=[3.6, 5.1, 7.7, 81, 97, 112], pbc=True),
}


def shortest_by_force(cell):
    """Of all lattice vectors with coefficients up to 6."""
    steps = np.array([s for s in itertools.product(range(-6, 7), repeat=3) if any(s)])
    return np.linalg.norm(steps @ cell, axis=1).min()


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("period", [7.5, 10.0, 14.0])
def test_period_is_reached_and_no_coarser_mesh_reaches_it(name, period):
    atoms = compact_cell(CRYSTALS[name])
    mesh = choose_mesh(atoms, period)
    assert shortest_by_force(atoms.cell[:] * np.array(mesh.numbers)[:, None]) >= period - 1e-4
    coarser = np.array(mesh.numbers) - 1
    if coarser.min() > 0:
        assert shortest_by_force(atoms.cell[:] * coarser[:, None]) < period


def test_only_axes_across_a_hexagonal_one_stay_centred():
    assert choose_mesh(compact_cell(CRYSTALS["hcp"]), 10).shifts == (0, 0, 1)
    for name in ("fcc", "bcc", "triclinic"):
        assert choose_mesh(compact_cell(CRYSTALS[name]), 10).shifts == (1, 1, 1)


def test_a_skew_cell_becomes_compact_and_stays_the_same_crystal():
    atoms = compact_cell(CRYSTALS["triclinic"])
    skew = atoms.copy()
    skew.set_cell(np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]]) @ atoms.cell[:])
    compact = compact_cell(skew)
    np.testing.assert_allclose(
        sorted(compact.cell.lengths()), sorted(atoms.cell.lengths()), atol=1e-8
    )
    assert compact.cell.handedness == 1
    np.testing.assert_array_equal(compact.positions, skew.positions)
    assert compact.cell.volume == pytest.approx(atoms.cell.volume)
    # each vector of either lattice is a whole number of the other's
    change = compact.cell[:] @ np.linalg.inv(atoms.cell[:])
    np.testing.assert_allclose(change, np.rint(change), atol=1e-8)


def test_a_left_handed_cell_is_turned_right():
    atoms = CRYSTALS["triclinic"].copy()
    atoms.set_cell(atoms.cell[[1, 0, 2]])
    assert atoms.cell.handedness == -1
    assert compact_cell(atoms).cell.handedness == 1
