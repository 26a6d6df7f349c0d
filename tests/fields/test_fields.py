"""Forces of a field: the index order, from a toy polarization and from first-principles data."""

import ase.io
import numpy as np
import pytest
from helpers.paths import SIO2

from ase_equivar.fields import field_forces

FIELD = np.array([0.03, -0.11, 0.07])


def toy_polarization(positions: np.ndarray) -> np.ndarray:
    """Ω P in |e|·Å of three atoms: neither linear in the positions nor symmetric in its indices."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = positions
    return np.array(
        [
            2.1 * ax - 1.3 * bx + 0.4 * ay * bz - 0.8 * cx + 0.3 * np.sin(cy),
            1.7 * ay - 0.9 * by + 0.2 * ax**2 - 0.6 * cz * bx - 0.8 * cy,
            2.5 * az - 1.9 * bz + 0.7 * np.cos(ax * cy) - 0.6 * cz + 0.1 * by * cx,
        ]
    )


def derivative(function, positions: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences by each coordinate: shape=(N, 3, *shape of the value)."""
    result = []
    for index in np.ndindex(positions.shape):
        shift = np.zeros_like(positions)
        shift[index] = step
        result.append((function(positions + shift) - function(positions - shift)) / (2 * step))
    return np.array(result).reshape(*positions.shape, *np.shape(result[0]))


def test_forces_are_minus_the_gradient_of_the_field_energy():
    positions = np.random.default_rng(2).normal(size=(3, 3))
    born_charges = derivative(toy_polarization, positions).transpose(0, 2, 1)  # [i, a, b]
    assert np.abs(born_charges - born_charges.transpose(0, 2, 1)).max() > 0.3
    expected = -derivative(lambda r: -FIELD @ toy_polarization(r), positions)
    np.testing.assert_allclose(field_forces(born_charges, FIELD), expected, atol=1e-9)


def test_one_element_by_hand():
    born_charges = np.zeros((2, 3, 3))
    born_charges[1, 0, 2] = 3.0  # polarization along x when atom 1 moves along z
    np.testing.assert_allclose(field_forces(born_charges, [0.5, 7, 7]), [[0, 0, 0], [0, 0, 1.5]])


def test_forces_on_a_neutral_cell_cancel():
    born_charges = np.random.default_rng(3).normal(size=(5, 3, 3))
    born_charges -= born_charges.mean(axis=0)
    np.testing.assert_allclose(field_forces(born_charges, FIELD).sum(axis=0), 0, atol=1e-14)


def test_index_order_agrees_with_the_polarization_of_sio2_from_first_principles():
    # Quantum ESPRESSO: Ω P in |e|·Å, all frames on one branch (no jump by a lattice vector).
    frames = ase.io.read(SIO2, ":")
    charges = np.array([atoms.arrays["born_charges"].reshape(-1, 3, 3) for atoms in frames])
    moments = np.array([atoms.calc.results["polarization"] for atoms in frames])
    fractional = np.array([atoms.get_scaled_positions(wrap=False) for atoms in frames])
    steps = fractional[1:] - fractional[0]
    displacements = (steps - np.rint(steps)) @ frames[0].cell.array
    mean_charges = (charges[1:] + charges[0]) / 2  # the trapezium rule along the path
    change = moments[1:] - moments[0]

    def relative_error(indices: str) -> float:
        predicted = np.einsum(indices, mean_charges, displacements)
        return float(np.linalg.norm(change - predicted) / np.linalg.norm(change))

    assert relative_error("tiab,tib->ta") < 0.03
    assert relative_error("tiba,tib->ta") > 0.10


def test_bad_input_is_named():
    born_charges = np.zeros((2, 3, 3))
    with pytest.raises(ValueError, match=r"field has shape \(2,\); give three numbers"):
        field_forces(born_charges, [1, 2])
    with pytest.raises(ValueError, match="not finite"):
        field_forces(born_charges, [0, 0, np.inf])
    with pytest.raises(ValueError, match=r"born_charges has shape \(2, 9\)"):
        field_forces(born_charges.reshape(2, 9), FIELD)
