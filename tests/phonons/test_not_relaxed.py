"""What tells that a structure is not in equilibrium, and what kinds of structure have phonons."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from helpers.springs import Springs
from helpers.told_warnings import told

from ase_equivar.phonons import force_constants, make_phonon, relax


class Strained(Calculator):
    """No forces, a given stress (eV/Å³, Voigt's six numbers)."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, stress):
        super().__init__()
        self.stress = stress

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        forces = np.zeros((len(self.atoms), 3))
        self.results = {"energy": 0.0, "forces": forces, "stress": np.array(self.stress)}


def warned(atoms, calc):
    with told() as caught:
        force_constants(atoms, calc, (1, 1, 1), progress=False)
    return " ".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    ("lattice_constant", "kind"), [(3.5, "compression"), (3.7, "tension"), (None, None)]
)
def test_wrong_lattice_constants_are_noticed_though_symmetry_zeroes_the_forces(
    lattice_constant, kind
):
    atoms = bulk("Cu", "fcc", a=lattice_constant or 3.6)
    if lattice_constant is None:
        atoms = relax(atoms, EMT())
    calc = EMT()
    message = warned(atoms, calc)
    if kind is None:
        assert message == ""
        return
    atoms.calc = calc
    assert np.abs(atoms.get_forces()).max() < 1e-9
    pressure = abs(atoms.get_stress()[0]) / units.GPa
    assert f"is under {pressure:.1f} GPa ({kind}): its lattice constants are not" in message


def test_stress_is_told_in_its_principal_directions():
    shear = 1.5 * units.GPa
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    assert "1.5 GPa" in warned(atoms, Strained([0, 0, 0, shear, 0, 0]))
    assert warned(atoms, Strained([0, 0, 0, shear / 2, 0, 0])) == ""
    assert warned(atoms, Strained(np.full(6, np.nan))) == ""
    assert warned(atoms, Springs(atoms, 4.5)) == ""  # which has no stress


def test_sheets_are_told_why_they_have_no_correction():
    sheet = Atoms("BN", [[0, 0, 0], [1.45, 0, 0]], cell=[[2.5, 0, 0], [1.25, 2.17, 0], [0, 0, 9]])
    sheet.pbc = (True, True, False)
    with pytest.raises(ValueError, match=r"omit apply_nac\(\).*no LO–TO splitting at Γ"):
        make_phonon(sheet)
