"""The example of MD in a field, against the exact motion of charges on springs."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet
from helpers.paths import REPOSITORY
from helpers.toy_network import ToyNetwork

from ase_equivar import EquivarCalculator


class TwoCharges(ToyNetwork):
    """Mg +2 e and O −2 e, the same for every geometry, with one off-diagonal element: Z*_xz."""

    def forward(self, graph):
        tensors = super().forward(graph)
        sign = torch.where(graph.numbers == 12, 2.0, -2.0)[:, None, None]
        tensor = torch.eye(3)
        tensor[0, 2] = 0.5
        tensors.born_charges[:] = sign * tensor
        return tensors


@pytest.fixture
def field_md():
    path = REPOSITORY / "examples/field_md.py"
    spec = importlib.util.spec_from_file_location("field_md", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["field_md"] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["field_md"]


@pytest.mark.slow
def test_motion_and_energy_balance_in_a_field(field_md):
    atoms = bulk("MgO", "rocksalt", a=field_md.LATTICE_CONSTANT, cubic=True)
    springs = HarmonicForceField(atoms.copy(), hessian_x=field_md.SPRING * np.eye(3 * len(atoms)))
    field = np.array([0.04, 0.0, 0.1])
    atoms.calc = EquivarCalculator(HarmonicCalculator(springs), model=TwoCharges())
    start = field_md.separation(atoms)
    dynamics = VelocityVerlet(atoms, timestep=0.25 * units.fs)
    found = field_md.run(atoms, dynamics, steps=200, field=field)
    along_z = 2.0 * (field[2] + 0.5 * field[0])  # Σ_a E_a Z*_az

    def displacement(charge_sign: float, mass: float) -> np.ndarray:
        omega = np.sqrt(field_md.SPRING / mass)
        static = charge_sign * along_z / field_md.SPRING
        return static * (1 - np.cos(omega * found.times * units.fs))

    expected = displacement(1, 24.305) - displacement(-1, 15.999)
    np.testing.assert_allclose(found.separation - start, expected, atol=2e-4)
    assert expected.max() > 0.1
    np.testing.assert_allclose(found.energy - found.energy[0], found.work, atol=2e-4)
    assert found.work.max() > 0.1
