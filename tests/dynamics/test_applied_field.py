"""Fields outside of a slab: conditions at its faces, forces of a slab on paper, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE
from helpers.harmonic_runs import ELECTRONIC
from helpers.springs import Springs
from scipy.spatial.transform import Rotation

from ase_equivar.dynamics import drive, restore_checkpoint, save_checkpoint
from ase_equivar.fields import AppliedField, ConstantDisplacement, SineField

OUTSIDE = np.array([0.012, -0.007, 0.02])
NORMAL = np.array([1.0, -2.0, 0.5])


def slab():
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (1, 1, 2)
    atoms.center(vacuum=5.0, axis=2)
    atoms.calc = Springs(atoms, 4.1)
    return atoms


def charges_of(atoms):
    """Z* of no symmetry, that sum to zero."""
    born = np.random.default_rng(5).normal(size=(len(atoms), 3, 3))
    return born - born.mean(axis=0)


@pytest.mark.parametrize("normal", [NORMAL, (0, 0, 3)])
def test_conditions_at_the_faces(normal):
    """E in the plane and D along the normal are the same on both sides."""
    assert np.abs(ELECTRONIC - np.diag(np.diag(ELECTRONIC))).max() > 0.1
    inside = AppliedField(OUTSIDE, normal, ELECTRONIC).inside(OUTSIDE)
    assert np.dot(normal, ELECTRONIC @ inside) == pytest.approx(np.dot(normal, OUTSIDE))
    np.testing.assert_allclose(np.cross(normal, inside), np.cross(normal, OUTSIDE), atol=1e-12)
    assert np.abs(inside - OUTSIDE).max() > 1e-3


def test_it_turns_with_the_slab():
    turn = Rotation.from_quat(np.random.default_rng(3).normal(size=4)).as_matrix()
    turned = AppliedField(turn @ OUTSIDE, turn @ NORMAL, turn @ ELECTRONIC @ turn.T)
    expected = turn @ AppliedField(OUTSIDE, NORMAL, ELECTRONIC).inside(OUTSIDE)
    np.testing.assert_allclose(turned.inside(turn @ OUTSIDE), expected, rtol=1e-9)


def test_force_on_an_ion_is_its_charge_times_the_field_over_the_dielectric_constant():
    atoms, dielectric = slab(), np.diag([2.0, 2.5, 3.1])
    born = charges_of(atoms)
    drive(
        VelocityVerlet(atoms, 1.0 * units.fs),
        AppliedField([0, 0, 0.02], [0, 0, 1], dielectric),
        born_charges=born,
    )
    expected = born[:, 2, :] * 0.02 / 3.1  # springs at rest give none
    np.testing.assert_allclose(atoms.get_forces(), expected, atol=1e-12)


def test_waves_and_restarts(tmp_path):
    atoms = slab()
    born = charges_of(atoms)
    wave = SineField(OUTSIDE, frequency=20.0, phase=0.3)
    field = AppliedField(wave, NORMAL, ELECTRONIC)
    dyn = VelocityVerlet(atoms, 0.5 * units.fs)
    driven = drive(dyn, field, born_charges=born)
    start = atoms.positions.copy()
    dyn.run(7)
    still = slab()
    still.positions[:] = atoms.positions
    added = atoms.get_forces() - still.get_forces()
    inside = field.inside(wave(3.5))
    np.testing.assert_allclose(added, np.einsum("a,iab->ib", inside, born), atol=1e-10)
    assert np.abs(atoms.positions - start).max() > 1e-5
    save_checkpoint(driven, tmp_path / "run.npz")
    dyn.run(5)
    again = VelocityVerlet(slab(), 0.5 * units.fs)
    resumed = drive(again, field, born_charges=born)
    restore_checkpoint(resumed, tmp_path / "run.npz")
    again.run(5)
    np.testing.assert_array_equal(again.atoms.positions, atoms.positions)
    other = drive(
        VelocityVerlet(slab(), 0.5 * units.fs),
        AppliedField(wave, [0, 0, 1], ELECTRONIC),
        born_charges=born,
    )
    with pytest.raises(ValueError, match="field"):
        restore_checkpoint(other, tmp_path / "run.npz")


class WithTensor(Springs):
    implemented_properties = ("energy", "forces", "dielectric_tensor")

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["dielectric_tensor"] = ELECTRONIC


def test_dielectric_tensor_comes_from_the_calculator_or_the_run_is_refused():
    atoms = slab()
    born = charges_of(atoms)
    with pytest.raises(PropertyNotImplementedError,
                       match=r"Springs does not provide 'dielectric_tensor'.*"
                       r"AppliedField\(\.\.\., dielectric_tensor=ε∞\)"):  # fmt: skip
        drive(VelocityVerlet(atoms, 1.0), AppliedField(OUTSIDE, NORMAL), born_charges=born)
    atoms.calc = WithTensor(atoms, 4.1)
    drive(FIRE(atoms, logfile=None), AppliedField(OUTSIDE, NORMAL), born_charges=born)
    inside = AppliedField(OUTSIDE, NORMAL, ELECTRONIC).inside(OUTSIDE)
    expected = np.einsum("a,iab->ib", inside, born)
    np.testing.assert_allclose(atoms.get_forces(), expected, atol=1e-12)


def test_constant_displacement_refuses_vacuum():
    atoms = slab()
    field = ConstantDisplacement(0.0, normal=[0, 0, 1], dielectric_tensor=ELECTRONIC)
    with pytest.raises(ValueError, match=r"Å of vacuum, and a constant D needs .*AppliedField"):
        drive(VelocityVerlet(atoms, 1.0), field, born_charges=charges_of(atoms))
