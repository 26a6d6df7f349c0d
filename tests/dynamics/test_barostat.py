"""Work, polarization and charge carried while the cell changes its shape."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.md.melchionna import MelchionnaNPT
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.nptberendsen import NPTBerendsen
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary

from ase_equivar.dynamics import drive, observe
from ase_equivar.fields.waveforms import SineField

FIELD = SineField([0.05, 0.02, 0.1], frequency=5.0)
CHARGE = 1.1
BAROSTATS = {
    "NPTBerendsen": lambda atoms: NPTBerendsen(
        atoms, units.fs, temperature_K=300, taut=100 * units.fs, pressure_au=0.0,
        taup=100 * units.fs, compressibility_au=3.0,
    ),
    "IsotropicMTKNPT": lambda atoms: IsotropicMTKNPT(
        atoms, units.fs, temperature_K=300, pressure_au=0.0, tdamp=100 * units.fs,
        pdamp=100 * units.fs,
    ),
    "MelchionnaNPT": lambda atoms: MelchionnaNPT(
        atoms, units.fs, temperature_K=300, externalstress=0.0, ttime=50 * units.fs, pfactor=30.0
    ),
}  # fmt: skip


class Salt(Calculator):
    """Each ion on a spring at its fractional site, any image of it, and a spring for the volume."""

    implemented_properties = ("energy", "forces", "stress", "born_effective_charges")

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        cell = self.atoms.cell.array
        fractional = self.atoms.positions @ np.linalg.inv(cell)
        u = (fractional - np.rint(2 * fractional) / 2) @ cell
        sign = np.where(self.atoms.numbers == 11, 1, -1)
        strain = self.atoms.get_volume() / 5.6**3 - 1
        self.results = {
            "energy": 0.5 * (u**2).sum() + 30 * strain**2,
            "forces": -u,
            "stress": 0.3 * strain * np.array([1, 1, 1, 0, 0, 0]),
            "born_effective_charges": CHARGE * sign[:, None, None] * np.eye(3),
        }


def salt(shift):
    atoms = bulk("NaCl", "rocksalt", a=5.8, cubic=True)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(1))
    Stationary(atoms)
    atoms.positions[3] += shift @ atoms.cell.array
    atoms.calc = Salt()
    return atoms


def after(name, shift, steps=100):
    atoms = salt(np.array(shift))
    dyn = BAROSTATS[name](atoms)
    driven = drive(dyn, FIELD, stress_without_field=True)
    dyn.run(steps)
    return atoms, driven


@pytest.mark.parametrize("name", BAROSTATS)
def test_all_is_the_same_for_each_periodic_image_of_an_atom(name):
    atoms, driven = after(name, [0, 0, 0])
    shifted, other = after(name, [1, 0, -2])
    assert abs(atoms.get_volume() / 5.8**3 - 1) > 0.01
    np.testing.assert_allclose(shifted.cell.array, atoms.cell.array, atol=1e-6)
    assert abs(driven.work) > 1e-4
    assert other.work == pytest.approx(driven.work, abs=1e-7)
    np.testing.assert_allclose(other.displacements, driven.displacements, atol=1e-6)
    np.testing.assert_allclose(other.dipole_changes, driven.dipole_changes, atol=1e-6)
    np.testing.assert_allclose(
        observe(other).transported_charge["Na"], observe(driven).transported_charge["Na"], atol=1e-6
    )


def test_atom_that_keeps_its_place_in_a_cell_that_grows_has_not_moved():
    atoms = salt(np.zeros(3))
    dyn = BAROSTATS["NPTBerendsen"](atoms)
    driven = drive(dyn, FIELD, stress_without_field=True)

    def scale():
        atoms.set_cell(1.01 * atoms.cell.array, scale_atoms=True)

    driven._plain_step = scale
    dyn.run(3)
    np.testing.assert_allclose(driven.displacements, 0, atol=1e-12)
    assert abs(driven.work) < 1e-12
    assert atoms.get_volume() > 1.05 * 5.8**3
