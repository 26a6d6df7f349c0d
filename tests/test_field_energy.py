"""Energy and stress with the part of a static field, of a polar model."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.filters import FrechetCellFilter, UnitCellFilter
from ase.io import read
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_stress
from helpers.elastic_springs import ElasticSprings
from helpers.random_networks import GATED, POLAR, chiral_molecule, make, triclinic

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import piezoelectric

FIELD = np.array([0.02, -0.05, 0.03])  # V/Å
STEP = 2e-5  # Å, or of a strain
NETWORK = make({**POLAR, "interactions": 2})
CALCULATOR = EquivarCalculator(model=NETWORK, dtype="float64")
STIFFNESS = 1.5  # eV/Å³

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.EquivarWarning")


class Elastic(Calculator):
    """Springs to reduced coordinates, and a stiff cell: energy, forces and stress on paper."""

    implemented_properties = ("energy", "free_energy", "forces", "stress", "energies")

    def __init__(self, reference: Atoms) -> None:
        super().__init__()
        self.sites = reference.get_scaled_positions(wrap=False)
        self.cell, self.volume = reference.cell.array.copy(), reference.get_volume()

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        cell = self.atoms.cell.array
        u = self.atoms.positions - self.sites @ cell
        deformation = np.linalg.solve(self.cell, cell).T
        strain = (deformation.T @ deformation - np.eye(3)) / 2
        energy = 4.0 * (u**2).sum() + STIFFNESS * self.volume * (strain**2).sum()
        stress = deformation @ (2 * STIFFNESS * strain) @ deformation.T * self.volume
        stress += 8.0 * u.T @ u
        stress /= self.atoms.get_volume()
        self.results = {
            "energy": float(energy),
            "free_energy": float(energy),
            "energies": np.full(len(u), energy / len(u)),
            "forces": -8.0 * u,
            "stress": stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


def calculator(elastic: Elastic, field: object = FIELD, **settings) -> EquivarCalculator:
    settings = {"polarization_energy": True, **settings}
    return EquivarCalculator(
        elastic, model=NETWORK, dtype="float64", electric_field=field, **settings
    )


def crystal() -> Atoms:
    atoms = triclinic()
    atoms.calc = calculator(Elastic(atoms))
    atoms.rattle(0.05, seed=4)
    return atoms


def slope(atoms: Atoms, atom: int, axis: int) -> float:
    energies = []
    for step in (STEP, -STEP):
        moved = atoms.copy()
        moved.positions[atom, axis] += step
        energies.append(atoms.calc.get_property("energy", moved))
    return (energies[0] - energies[1]) / (2 * STEP)


@pytest.mark.parametrize("make_atoms", [crystal, chiral_molecule])
def test_forces_are_minus_the_gradient(make_atoms) -> None:
    atoms = make_atoms()
    if atoms.calc is None:
        atoms.cell = np.diag([8.0, 9.0, 10.0])  # without periods: for the springs alone
        atoms.calc = calculator(Elastic(atoms))
        atoms.rattle(0.05, seed=4)
    forces = atoms.get_forces().copy()
    plain = atoms.calc.calculator.get_property("forces", atoms)
    for atom, axis in ((0, 0), (2, 1), (5, 2)):
        assert slope(atoms, atom, axis) == pytest.approx(-forces[atom, axis], abs=1e-7)
        assert abs(forces - plain)[atom, axis] > 1e-4
    atoms.calc = EquivarCalculator(
        atoms.calc.calculator, model=NETWORK, dtype="float64", electric_field=FIELD
    )
    assert abs(slope(atoms, 0, 0) + forces[0, 0]) > 1e-4  # the default: energy without field


def test_energy_is_the_part_of_the_field_whatever_was_asked_before() -> None:
    atoms = crystal()
    expected = (
        atoms.calc.calculator.get_property("energy", atoms)
        - FIELD @ atoms.get_property("polarization") * atoms.get_volume() / 16.02176634
    )
    for first in ("forces", "born_charges", "stress", "energy"):
        calc = calculator(Elastic(triclinic()))
        calc.get_property(first, atoms)
        for name in ("energy", "free_energy"):
            assert calc.get_property(name, atoms) == pytest.approx(expected, abs=1e-9)
        together = calculator(Elastic(triclinic()))
        together.calculate(atoms, ["stress", "forces", "energy", "free_energy"])
        assert together.results["energy"] == pytest.approx(expected, abs=1e-9)
        np.testing.assert_array_equal(
            together.results["stress"], calc.get_property("stress", atoms)
        )
    atoms.calc.electric_field = None
    assert atoms.get_potential_energy() == atoms.calc.calculator.get_property("energy", atoms)


def test_stress_is_the_strain_derivative_at_constant_voltage() -> None:
    """E·a_k is held, whichever images of the atoms are given."""
    atoms = crystal()
    elastic = atoms.calc.calculator
    atoms.positions[1] += atoms.cell.array[2]
    elastic.sites[1, 2] += 1
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    plain = voigt_6_to_full_3x3_stress(elastic.get_property("stress", atoms))
    scaled = atoms.get_scaled_positions(wrap=False)
    for b, c in ((0, 0), (1, 2), (0, 1), (2, 2)):
        energies = []
        for step in (STEP, -STEP):
            deformation = np.eye(3)
            deformation[b, c] += step / 2
            deformation[c, b] += step / 2
            cell = atoms.cell.array @ deformation.T
            moved = Atoms(atoms.numbers, cell=cell, positions=scaled @ cell, pbc=True)
            calc = calculator(elastic, np.linalg.solve(deformation.T, FIELD))
            energies.append(calc.get_property("energy", moved))
        found = (energies[0] - energies[1]) / (2 * STEP * atoms.get_volume())
        assert found == pytest.approx(stress[b, c], abs=1e-8)
        assert abs(stress - plain)[b, c] > 1e-6


@pytest.mark.slow
def test_energy_is_conserved() -> None:
    """To 1e-6 eV per atom over 1 ps of constant field; the energy without its part is not."""
    atoms = triclinic()[:3]
    atoms.set_masses([1000.0] * 3)
    atoms.calc = calculator(Elastic(atoms), 0.3 * FIELD)
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    total, without = [], []
    for _ in dyn.irun(200):
        total.append(atoms.get_total_energy())
        plain = atoms.calc.calculator.get_property("energy", atoms)
        without.append(plain + atoms.get_kinetic_energy())
    assert np.ptp(total) < 1e-6 * len(atoms) < 0.01 * np.ptp(without)


def test_strain_in_a_field_is_that_of_the_piezoelectric_tensor() -> None:
    """Converse effect: at zero stress, 2 K ε = E·e with the stiffness K that was put in."""
    atoms = triclinic()
    field = 0.02 * FIELD  # more, and squares of the field are seen
    tensor = CALCULATOR.get_property("piezoelectric_tensor_clamped", atoms) / 16.02176634
    expected = voigt_6_to_full_3x3_stress(field @ tensor) / (2 * STIFFNESS)
    start = atoms.cell.array.copy()
    atoms.calc = calculator(Elastic(atoms), field)
    assert BFGS(UnitCellFilter(atoms), logfile=None).run(fmax=1e-7, steps=300)
    deformation = np.linalg.solve(start, atoms.cell.array).T
    strain = (deformation + deformation.T) / 2 - np.eye(3)
    np.testing.assert_allclose(strain, expected, atol=0.02 * np.abs(expected).max())
    assert np.abs(expected).max() > 5e-6


@pytest.mark.slow
def test_a_free_crystal_of_aluminium_nitride_strains_by_d_times_the_field() -> None:
    """Converse effect with ions that move: both signs, so that squares of the field drop out.

    d comes from Z*, force constants, internal strain and elastic constants without any field.
    """
    atoms = bulk("AlN", "wurtzite", a=3.11, c=4.98, u=0.382)
    springs = ElasticSprings(atoms, 4.0)
    polar = EquivarCalculator(model="universal-polar", dtype="float64")
    made = piezoelectric(atoms, springs, polar, progress=False)
    field = np.array([0.003, 0.0, 0.01])  # V/Å
    strains = []
    for sign in (1, -1):
        free = atoms.copy()
        free.calc = EquivarCalculator(
            springs,
            model="universal-polar",
            dtype="float64",
            electric_field=sign * field,
            polarization_energy=True,
        )
        assert BFGS(FrechetCellFilter(free), logfile=None).run(fmax=1e-5, steps=300)
        deformation = np.linalg.solve(atoms.cell.array, free.cell.array).T
        strains.append((deformation + deformation.T) / 2 - np.eye(3))
    change = (strains[0] - strains[1]) / 2
    engineering = np.array([1, 1, 1, 2, 2, 2])
    found = change[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * engineering
    expected = field @ made.strain_coefficients * 1e-2  # pm/V and V/Å
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
    assert np.abs(expected[[0, 2, 4]]).min() > 0.1 * np.abs(expected).max()
    assert np.abs(found[2] / expected[2] - 1) < 0.02


def test_what_is_refused() -> None:
    atoms = crystal()
    for name in ("energies", "stresses"):
        with pytest.raises(PropertyNotImplementedError):
            atoms.calc.get_property(name, atoms)
    with pytest.raises(ValueError, match=r"polarization_energy: the Z.* of the model Gated"):
        EquivarCalculator(model=make(GATED), polarization_energy=True)
    with pytest.raises(ValueError, match="polarization_energy: that of a charged cell"):
        calculator(Elastic(atoms), total_charge=1)
    with pytest.raises(ValueError, match="set one of them"):
        calculator(Elastic(atoms), stress_without_field=True)
    with pytest.raises(ValueError, match="polarization_energy: the Z"):
        atoms.calc.model = make(GATED)
    with pytest.raises(ValueError, match="polarization_energy: that of a charged cell"):
        atoms.calc.total_charge = 1
    assert (atoms.calc.model, atoms.calc.total_charge) == ("PolarNetwork", 0)
    atoms.pbc = (True, True, False)
    with pytest.raises(PropertyNotImplementedError, match="periodic in three directions"):
        atoms.get_stress()


@pytest.mark.parametrize("first", [None, "energy", "born_charges"])
def test_trajectories_have_the_energy_that_is_at_hand(tmp_path, first) -> None:
    """Those of a dynamics ask for forces, and lacked energies, which AutoNEB reads."""
    atoms = crystal()
    if first:
        atoms.get_property(first)
    VelocityVerlet(atoms, 0.5 * units.fs, trajectory=str(tmp_path / "run.traj")).run(2)
    frames = read(tmp_path / "run.traj", ":")
    assert len(frames) == 3
    for frame in frames:
        alone = frame.copy()
        alone.calc = calculator(Elastic(triclinic()))
        assert frame.get_potential_energy() == pytest.approx(alone.get_potential_energy(), abs=1e-9)
        without = calculator(Elastic(triclinic()), field=None)
        assert abs(frame.get_potential_energy() - without.get_potential_energy(frame)) > 1e-4


def test_an_energy_that_lacks_the_field_is_not_at_hand() -> None:
    atoms = crystal()
    atoms.get_property("born_charges")
    assert {"energy", "energies"}.isdisjoint(atoms.calc.results)
    atoms.get_forces()
    assert "energy" in atoms.calc.results
    assert "energies" not in atoms.calc.results
