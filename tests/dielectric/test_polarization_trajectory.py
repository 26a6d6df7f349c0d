"""P along a trajectory as a difference: equal to the integral of Z*, whatever images are stored."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from helpers.random_networks import GATED, POLAR, make, triclinic
from scipy.spatial.transform import Rotation

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import polarization_change, trajectory_polarization
from ase_equivar.structures.voigt import strain_components

CALCULATOR = EquivarCalculator(model=make({**POLAR, "interactions": 2}), dtype="float64")

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")


def displaced(seed: int) -> Atoms:
    atoms = triclinic()
    atoms.rattle(0.06, seed=seed)
    return atoms


def test_equals_the_integral_whatever_images_and_origins_are_stored() -> None:
    frames = [displaced(seed) for seed in range(3)]
    expected = [polarization_change(frames[0], one, CALCULATOR).change for one in frames[1:]]
    stored = [one.copy() for one in frames]
    stored[1].positions += [0.4, -1.0, 0.2]
    stored[1].wrap()
    stored[2].positions[[0, 4]] -= stored[2].cell.array[2]
    found = trajectory_polarization(iter(stored), CALCULATOR)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(found[1:], expected, atol=1e-3 * np.abs(expected).max())


def test_an_atom_that_goes_to_the_next_cell_has_carried_charge() -> None:
    atoms = triclinic()[[0, 4]]
    frames = []
    for part in (0, 0.25, 0.5, 0.75, 1):
        frames.append(atoms.copy())
        frames[-1].positions[0] += part * atoms.cell.array[1]
        frames[-1].wrap()
    carried = trajectory_polarization(frames, CALCULATOR)[-1]
    quantum = 1602.176634 * atoms.cell.array[1] / atoms.get_volume()
    charge = carried @ quantum / (quantum @ quantum)
    np.testing.assert_allclose(carried, charge * quantum, atol=1e-6)
    far = atoms.copy()
    far.positions[1] = [1.0, 1.2, 0.5] @ atoms.cell.array  # charges do not depend on the place
    moved = [far.copy() for _ in range(4)]
    for n, frame in enumerate(moved):
        frame.positions[0] += n / 3 * atoms.cell.array[1]
    other = trajectory_polarization(moved, CALCULATOR)[-1]
    np.testing.assert_allclose(other, carried, atol=1e-6)


def test_change_with_the_cell_is_that_of_the_proper_tensor() -> None:
    atoms = triclinic()
    strain = 1e-4 * np.array([[1.0, 0.4, -0.3], [0.4, -0.7, 0.2], [-0.3, 0.2, 0.6]])
    end = atoms.copy()
    end.set_cell(atoms.cell.array @ (np.eye(3) + strain).T, scale_atoms=True)
    found = trajectory_polarization([atoms, end], CALCULATOR)[1]
    tensor = CALCULATOR.get_property("piezoelectric_tensor_clamped", atoms)
    expected = 100 * tensor @ strain_components(strain)
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())
    assert np.abs(expected).max() > 1e-6


def test_frames_of_a_crystal_that_turns() -> None:
    """Every frame in its own axes: the change does not depend on how the crystal is turned."""
    frames = [displaced(seed) for seed in range(3)]
    for n, frame in enumerate(frames):
        frame.set_cell(frame.cell.array @ (np.eye(3) + 0.01 * n * np.tri(3)), scale_atoms=True)
    plain = trajectory_polarization(frames, CALCULATOR)
    turns = [
        np.eye(3),
        *Rotation.from_quat(np.random.default_rng(1).normal(size=(2, 4))).as_matrix(),
    ]
    for frame, turn in zip(frames, turns, strict=True):
        frame.set_cell(frame.cell.array @ turn, scale_atoms=True)
    found = trajectory_polarization(frames, CALCULATOR)
    expected = np.einsum("ta,tab->tb", plain, turns)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(plain).max())


def test_what_is_refused() -> None:
    atoms = triclinic()
    with pytest.raises(PropertyNotImplementedError, match="use a neutral cell and a polar model"):
        trajectory_polarization([atoms], EquivarCalculator(model=make(GATED)))
    with pytest.raises(ValueError, match="images contains no frames"):
        trajectory_polarization([], CALCULATOR)
    with pytest.raises(ValueError, match="do not list the same atoms"):
        trajectory_polarization([atoms, atoms[::-1]], CALCULATOR)
    half = atoms.copy()
    half.positions[0] += half.cell.array[0] / 2
    with pytest.raises(ValueError, match="its nearest image is ambiguous"):
        trajectory_polarization([atoms, half], CALCULATOR)
    reversed_vector = atoms.copy()
    reversed_vector.set_cell(atoms.cell.array * [[1], [-1], [1]], scale_atoms=False)
    with pytest.raises(ValueError, match=r"no path connects them\. Choose the vectors"):
        trajectory_polarization([atoms, reversed_vector], CALCULATOR)
    slab = atoms.copy()
    slab.pbc = (True, True, False)
    with pytest.raises(ValueError, match="periodic in three directions"):
        trajectory_polarization([slab], CALCULATOR)
