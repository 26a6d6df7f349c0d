"""Operations of a space group, in a crystal without orthogonal axes and in a rotated one."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal
from scipy.spatial.transform import Rotation

from ase_equivar.structures.symmetry import Operation, space_group, spglib_cell


@pytest.fixture
def quartz() -> Atoms:
    atoms = crystal(
        ("Si", "O"),
        [(0.4697, 0, 1 / 3), (0.4133, 0.2672, 0.2145)],
        spacegroup=152,
        cellpar=[4.913, 4.913, 5.405, 90, 90, 120],
    )
    turned = Rotation.from_euler("xyz", [20, 50, -35], degrees=True).as_matrix()
    atoms.set_cell(atoms.cell.array @ turned.T, scale_atoms=True)
    return atoms


def test_operations_take_a_crystal_into_itself(quartz: Atoms) -> None:
    cell = spglib_cell(quartz)
    group = space_group(cell, 1e-3)
    assert len(group.rotations) == 6
    # not a vector field that any symmetry respects: each atom has its own
    field = np.random.default_rng(0).normal(size=(len(quartz), 3))
    averaged = np.zeros_like(field)
    for rotation, translation in zip(group.rotations, group.translations, strict=True):
        one = Operation.of(cell, rotation, translation)
        np.testing.assert_allclose(one.rotation @ one.rotation.T, np.eye(3), atol=1e-6)
        assert sorted(one.images) == list(range(len(quartz)))
        moved = quartz.positions @ one.rotation.T + translation @ quartz.cell.array
        steps = np.linalg.solve(quartz.cell.array.T, (moved - quartz.positions[one.images]).T)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
        averaged[one.images] += field @ one.rotation.T
    # the mean over the group is respected by all of it, whatever the field was
    for rotation, translation in zip(group.rotations, group.translations, strict=True):
        one = Operation.of(cell, rotation, translation)
        np.testing.assert_allclose(averaged[one.images], averaged @ one.rotation.T, atol=1e-6)
    assert np.abs(averaged).max() > 0.1


def test_an_atom_is_never_taken_to_another_element() -> None:
    """Of two atoms close to where an operation leads, the one of the same element is meant."""
    atoms = Atoms("HeNeHe", [[0.0, 0, 0], [2.0, 0, 0], [2.06, 0, 0]], cell=[4, 5, 6], pbc=True)
    cell = spglib_cell(atoms)
    one = Operation.of(cell, np.eye(3, dtype=int), [0.5, 0, 0])
    assert one.images[0] == 2
