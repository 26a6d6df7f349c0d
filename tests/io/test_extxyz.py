"""Results of other calculators, written as they come."""

from __future__ import annotations

import numpy as np
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
