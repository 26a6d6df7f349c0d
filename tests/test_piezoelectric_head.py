"""The clamped-ion piezoelectric tensor that `universal` predicts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation

from ase_equivar import EquivarCalculator
from ase_equivar.inference.model_files import PIEZOELECTRIC_FILE, model_digest, model_folder
from ase_equivar.inference.models import load_model, save_model
from ase_equivar.inference.tensor_files import WEIGHTS_DIGEST
from ase_equivar.network.piezoelectric_head import PiezoelectricHead

NAME = "piezoelectric_tensor_clamped"
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
CALCULATOR = EquivarCalculator(dtype="float64")

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")


def value(atoms: Atoms) -> NDArray[np.float64]:
    return np.array(CALCULATOR.get_property(NAME, atoms))


def full(atoms: Atoms) -> NDArray[np.float64]:
    tensor, flat = np.zeros((3, 3, 3)), value(atoms)
    for column, (b, c) in enumerate(VOIGT):
        tensor[:, b, c] = tensor[:, c, b] = flat[:, column]
    return tensor


def low_symmetry() -> Atoms:
    """A triclinic crystal of five atoms without any symmetry."""
    cell = [[4.1, 0.2, -0.3], [0.6, 4.6, 0.1], [-0.5, 0.9, 5.2]]
    places = [[0, 0, 0], [0.48, 0.53, 0.1], [0.1, 0.45, 0.52], [0.55, 0.05, 0.47], [0.9, 0.9, 0.62]]
    return Atoms("GaZnO2F", scaled_positions=places, cell=cell, pbc=True)


def turned(atoms: Atoms, rotation: NDArray[np.float64]) -> Atoms:
    other = atoms.copy()
    other.set_cell(atoms.cell.array @ rotation.T)
    other.positions = atoms.positions @ rotation.T
    return other


@pytest.mark.parametrize("sign", [1, -1], ids=["rotated", "and inverted"])
def test_it_turns_with_the_crystal(sign: int) -> None:
    atoms = low_symmetry()
    rotation = sign * Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix()
    tensor = full(atoms)
    assert (np.abs(tensor) > 1e-4).all(), "every component must be tested"
    expected = np.einsum("ai,bj,ck,ijk->abc", rotation, rotation, rotation, tensor)
    scale = np.abs(tensor).max()
    np.testing.assert_allclose(full(turned(atoms, rotation)), expected, atol=1e-9 * scale)


def test_it_is_intensive_and_depends_on_no_choice() -> None:
    atoms, tensor = low_symmetry(), value(low_symmetry())
    moved = atoms[[3, 1, 0, 4, 2]]
    moved.translate([1.3, -0.4, 7.7])
    moved.wrap()
    np.testing.assert_allclose(value(moved), tensor, atol=1e-9)
    np.testing.assert_allclose(value(atoms * (2, 1, 3)), tensor, atol=1e-9)


@pytest.mark.slow
def test_18_components_are_possible() -> None:
    """Random strains leave no combination of components always zero."""
    random, found = np.random.default_rng(3), []
    for _ in range(24):
        atoms = low_symmetry()
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * random.normal(size=(3, 3))), True)
        atoms.rattle(0.1, seed=int(random.integers(1000)))
        found.append(value(atoms).ravel())
    values = np.linalg.svd(np.array(found), compute_uv=False)
    assert values[17] > 1e-4 * values[0]


@pytest.mark.parametrize(
    "atoms",
    [bulk("NaCl", "rocksalt", a=5.6), bulk("Si"), bulk("CsCl", "cesiumchloride", a=4.1)],
    ids=["NaCl", "Si", "CsCl"],
)
def test_zero_with_an_inversion_center(atoms: Atoms) -> None:
    np.testing.assert_allclose(value(atoms), 0, atol=1e-12)


def test_zero_with_an_inversion_center_at_no_atom() -> None:
    half = low_symmetry()
    image = half.copy()
    image.set_scaled_positions(0.66 - half.get_scaled_positions())
    cell = np.diag([9.0, 9.0, 11.0])
    atoms = Atoms(half, cell=cell, pbc=True) + Atoms(image, cell=cell, pbc=True)
    atoms.positions[5:] = np.array([1.0, 7.0, 8.0]) - atoms.positions[:5]
    np.testing.assert_allclose(value(atoms), 0, atol=1e-12)


def test_pattern_of_zincblende_and_wurtzite() -> None:
    cubic = value(bulk("ZnS", "zincblende", a=5.41))
    allowed = np.zeros((3, 6))
    allowed[[0, 1, 2], [3, 4, 5]] = cubic[0, 3]
    np.testing.assert_allclose(cubic, allowed, atol=1e-9)
    assert abs(cubic[0, 3]) > 0.05
    hexagonal = value(bulk("GaN", "wurtzite", a=3.19, c=5.19))
    e31, e33, e15 = hexagonal[2, 0], hexagonal[2, 2], hexagonal[0, 4]
    allowed = np.zeros((3, 6))
    allowed[2, :3] = e31, e31, e33
    allowed[[0, 1], [4, 3]] = e15
    np.testing.assert_allclose(hexagonal, allowed, atol=1e-8)
    assert np.sign(e31) == np.sign(e15) == -np.sign(e33)  # as in DFT


def test_sign_and_size_of_gallium_nitride() -> None:
    """The label, e33 −1.01, e31 +0.50, e15 +0.55 C/m², was not trained on."""
    atoms = bulk("GaN", "wurtzite", a=3.22, c=5.24, u=0.377)
    tensor = value(atoms)
    pairs = [
        atoms.get_distance(i, j, mic=True, vector=True)
        for i in range(4)
        for j in range(4)
        if (atoms.symbols[i], atoms.symbols[j]) == ("Ga", "N")
    ]
    bond = next(one for one in pairs if np.hypot(one[0], one[1]) < 0.01)
    sense = np.sign(bond[2])  # +z of the label points from the cation to the anion
    assert sense * tensor[2, 2] == pytest.approx(-1.01, abs=0.2)
    assert sense * tensor[2, 0] == pytest.approx(0.50, abs=0.15)
    assert sense * tensor[0, 4] == pytest.approx(0.55, abs=0.15)


def test_who_gives_it() -> None:
    assert NAME in CALCULATOR.implemented_properties
    assert "polarization" not in CALCULATOR.implemented_properties
    charged = EquivarCalculator(total_charge=1.0)
    assert NAME not in charged.implemented_properties
    with pytest.raises(PropertyNotImplementedError, match="total_charge must be 0"):
        charged.get_property(NAME, low_symmetry())
    slab = low_symmetry()
    slab.pbc = [True, True, False]
    with pytest.raises(PropertyNotImplementedError, match="three directions"):
        CALCULATOR.get_property(NAME, slab)
    network = load_model("universal")
    assert NAME not in EquivarCalculator(model=network).implemented_properties


def test_it_is_calculated_only_when_asked_for() -> None:
    atoms = low_symmetry()
    calc = EquivarCalculator()
    calc.get_property("born_charges", atoms)
    assert NAME not in calc.results
    assert calc.get_property(NAME, atoms).shape == (3, 6)
    np.testing.assert_allclose(calc.results[NAME], value(atoms), atol=1e-4)


def test_the_file_belongs_to_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder("universal"), folder)
    path, before = folder / PIEZOELECTRIC_FILE, model_digest(folder)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    save_file(state, path, {WEIGHTS_DIGEST: "0" * 16})
    assert model_digest(folder) != before
    with pytest.raises(ValueError, match="other weights"):
        EquivarCalculator(model=folder)
    state["mix.weights.0"] = state["mix.weights.0"] * np.nan
    save_file(state, path, metadata)
    with pytest.raises(ValueError, match="not finite"):
        EquivarCalculator(model=folder)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="damaged"):
        EquivarCalculator(model=folder)
    save_model(load_model("universal"), folder)
    assert not path.exists()


def test_only_even_last_features_are_taken() -> None:
    """A polar network has vectors there, and a tensor of its own."""
    with pytest.raises(ValueError, match="even"):
        PiezoelectricHead(load_model("universal-polar"))  # type: ignore[arg-type]
