"""Force constants and relaxed cells; what is refused before any force is calculated."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.mixing import SumCalculator
from ase.md.verlet import VelocityVerlet
from helpers.elastic_springs import ElasticSprings
from helpers.given_charges import NACL_BORN, NACL_DIELECTRIC, quartz, triclinic_pair
from helpers.springs import Springs
from helpers.toy_network import ToyNetwork

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import polarization_change
from ase_equivar.dynamics import drive
from ase_equivar.fields import StepField
from ase_equivar.phonons import (
    apply_nac,
    bands,
    force_constants,
    lo_to_splitting,
    make_phonon,
    relax,
    supercell_for_length,
)


def test_force_constants_first():
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64))
    for act in (lambda: apply_nac(phonon, (NACL_BORN, NACL_DIELECTRIC)), lambda: bands(phonon)):
        with pytest.raises(ValueError, match="no force constants"):
            act()


def test_field_is_refused():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    calc = Springs(atoms, 3.0)
    calc.electric_field = np.zeros(3)
    force_constants(atoms, calc, (1, 1, 1), progress=False)
    calc.electric_field = np.array([0, 0, 0.05])
    for act in (lambda: force_constants(atoms, calc, (1, 1, 1)), lambda: relax(atoms, calc)):
        with pytest.raises(ValueError, match="electric field on"):
            act()


def test_a_class_is_no_calculator():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    for act in (
        lambda: force_constants(atoms, EquivarCalculator, (1, 1, 1)),
        lambda: relax(atoms, EMT),
        lambda: EquivarCalculator(EMT),
        lambda: polarization_change(atoms, atoms, EquivarCalculator),
    ):
        with pytest.raises(TypeError, match=r"is the class \w+; give an object: \w+\(…\)"):
            act()


@pytest.mark.parametrize("supercell", [(2, 2), (0, 1, 1), (1.5, 1, 1), -np.eye(3)])
def test_impossible_supercell(supercell):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    with pytest.raises(ValueError, match="supercell"):
        force_constants(atoms, Springs(atoms, 3.0), supercell)


def test_structures_without_phonons():
    with pytest.raises(ValueError, match="no atoms"):
        make_phonon(Atoms(cell=np.eye(3), pbc=True))
    with pytest.raises(ValueError, match="periodic in three directions"):
        make_phonon(Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 2.4]], cell=np.eye(3) * 9))


def test_residual_forces_are_warned_about_and_drop_out():
    """A crystal out of equilibrium warns, but its forces do not leak into force constants."""
    atoms = triclinic_pair()
    springs = Springs(atoms, 5.0)
    moved = atoms.copy()
    moved.positions[1] += [0.02, -0.01, 0.015]
    with pytest.warns(UserWarning, match=r"feels .* eV/Å: it is not relaxed"):
        phonon = force_constants(moved, springs, (2, 2, 2), progress=False)

    step = 1e-4
    numeric = np.zeros((3, 3))
    for b in range(3):
        forces = []
        for sign in (1, -1):
            probe = moved.copy()
            probe.positions[1, b] += sign * step
            forces.append(springs.get_forces(probe)[1])
        numeric[:, b] = -(forces[0] - forces[1]) / (2 * step)
    images = phonon.supercell.numbers == 35  # Br: one per unit cell
    summed = phonon.force_constants[images.argmax(), images].sum(axis=0)
    np.testing.assert_allclose(summed, numeric, atol=0.02 * np.abs(numeric).max())


def rounded(crystal: Atoms, noise: float) -> Atoms:
    """Return the crystal as a file with few decimals has it: symmetric only within the noise."""
    found = crystal.copy()
    found.positions += noise * np.random.default_rng(3).uniform(-1, 1, size=(len(found), 3))
    return found


@pytest.mark.parametrize(("noise", "symprec"), [(2.5e-4, 1e-3), (1e-3, 1e-2)])
def test_residual_forces_drop_out_where_the_symmetry_is_rounded(noise, symprec):
    """Those of the real structure do not have the symmetry that saves displacements."""
    crystal = quartz()
    springs = ElasticSprings(crystal, 3.3)
    moved = rounded(crystal, noise)
    found = []
    for tolerance in (1e-5, symprec):
        phonon = force_constants(moved, springs, (1, 1, 1), symprec=tolerance, progress=False)
        found.append((len(phonon.dataset["first_atoms"]), phonon.get_frequencies([0, 0, 0])[3:]))
    (many, expected), (few, loose) = found
    assert few < many == 54
    # the symmetry itself is wrong by the noise; residual forces made it 0.05 and 0.2 THz
    assert np.abs(loose - expected).max() < 15 * noise


def test_masses_of_the_atoms_are_kept():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.set_masses([23.0, 37.0])
    phonon = force_constants(atoms, Springs(atoms, 3.0), (1, 1, 1), progress=False)
    np.testing.assert_allclose(phonon.primitive.masses, [23.0, 37.0])


def test_imaginary_modes_are_negative_and_warned_about(nacl_phonon):
    nacl_phonon.force_constants = -nacl_phonon.force_constants
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    with pytest.warns(UserWarning, match=r"imaginary modes at Γ, down to .*i THz"):
        modes = lo_to_splitting(nacl_phonon)[0]
    assert modes.uncorrected.min() < -1
    with pytest.warns(UserWarning, match="imaginary modes along the path"):
        segments = bands(nacl_phonon, "GX", n_points=3)
    assert min(s.corrected.min() for s in segments) < -1


def test_supercell_for_length_counts_faces():
    skewed = Atoms("Li", cell=[[4, 0, 0], [11, 4, 0], [0, 0, 13]], pbc=True)
    # Faces across the first vector are 4·4/√(11²+4²) = 1.37 Å apart.
    assert supercell_for_length(skewed, 12.0) == (9, 3, 1)
    assert supercell_for_length(skewed, 4.0) == (3, 1, 1)


def test_relax_keeps_the_space_group():
    start = bulk("Cu", "fcc", a=3.70)
    relaxed = relax(start, EMT())
    assert start.cell.cellpar()[0] == pytest.approx(3.70 / 2**0.5)  # untouched
    a, b, c, *angles = relaxed.cell.cellpar()
    np.testing.assert_allclose([b / a, c / a, *angles], [1, 1, 60, 60, 60], atol=1e-6)
    assert relaxed.calc is None
    assert not relaxed.constraints
    relaxed.calc = EMT()
    assert np.abs(relaxed.get_stress()).max() < 0.002 / relaxed.get_volume()
    with pytest.raises(RuntimeError, match="did not relax to 1e-12"):
        relax(start, EMT(), fmax=1e-12, steps=1)


@pytest.mark.parametrize("outer", [EquivarCalculator, lambda one: SumCalculator([one])])
def test_field_of_a_calculator_within_is_refused(outer):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    inner = EquivarCalculator(
        Springs(atoms, 3.0), model=ToyNetwork(), electric_field=[0.0, 0.0, 0.05]
    )
    for act in (
        lambda calc: force_constants(atoms, calc, (1, 1, 1)),
        lambda calc: relax(atoms, calc),
    ):
        with pytest.raises(ValueError, match="electric field on"):
            act(outer(inner))


def test_driven_calculator_is_refused_though_its_field_is_zero_just_now():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.calc = Springs(atoms, 3.0)
    later = StepField([0, 0, 0.01], start=50.0)
    drive(VelocityVerlet(atoms, 0.1 * units.fs), later, born_charges={"Na": 1, "Cl": -1})
    with pytest.raises(ValueError, match="electric field on"):
        force_constants(atoms, atoms.calc, (1, 1, 1))
