"""P of a polar model as a property: its derivatives are Z* and the clamped-ion tensor."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from helpers.random_networks import GATED, POLAR, chiral_molecule, make, triclinic
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_equivar import EquivarCalculator
from ase_equivar.units import C_PER_M2

ROTATION = Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix()
STEP = 1e-4  # Å, or of a strain
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
NETWORK = make({**POLAR, "interactions": 2})
CALCULATOR = EquivarCalculator(model=NETWORK, dtype="float64")

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")


def value(name: str, atoms: Atoms) -> NDArray[np.float64]:
    return np.array(CALCULATOR.get_property(name, atoms))


def dipole(atoms: Atoms) -> NDArray[np.float64]:
    """Ω P in e·Å, which is what Z* are the derivative of."""
    return value("polarization", atoms) * atoms.get_volume() * C_PER_M2


def strained(atoms: Atoms, strain: NDArray[np.float64]) -> Atoms:
    other = atoms.copy()
    other.set_cell(atoms.cell.array @ (np.eye(3) + strain).T, scale_atoms=True)
    return other


def rotated(atoms: Atoms, rotation: NDArray[np.float64]) -> Atoms:
    other = atoms.copy()
    other.set_cell(atoms.cell.array @ rotation.T)
    other.positions = atoms.positions @ rotation.T
    return other


def along(pair: tuple[int, int]) -> NDArray[np.float64]:
    """The strain of one Voigt component, 1: ε_yz = ε_zy = 1/2 for yz."""
    strain = np.zeros((3, 3))
    strain[pair] += 0.5
    strain[pair[::-1]] += 0.5
    return strain


def test_born_charges_are_its_derivative() -> None:
    atoms = triclinic()
    born = value("born_charges", atoms)
    for atom, axis in ((0, 1), (3, 0), (5, 2)):
        ahead, behind = atoms.copy(), atoms.copy()
        ahead.positions[atom, axis] += STEP
        behind.positions[atom, axis] -= STEP
        slope = (dipole(ahead) - dipole(behind)) / (2 * STEP)
        np.testing.assert_allclose(slope, born[atom, :, axis], atol=1e-6 * np.abs(born).max())


def test_unit_is_coulomb_per_square_meter() -> None:
    """By the charges alone: two ions beyond the cutoff of each other, in a large cell."""
    network = make(POLAR)
    atoms = Atoms("MgO", [[0, 0, 0], [0, 0, 9.0]], cell=[18, 18, 18], pbc=True)
    calc = EquivarCalculator(model=network, dtype="float64")
    charge = calc.get_property("born_charges", atoms)[1, 2, 2]
    expected = charge * 1.602176634e-19 * 9e-10 / (18e-10) ** 3
    found = calc.get_property("polarization", atoms)
    np.testing.assert_allclose(found, [0, 0, expected], atol=1e-9 * abs(expected))
    assert abs(charge) > 0.1


def test_in_what_sense_it_has_one_value() -> None:
    """No origin, no order, no size of the cell; periodic images count."""
    atoms = triclinic()
    p = value("polarization", atoms)
    moved = atoms.copy()
    moved.translate([1.3, -0.4, 7.7])
    np.testing.assert_allclose(value("polarization", moved), p, atol=1e-9)
    np.testing.assert_allclose(value("polarization", atoms[[3, 1, 0, 2, 5, 4]]), p, atol=1e-9)
    large = atoms * (7, 7, 7)  # so many atoms that the graph sorts them
    np.testing.assert_allclose(value("polarization", large), p, atol=1e-8)
    np.testing.assert_allclose(
        value("piezoelectric_tensor_clamped", large),
        value("piezoelectric_tensor_clamped", atoms),
        atol=1e-8,
    )
    charges = []
    for shift in ([1, 0, 0], [0, -1, 2]):
        image = atoms.copy()
        image.positions[2] += shift @ atoms.cell.array
        change = dipole(image) - dipole(atoms)
        vector = shift @ atoms.cell.array
        charges.append(change @ vector / (vector @ vector))
        np.testing.assert_allclose(change, charges[-1] * vector, atol=1e-9)
    assert charges[0] == pytest.approx(charges[1]) != pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("rotation", [ROTATION, -ROTATION], ids=["rotated", "and inverted"])
def test_it_turns_with_the_crystal(rotation: NDArray[np.float64]) -> None:
    atoms = triclinic()
    other = rotated(atoms, rotation)
    np.testing.assert_allclose(
        value("polarization", other), rotation @ value("polarization", atoms), atol=1e-9
    )

    def tensor(of: Atoms) -> NDArray[np.float64]:
        flat = value("piezoelectric_tensor_clamped", of)
        full = np.zeros((3, 3, 3))
        for column, (b, c) in enumerate(VOIGT):
            full[:, b, c] = full[:, c, b] = flat[:, column]
        return full

    expected = np.einsum("ai,bj,ck,ijk->abc", rotation, rotation, rotation, tensor(atoms))
    np.testing.assert_allclose(tensor(other), expected, atol=1e-9)
    assert np.abs(expected).min() > 1e-4


def test_zero_with_inversion() -> None:
    """P of images that lie around a center; the tensor of any."""
    half = triclinic()
    half.positions += [1.0, 0.3, 2.2]
    atoms = half + Atoms(half.symbols, -half.positions)
    atoms.set_cell([[9.6, 0.4, 0.1], [0, 11.4, 0.3], [-0.2, 0, 12.5]])
    np.testing.assert_allclose(value("polarization", atoms), 0, atol=1e-7)
    atoms.positions[3] += atoms.cell.array[1]
    assert np.abs(value("polarization", atoms)).max() > 1e-3
    np.testing.assert_allclose(value("piezoelectric_tensor_clamped", atoms), 0, atol=1e-7)


def test_tensor_is_the_proper_strain_derivative() -> None:
    """By finite differences, whichever images are given."""
    atoms = triclinic()
    found = value("piezoelectric_tensor_clamped", atoms)
    atoms.positions[1] += atoms.cell.array[2]
    p = value("polarization", atoms)
    for column, pair in enumerate(VOIGT):
        strain = along(pair)
        ahead = value("polarization", strained(atoms, STEP * strain))
        behind = value("polarization", strained(atoms, -STEP * strain))
        improper = (ahead - behind) / (2 * STEP)
        proper = improper + np.trace(strain) * p - strain @ p
        np.testing.assert_allclose(proper, found[:, column], atol=1e-6 * np.abs(found).max())
        assert np.abs(improper - found[:, column]).max() > 1e-3 * np.abs(found).max()


def test_dipole_of_a_molecule() -> None:
    atoms = chiral_molecule()
    calc = EquivarCalculator(model=make(POLAR), dtype="float64")
    born, mu = (calc.get_property(name, atoms).copy() for name in ("born_charges", "dipole"))
    ahead, behind = atoms.copy(), atoms.copy()
    ahead.positions[1, 0] += STEP
    behind.positions[1, 0] -= STEP
    change = calc.get_property("dipole", ahead) - calc.get_property("dipole", behind)
    np.testing.assert_allclose(change / (2 * STEP), born[1, :, 0], atol=1e-6 * np.abs(born).max())
    turned = atoms.copy()
    turned.positions = atoms.positions @ ROTATION.T + [3, 1, 4]
    np.testing.assert_allclose(calc.get_property("dipole", turned), ROTATION @ mu, atol=1e-9)
    with pytest.raises(PropertyNotImplementedError, match="'dipole' that of molecules"):
        calc.get_property("dipole", triclinic())
    with pytest.raises(PropertyNotImplementedError, match="'polarization' is that of cells"):
        calc.get_property("polarization", atoms)


def test_who_has_none_says_so() -> None:
    other = EquivarCalculator(model=make(GATED))
    for name in ("polarization", "dipole", "piezoelectric_tensor_clamped"):
        with pytest.raises(PropertyNotImplementedError, match=f"'{name}': the Z.* 'universal-pol"):
            other.get_property(name, triclinic())
    charged = EquivarCalculator(model=NETWORK, dtype="float64", total_charge=1)
    assert "polarization" not in charged.implemented_properties
    with pytest.raises(PropertyNotImplementedError, match="total_charge must be 0"):
        charged.get_property("polarization", triclinic())
    charged.total_charge = 0
    assert charged.get_property("polarization", triclinic()).shape == (3,)


@pytest.mark.parametrize("name", ["a.traj", "a.json", "a.xyz"])
def test_files_of_ase_keep_it(tmp_path, name: str) -> None:
    atoms = triclinic()
    atoms.calc = CALCULATOR
    tensor = atoms.get_property("piezoelectric_tensor_clamped").copy()
    ase.io.write(tmp_path / name, atoms)
    found = ase.io.read(tmp_path / name)
    results = found.calc.results
    np.testing.assert_allclose(results["piezoelectric_tensor_clamped"], tensor, atol=1e-7)
    np.testing.assert_allclose(
        results["polarization"], atoms.get_property("polarization"), atol=1e-7
    )
