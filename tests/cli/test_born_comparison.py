"""``born --compare``: predicted Z* beside labels of the same structure, and the verdict."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers.command_line import assert_one_line_error, run, save_random_model, triclinic_salt
from helpers.label_files import LABELS, outcar

from ase_equivar import EquivarCalculator, SumRuleWarning
from ase_equivar.cli.born_comparison import BornComparison

DIELECTRIC = np.array([[2.5, 0.1, 0.0], [0.1, 2.6, 0.2], [0.0, 0.2, 2.7]])


@pytest.fixture(scope="module")
def salt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, np.ndarray]:
    """Return a file with a crystal, a model, and what the model predicts for it."""
    folder = tmp_path_factory.mktemp("salt")
    atoms = triclinic_salt()
    atoms.write(folder / "salt.extxyz")
    model = save_random_model(folder / "model", anisotropy=(60000.0, 60.0))
    with warnings.catch_warnings(action="ignore", category=SumRuleWarning):  # random weights
        charges = EquivarCalculator(model=model).get_property("born_charges", atoms)
    assert np.abs(charges - charges.transpose(0, 2, 1)).max() > 0.1 * np.abs(charges).max()
    return folder / "salt.extxyz", model, charges


def test_differences_are_those_of_the_same_atoms(
    tmp_path: Path, salt: tuple[Path, str, np.ndarray]
) -> None:
    """Labels of a file with the atoms in another order, some of them in the next cell."""
    file, model, charges = salt
    atoms = ase.io.read(file)
    rng = np.random.default_rng(3)
    differences = rng.normal(size=charges.shape) * 0.02
    differences -= differences.mean(axis=0)
    labels = charges - differences
    other = atoms.copy()
    other.set_array("zstar", labels.reshape(-1, 9))
    other = other[rng.permutation(len(other))]
    other.positions[0] += other.cell[1] - 2 * other.cell[2]
    other.info["electronic_dielectric_tensor"] = DIELECTRIC
    strained = other.copy()
    strained.set_cell(1.01 * strained.cell.array, scale_atoms=True)
    ase.io.write(tmp_path / "labels.extxyz", [strained, other])
    options = ("--compare", tmp_path / "labels.extxyz", "--born-charges", "zstar")
    path = tmp_path / "x.json"
    result = run("born", file, "--model", model, *options, "--output", path)
    assert result.exit_code == 0, result.output
    content = json.loads(path.read_text())
    found = content["labels"]
    assert found["frame"] == 1
    np.testing.assert_allclose(found["born_charges"], labels, atol=1e-6)
    np.testing.assert_allclose(found["differences"], differences, atol=1e-6)
    rms = float(np.sqrt((differences**2).mean()))
    assert found["rms_difference"] == pytest.approx(rms, rel=1e-4)
    table = result.output.split("predicted − label (|e|)")[1]
    row = next(line.split() for line in table.splitlines() if line.split()[:1] == ["2"])
    np.testing.assert_allclose([float(x) for x in row[2:11]], differences[2].ravel(), atol=6e-4)
    assert "ε∞: predicted − label" in table
    assert f"rms difference {rms:.3f} e; the model states no uncertainty" in table
    assert "transpose" not in table


def test_labels_are_those_of_the_frame_that_is_named(
    tmp_path: Path, salt: tuple[Path, str, np.ndarray]
) -> None:
    """Frames of one structure, one without labels, two with different ones, as of two meshes."""
    file, model, charges = salt
    images = []
    for factor in (np.nan, 0.5, 1.0, 1.0):
        atoms = ase.io.read(file)
        atoms.set_array("born_charges", (factor * charges).reshape(-1, 9))
        images.append(atoms)
    images[3].positions[0, 0] += 0.002
    labels, path = tmp_path / "labels.extxyz", tmp_path / "x.json"
    ase.io.write(labels, images)

    def compared(structure: Path, file: str, *options: str) -> dict:
        options = ("--model", model, "--compare", file, "--output", str(path), *options)
        result = run("born", structure, *options)
        assert result.exit_code == 0, result.output
        return json.loads(path.read_text())["labels"]

    for number, factor in ((1, 0.5), (2, 1.0)):
        found = compared(file, f"{labels}@{number}")
        assert found["frame"] == number
        np.testing.assert_allclose(found["born_charges"], factor * charges, atol=1e-6)
    # the file itself: its last structure, whose labels are those beside it
    ase.io.write(tmp_path / "two.extxyz", images[1:3])
    found = compared(tmp_path / "two.extxyz", str(tmp_path / "two.extxyz"))
    assert found["frame"] == 1
    np.testing.assert_allclose(found["born_charges"], charges, atol=1e-6)
    # the nearest of several within the tolerance
    assert compared(labels, str(labels), "--index", "3")["frame"] == 3
    told = r"labels.extxyz has other labels for the same structure in frame 2 than in frame 1: name"
    command = ("born", file, "--model", model, "--compare", labels)
    assert_one_line_error(run(*command), 2, told)


def test_labels_in_the_other_order_are_noticed(
    tmp_path: Path, salt: tuple[Path, str, np.ndarray]
) -> None:
    file, model, charges = salt
    atoms = ase.io.read(file)
    atoms.set_array("born_charges", charges.transpose(0, 2, 1).reshape(-1, 9))
    ase.io.write(tmp_path / "labels.extxyz", atoms)
    options = ("--model", model, "--compare", tmp_path / "labels.extxyz")
    output = " ".join(run("born", file, *options).output.split())
    assert "in the transpose of the labels is much closer: is the order of their indices" in output
    output = run("born", file, *options, "--order", "displacement-first").output
    assert "transpose" not in output
    assert "rms difference 0.000 e" in output


def test_an_error_of_the_model_does_not_hide_the_other_order() -> None:
    """The symmetric error is the same in both orders, and may be the larger part."""
    rng = np.random.default_rng(4)
    random = rng.normal(size=(5, 3, 3))
    right = 2 * np.eye(3) + 0.1 * (random - random.transpose(0, 2, 1))
    error = 0.3 * (random + random.transpose(0, 2, 1))
    other = right.transpose(0, 2, 1)
    numbers = np.array([1, 3, 8, 9, 11])
    found = BornComparison(other, right + error - other, np.ones(5), None, 0, numbers)
    assert found.is_transposed
    assert "order of their indices" in found.verdict()
    found = BornComparison(right, error, np.ones(5), None, 0, numbers)
    assert not found.is_transposed
    assert not found.is_permuted
    # what is nearly symmetric says nothing of the order
    small = 0.01 * (random - random.transpose(0, 2, 1))
    assert not BornComparison(-small, 2 * small, np.ones(5), None, 0, numbers).is_transposed


def test_labels_of_exchanged_atoms_are_noticed() -> None:
    rng = np.random.default_rng(5)
    labels = rng.normal(size=(5, 3, 3))
    predicted = labels + 0.1 * rng.normal(size=labels.shape)
    numbers = np.array([8, 14, 8, 14, 8])
    order = [2, 1, 4, 3, 0]  # oxygen only
    found = BornComparison(labels[order], predicted - labels[order], None, None, 0, numbers)
    assert found.is_permuted
    assert "is their order of atoms another?" in found.verdict()
    assert not BornComparison(labels, predicted - labels, None, None, 0, numbers).is_permuted
    order = [1, 0, 2, 3, 4]  # atoms of different elements cannot be taken for each other
    found = BornComparison(labels[order], predicted - labels[order], None, None, 0, numbers)
    assert not found.is_permuted


def test_labels_of_a_charged_cell_sum_to_its_charge(
    tmp_path: Path, salt: tuple[Path, str, np.ndarray]
) -> None:
    file, model, charges = salt
    labelled = ase.io.read(file)
    labelled.set_array("born_charges", (charges + np.eye(3) / len(charges)).reshape(-1, 9))
    labelled.write(tmp_path / "labels.extxyz")
    options = ("--model", model, "--compare", tmp_path / "labels.extxyz", "--total-charge", 1)
    output = " ".join(run("born", file, *options).output.split())
    assert "The labels themselves break the sum rule by 0.0000 e per atom" in output


def test_labels_that_break_the_sum_rule_are_compared_and_told(
    tmp_path: Path, salt: tuple[Path, str, np.ndarray]
) -> None:
    """As in a large cell, where a small violation of each atom adds up."""
    file, model, charges = salt
    labelled = ase.io.read(file)
    labelled.set_array("born_charges", (charges + 2.0 / len(charges)).reshape(-1, 9))
    labelled.write(tmp_path / "labels.extxyz")
    result = run("born", file, "--model", model, "--compare", tmp_path / "labels.extxyz")
    assert result.exit_code == 0, result.output
    told = f"The labels themselves break the sum rule by {2.0 / len(charges):.4f} e per atom"
    assert told in " ".join(result.output.split())


def test_other_structures_are_refused(tmp_path: Path, salt: tuple[Path, str, np.ndarray]) -> None:
    file, model, charges = salt
    atoms = ase.io.read(file)
    atoms.positions[1, 2] += 0.05
    (tmp_path / "OUTCAR").write_text(outcar(atoms, charges, DIELECTRIC))
    options = ("--model", model, "--compare", tmp_path / "OUTCAR")
    told = r"with labels in .*OUTCAR is another .*atoms are displaced by up to 0.050 Å"
    assert_one_line_error(run("born", file, *options), 2, told)
    atoms.positions[1, 2] -= 0.05
    atoms.cell[0, 0] += 0.02
    (tmp_path / "OUTCAR").write_text(outcar(atoms, charges, DIELECTRIC))
    told = "cell vectors differ by up to 0.020 Å"
    assert_one_line_error(run("born", file, *options), 2, told)
    castep = LABELS / "Na2S2O8.castep"
    told = "it has other atoms: "
    assert_one_line_error(run("born", file, "--model", model, "--compare", castep), 2, told)
    alone = run("born", file, "--model", model, "--order", "displacement-first")
    assert_one_line_error(alone, 2, "they go with --compare")
    missing = run("born", file, "--model", model, "--compare", tmp_path / "none")
    assert_one_line_error(missing, 2, "no file .*none")


def test_a_file_that_ase_cannot_read_gives_its_own_structure(tmp_path: Path) -> None:
    """With the real model, whose Z* have the order of CASTEP's, read as what they are."""
    castep = LABELS / "Na2S2O8.castep"
    path = tmp_path / "x.json"
    result = run("born", castep, "--compare", castep, "--output", path)
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())["labels"]
    predicted = np.array(json.loads(path.read_text())["born_charges"])
    labels = np.array(found["born_charges"])
    transposed = np.sqrt(((predicted - labels.transpose(0, 2, 1)) ** 2).mean())
    assert found["rms_difference"] < transposed
    assert found["expected_rms"] > 0
    assert "expected error of the model" in " ".join(result.output.split())


def test_a_file_without_structures_for_ase_is_told_so() -> None:
    path = LABELS / "LiH_triclinic_anaddb.out"
    assert_one_line_error(run("born", path), 2, "ASE cannot read .*anaddb.out as abinit-out: .*")


def test_verdict() -> None:
    labels = np.random.default_rng(1).normal(size=(4, 3, 3))
    labels -= labels.mean(axis=0)
    differences = np.full((4, 3, 3), 0.03)
    numbers = np.array([8, 14, 8, 14])
    found = BornComparison(labels, differences, np.full(4, 0.02), None, 0, numbers).verdict()
    assert "rms difference 0.030 e, within the expected error of the model: 1.5 times" in found
    differences[2] = 0.09
    found = BornComparison(labels, differences, np.full(4, 0.02), None, 0, numbers).verdict()
    assert "rms difference 0.052 e, NOT within the expected error of the model: 2.6" in found
    assert "more than 3 times for atoms 2." in found
    labels[0, 0, 1] += 0.4
    found = BornComparison(labels, differences, None, None, 0, numbers).verdict()
    assert "states no uncertainty" in found
    assert "break the sum rule by 0.1000 e per atom" in found
