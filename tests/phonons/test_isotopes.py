"""Isotopes break the symmetry of vibrations; against matrices that know no symmetry."""

from __future__ import annotations

import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import bulk
from helpers.command_line import run
from helpers.given_charges import GivenCharges, quartz
from helpers.springs import Springs

from ase_equivar.cli.phonopy_files import read_phonopy
from ase_equivar.dielectric import infrared_modes
from ase_equivar.io.phonon_files import write_phonopy_yaml
from ase_equivar.phonons import (
    apply_nac,
    density_of_states,
    force_constants,
    lo_to_splitting,
    make_phonon,
    nac_params,
)
from ase_equivar.phonons.cells import to_ase
from ase_equivar.screening.structures import fingerprint

TO_THZ = 15.633302  # √(eV/Å²/u)/2π


def frequencies_by_hand(atoms: Atoms, springs: Springs) -> np.ndarray:
    """At Γ of the cell as it is: all atoms with their own masses, by finite differences; THz."""
    step, n = 1e-3, len(atoms)
    hessian = np.zeros((3 * n, 3 * n))
    for k in range(3 * n):
        forces = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[k // 3, k % 3] += sign * step
            forces.append(springs.get_forces(moved).ravel())
        hessian[k] = -(forces[0] - forces[1]) / (2 * step)
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    squares = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.outer(roots, roots))
    return np.sign(squares) * np.sqrt(np.abs(squares)) * TO_THZ


def half_deuterated(order) -> Atoms:
    atoms = bulk("LiH", "rocksalt", a=4.08, cubic=True)
    hydrogens = [i for i, symbol in enumerate(atoms.symbols) if symbol == "H"]
    masses = atoms.get_masses()
    masses[hydrogens[:2]] = 2.014
    atoms.set_masses(masses)
    return atoms[order]


def heavy_quartz(site: int) -> Atoms:
    """One of six equivalent oxygens is ¹⁸O: nothing is left of the symmetry."""
    atoms = quartz()
    masses = atoms.get_masses()
    masses[3 + site] = 17.999
    atoms.set_masses(masses)
    return atoms


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1), [3, 6, 1, 0, 7, 2, 5, 4]])
def test_half_of_the_hydrogen_is_deuterium_in_any_order(order):
    atoms = half_deuterated(order)
    springs = Springs(atoms, 3.0)
    phonon = force_constants(atoms, springs, (1, 1, 1), progress=False)
    assert sorted(phonon.primitive.masses) == pytest.approx([1.008, 2.014, 6.94, 6.94])
    source = GivenCharges({"Li": 1.0, "H": -1.0}, 3.6 * np.eye(3))
    apply_nac(phonon, source)
    primitive = to_ase(phonon.primitive)
    np.testing.assert_allclose(
        lo_to_splitting(phonon)[0].uncorrected,
        frequencies_by_hand(primitive, Springs(primitive, 3.0)),
        atol=0.02,
    )
    assert set(infrared_modes(phonon).symbols) == {"Li", "H"}


def test_a_broken_rotation_splits_modes_and_leaves_no_names_of_the_unbroken_group():
    atoms = heavy_quartz(0)
    springs = Springs(atoms, 3.0)
    phonon = force_constants(atoms, springs, (1, 1, 1), progress=False)
    apply_nac(phonon, GivenCharges({"Si": 3.4, "O": -1.7}, 2.4 * np.eye(3)))
    modes = infrared_modes(phonon)
    assert phonon.primitive_symmetry.dataset.number == 1
    assert {mode.label for mode in modes} <= {"A", ""}
    np.testing.assert_allclose(
        [mode.frequency for mode in modes for _ in range(mode.degeneracy)],
        frequencies_by_hand(atoms, springs)[3:],
        atol=0.02,
    )


def test_charges_do_not_depend_on_masses():
    heavy, usual = heavy_quartz(2), quartz()
    charges = np.random.default_rng(0).normal(size=(9, 3, 3))
    charges -= charges.mean(axis=0)
    source = (charges, 2.4 * np.eye(3))
    with pytest.warns(UserWarning, match="Symmetry of Born"):
        expected = nac_params(make_phonon(usual), source)["born"]
    with pytest.warns(UserWarning, match="Symmetry of Born"):
        found = nac_params(make_phonon(heavy), source)["born"]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    shuffled = usual[[8, 3, 0, 5, 1, 7, 2, 6, 4]]
    shuffled.calc = GivenCharges({"Si": 3.4, "O": -1.7}, 2.4 * np.eye(3))
    in_order = nac_params(make_phonon(heavy), shuffled)["born"]
    np.testing.assert_allclose(in_order[:3], [3.4 * np.eye(3)] * 3, atol=1e-9)


