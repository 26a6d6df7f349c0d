"""Results of other calculators, written as they come."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.given_charges import triclinic_pair

from ase_equivar.io import read_extxyz, write_extxyz
from ase_equivar.io.structure_files import read_images
from ase_equivar.warning_types import InputWarning


def test_nine_numbers_of_each_atom_are_rows(tmp_path):
    atoms = triclinic_pair()
    charges = np.arange(18.0).reshape(2, 9) - 8.5
    atoms.calc = SinglePointCalculator(atoms, born_effective_charges=charges)
    write_extxyz(tmp_path / "labelled.extxyz", [atoms])
    (read,) = read_images(tmp_path / "labelled.extxyz", ":", None)
    np.testing.assert_allclose(read.arrays["born_charges"], charges, atol=1e-7)


def test_a_second_value_of_a_result_is_named(tmp_path):
    atoms = triclinic_pair()
    charges, forces = np.array([np.eye(3), -np.eye(3)]), np.arange(6.0).reshape(2, 3)
    atoms.calc = SinglePointCalculator(
        atoms, born_effective_charges=charges, forces=forces, energy=-1.0
    )
    atoms.arrays["forces"], atoms.info["energy"] = forces.copy(), -1.0
    write_extxyz(tmp_path / "same.extxyz", [atoms])
    (read,) = read_images(tmp_path / "same.extxyz", ":", None)
    np.testing.assert_allclose(read.calc.results["forces"], forces)
    atoms.info["energy"] = 5.0
    with pytest.raises(ValueError, match=r"structure 0 .* has two values of 'energy'"):
        write_extxyz(tmp_path / "two.extxyz", [atoms])
    assert not (tmp_path / "two.extxyz").exists()


def test_the_name_of_the_file_comes_first(tmp_path):
    with pytest.raises(
        TypeError, match=r"filename is of the type Atoms.* write_extxyz\(filename, images\)"
    ):
        write_extxyz(Atoms("H"), tmp_path / "a.extxyz")


def labelled() -> Atoms:
    atoms = triclinic_pair()
    charges, dielectric = np.array([np.eye(3), -np.eye(3)]), np.diag([2.0, 3.0, 4.0])
    atoms.calc = SinglePointCalculator(
        atoms, born_effective_charges=charges, dielectric_tensor=dielectric
    )
    return atoms


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("info", "comment", ""),
        ("info", "note", "line 1\nline 2"),
        ("info", "Properties", "x"),
        ("info", "Lattice", "x"),
        ("info", "virial", 1.0),
        ("info", "cr", "line 1\r"),
        ("info", "surrogate", "a \udc80"),
        ("arrays", "id", np.array([2**62, 1])),
        ("arrays", "none", np.zeros((2, 0))),
        ("arrays", "q{e", np.ones(2)),
        ("info", "", 1),
        ("info", 3, 1),
        ("arrays", "residuenames", np.array(["", ""])),
        ("arrays", "sites", np.array(["a b", "c"])),
        ("arrays", "Z", np.array([1, 1])),
        ("arrays", "species", np.array([1, 1])),
        ("arrays", "a:b", np.array([1, 1])),
        ("arrays", "a b", np.array([1, 1])),
        ("arrays", "tensors", np.zeros((2, 3, 3))),
        ("arrays", "complex", np.zeros(2, dtype=complex)),
    ],
)
def test_what_would_spoil_the_file_is_left_out_and_named(tmp_path, kind, name, value):
    atoms, path = labelled(), tmp_path / "x.extxyz"
    getattr(atoms, kind)[name] = value
    atoms.info["kept"] = "two words"
    atoms.arrays["sublattices"] = np.array(["A", "B"])
    with pytest.warns(InputWarning, match=rf"{kind}\['{name}'\]"):
        write_extxyz(path, [atoms, labelled()])
    assert name in getattr(atoms, kind)  # the caller's own stays as it was
    first, second = read_extxyz(path)
    for found in (first, second):
        assert list(found.symbols) == list(atoms.symbols)
        np.testing.assert_allclose(found.calc.results["dielectric_tensor"], np.diag([2, 3, 4]))
        np.testing.assert_allclose(found.cell, atoms.cell)
    assert first.info == {"kept": "two words"}
    assert first.arrays["sublattices"].tolist() == ["A", "B"]


def test_ordinary_entries_are_kept_without_a_word(tmp_path, recwarn):
    atoms, path = labelled(), tmp_path / "x.extxyz"
    atoms.info |= {
        "label": "α-quartz, 300 K",
        "number": 3,
        "ok": True,
        "vector": np.arange(3.0),
        "nested": {"a": [1, 2]},
        'with "quotes"': "it's = [1]",
    }
    atoms.arrays |= {"tags": np.array([1, 2]), "mask": np.array([True, False])}
    write_extxyz(path, atoms)
    assert not recwarn.list
    (found,) = read_extxyz(path)
    assert set(found.info) == set(atoms.info)
    assert found.info["label"] == "α-quartz, 300 K"
    assert found.arrays["mask"].tolist() == [True, False]


def test_texts_that_were_read_are_written_again(tmp_path, recwarn):
    atoms = labelled()
    atoms.arrays["site"] = np.array(["A1", "B2"])
    atoms.info |= {"virial": np.eye(3), "next": 5}
    for name in ("first", "second"):
        write_extxyz(tmp_path / f"{name}.extxyz", atoms)
        (atoms,) = read_extxyz(tmp_path / f"{name}.extxyz")
    assert not recwarn.list
    assert atoms.arrays["site"].tolist() == ["A1", "B2"]
    assert atoms.info["next"] == 5


@pytest.mark.parametrize("name", ["born_charges", "born_effective_charges"])
def test_the_same_charges_twice_are_no_prediction(tmp_path, name):
    atoms = labelled()
    charges = atoms.calc.results["born_effective_charges"]
    atoms.arrays["born_charges"] = charges.reshape(2, 9)
    atoms.calc = SinglePointCalculator(atoms, dielectric_tensor=3 * np.eye(3), **{name: charges})
    ase.io.write(tmp_path / "x.extxyz", atoms)
    (found,) = read_extxyz(tmp_path / "x.extxyz")
    np.testing.assert_allclose(found.calc.results["dielectric_tensor"], 3 * np.eye(3))
