"""Structures of pymatgen and phonopy are taken, others refused in a line."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.command_line import triclinic_salt
from helpers.given_charges import GivenCharges

from ase_equivar import EquivarCalculator
from ase_equivar.phonons import make_phonon, nac_params, supercell_for_length, write_born
from ase_equivar.phonons.cells import to_phonopy


class Structure:
    """As pymatgen's, which need not be installed: its module and its own conversion."""

    __module__ = "pymatgen.core.structure"

    def to_ase_atoms(self):
        return triclinic_salt()


@pytest.mark.parametrize("make", [Structure, lambda: to_phonopy(triclinic_salt())])
def test_structures_of_others_are_taken(make, model, tmp_path):
    calc = EquivarCalculator(model=model)
    expected = calc.get_property("born_charges", triclinic_salt())
    np.testing.assert_allclose(calc.get_property("born_charges", make()), expected, atol=1e-6)
    np.testing.assert_allclose(calc.predict([make()])[0].born_charges, expected, atol=1e-6)
    assert supercell_for_length(make()) == supercell_for_length(triclinic_salt())
    source = GivenCharges({"Na": 1.0, "Cl": -1.0}, 2.0 * np.eye(3))
    born = nac_params(make_phonon(make()), source)["born"]
    np.testing.assert_allclose(born[:, 0, 0], [1, 1, -1, -1])
    write_born(tmp_path / "BORN", make(), source)


@pytest.mark.parametrize("wrong", [[triclinic_salt()], "NaCl", 3])
def test_others_are_refused_by_name(wrong, model):
    calc = EquivarCalculator(model=model)
    for act in (
        lambda: calc.get_property("born_charges", wrong),
        lambda: calc.predict([wrong]),
        lambda: make_phonon(wrong),
        lambda: supercell_for_length(wrong),
    ):
        with pytest.raises(TypeError, match=r"give an ase.Atoms, a pymatgen Structure or"):
            act()