def test_objects_that_take_isotopes_for_equivalent_are_refused():
    """Made by phonopy alone, which looks at no masses."""
    heavy = heavy_quartz(1)
    phonon = force_constants(quartz(), Springs(quartz(), 3.0), (1, 1, 1), progress=False)
    phonon.masses = heavy.get_masses()
    with pytest.raises(ValueError, match=r"atoms 3 and 4 .* isotopes break the symmetry"):
        apply_nac(phonon, GivenCharges({"Si": 3.4, "O": -1.7}, 2.4 * np.eye(3)))


@pytest.mark.parametrize("primitive", ["P", "F"])
def test_files_with_isotopes(tmp_path, model, primitive):
    """Those of phonopy, which has made them without looking at the masses."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    chlorines = np.flatnonzero(atoms.numbers == 17)
    cell = phonopy.structure.atoms.PhonopyAtoms(
        numbers=atoms.numbers,
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
        masses=[36.966 if i in chlorines[:2] else m for i, m in enumerate(atoms.get_masses())],
    )
    by_phonopy = phonopy.Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=primitive)
    springs = Springs(atoms, 4.5)
    by_phonopy.generate_displacements(distance=0.01)
    forces = []
    for displaced in by_phonopy.supercells_with_displacements:
        moved = Atoms(displaced.symbols, displaced.positions, cell=displaced.cell, pbc=True)
        forces.append(springs.get_forces(moved))
    by_phonopy.forces = forces
    by_phonopy.produce_force_constants()
    file = tmp_path / "phonopy_params.yaml"
    by_phonopy.save(file, settings={"force_constants": True})
    result = run("infrared", file, "--model", model, "--output", tmp_path / "modes.json")
    if primitive == "F":
        assert result.exit_code == 2
        assert "isotopes break the symmetry" in " ".join(result.stderr.split())
    else:
        assert result.exit_code == 0, result.output
        # Two of four are heavier: layers, and a tetragonal crystal.
        assert "T1u" not in result.output


def test_our_own_file_of_a_crystal_with_isotopes_is_read_again(tmp_path):
    """phonopy keeps the names H and H1, and takes them for one species when it reads them."""
    atoms = heavy_quartz(1)
    springs = Springs(atoms, 3.0)
    phonon = force_constants(atoms, springs, (1, 1, 1), progress=False)
    apply_nac(phonon, GivenCharges({"Si": 3.4, "O": -1.7}, 2.4 * np.eye(3)))
    write_phonopy_yaml(tmp_path / "phonopy_params.yaml", phonon)
    read = read_phonopy(tmp_path / "phonopy_params.yaml", with_force_constants=True).phonon
    modes = infrared_modes(read)
    np.testing.assert_allclose(
        [mode.frequency for mode in modes for _ in range(mode.degeneracy)],
        frequencies_by_hand(atoms, springs)[3:],
        atol=0.02,
    )
    assert {mode.label for mode in modes} <= {"A", ""}
    np.testing.assert_allclose(
        modes.oscillator_sum, infrared_modes(phonon).oscillator_sum, rtol=1e-6, atol=1e-6
    )


def test_a_screening_does_another_isotope_again():
    assert fingerprint(quartz()) != fingerprint(heavy_quartz(0))


@pytest.mark.parametrize("mass", [0.0, np.nan, -24.0])
def test_masses_of_no_atom_are_refused_before_any_force(mass):
    """They gave errors of NumPy, or a density of states that is zero."""
    crystal = quartz()
    crystal.set_array("masses", np.array([mass, *crystal.get_masses()[1:]]))
    with pytest.raises(ValueError, match=r"mass of atom 0 \(Si\) is|array of masses"):
        force_constants(crystal, None, (1, 1, 1), progress=False)
    phonon = make_phonon(quartz())
    phonon.force_constants = np.zeros((9, 9, 3, 3))
    phonon.masses = crystal.get_masses()
    with pytest.raises(ValueError, match=r"mass of atom 0 \(Si\) is|array of masses"):
        density_of_states(phonon)
