"""Results of other calculators, written as they come."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.given_charges import triclinic_pair

from ase_equivar.io import write_extxyz
from ase_equivar.io.structure_files import read_images


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
