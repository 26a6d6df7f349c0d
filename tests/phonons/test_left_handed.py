"""Left-handed cells are cells: the same crystal in right-handed ones is the oracle."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.io import write
from helpers.command_line import run
from helpers.given_charges import GivenCharges, anatase, quartz, triclinic_four
from helpers.springs import Springs
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from ase_equivar.dielectric import infrared_modes, static_dielectric
from ase_equivar.phonons import (
    apply_nac,
    bands,
    force_constants,
    lo_to_splitting,
    make_phonon,
    nac_params,
    relax,
    write_born,
)
from ase_equivar.phonons.cells import to_ase, to_phonopy
from ase_equivar.phonons.read_cell import converted
from ase_equivar.screening import Recipe, screen_one

CHARGES = {"Si": 3.4, "O": -1.7, "Ti": 3.4, "Li": 1.1, "Br": -1.1}
TENSOR = np.array([[2.4, 0.1, 0.2], [0.1, 2.6, -0.1], [0.2, -0.1, 3.0]])


def mirrored_vectors(atoms: Atoms) -> Atoms:
    """The same crystal at the same places, described by vectors b, a, c."""
    other = atoms.copy()
    other.set_cell(atoms.cell.array[[1, 0, 2]])
    assert other.cell.handedness == -1
    return other


@pytest.mark.parametrize("make", [quartz, anatase, triclinic_four])
def test_all_that_follows_is_that_of_the_right_handed_cell(make):
    results = []
    for atoms in (make(), mirrored_vectors(make())):
        phonon = force_constants(atoms, Springs(atoms, 3.2), (1, 1, 1), progress=False)
        np.testing.assert_allclose(phonon.unitcell.positions, atoms.positions, atol=1e-12)
        apply_nac(phonon, GivenCharges(CHARGES, TENSOR))
        splitting = lo_to_splitting(phonon, [(1, 0, 0), (1, -2, 3)])
        modes = infrared_modes(phonon)
        found = [one.corrected for one in splitting]
        found += [modes.electronic, static_dielectric(modes).static, phonon.nac_params["born"]]
        if make is not triclinic_four:  # the names of whose points depend on the vectors
            path = {quartz: "GA", anatase: "GX"}[make]
            found += [segment.corrected for segment in bands(phonon, path, n_points=3)]
        results.append(found)
    for right, left in zip(*results, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=2e-3)


def test_supercells_repeat_the_users_vectors():
    atoms = mirrored_vectors(quartz())
    phonon = make_phonon(atoms, (1, 2, 3))
    np.testing.assert_allclose(
        np.linalg.norm(phonon.supercell.cell, axis=1), atoms.cell.lengths() * (1, 2, 3)
    )


def test_charges_stay_in_the_users_order(tmp_path):
    """Arrays and Atoms as source, without any symmetry; and the file for phonopy."""
    atoms = mirrored_vectors(triclinic_four())
    charges = np.random.default_rng(0).normal(size=(4, 3, 3))
    charges -= charges.mean(axis=0)
    params = nac_params(make_phonon(atoms), (charges, TENSOR))
    np.testing.assert_allclose(params["born"], charges, atol=1e-12)
    np.testing.assert_allclose(params["dielectric"], TENSOR)
    shuffled = atoms[[2, 0, 3, 1]]
    shuffled.calc = GivenCharges(CHARGES, TENSOR)
    born = nac_params(make_phonon(atoms), shuffled)["born"]
    np.testing.assert_allclose(born[:, 0, 0], [1.1, 1.1, -1.1, -1.1])
    files = []
    for cell in (quartz(), mirrored_vectors(quartz())):
        write_born(tmp_path / "BORN", cell, GivenCharges(CHARGES, 2.4 * np.eye(3)))
        files.append(np.loadtxt(tmp_path / "BORN"))
    np.testing.assert_allclose(files[1], files[0], atol=1e-6)


@pytest.mark.slow
def test_relaxed_cells_stay_left_handed():
    atoms = mirrored_vectors(triclinic_four())
    atoms.symbols = "CuCuAgAg"
    relaxed = relax(atoms, EMT(), fmax=0.05)
    assert relaxed.cell.handedness == -1
    assert make_phonon(relaxed).unitcell.volume == pytest.approx(relaxed.get_volume())


def test_files_with_left_handed_cells():
    """phonopy makes them where it is told the primitive cell; its correction then fails."""
    atoms = mirrored_vectors(quartz())
    cell = PhonopyAtoms(
        numbers=atoms.numbers,
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(wrap=False),
    )
    theirs = Phonopy(cell, np.diag([2, 1, 1]), primitive_matrix="P")
    theirs.generate_displacements(distance=0.01)
    springs = Springs(atoms, 3.2)
    theirs.forces = [
        springs.get_forces(to_ase(one)) for one in theirs.supercells_with_displacements
    ]
    theirs.produce_force_constants()
    ours = converted(theirs)
    assert ours.unitcell.volume > 0
    expected = force_constants(quartz(), Springs(quartz(), 3.2), (1, 2, 1), progress=False)
    for phonon in (ours, expected):
        apply_nac(phonon, GivenCharges(CHARGES, TENSOR))
    np.testing.assert_allclose(
        lo_to_splitting(ours, [(1, -2, 3)])[0].corrected,
        lo_to_splitting(expected, [(1, -2, 3)])[0].corrected,
        atol=0.01,
    )


def test_commands_and_screening(tmp_path, model):
    right = triclinic_four("Na2Cl2")
    left = mirrored_vectors(right)
    found = []
    for name, atoms in (("right", right), ("left", left)):
        write(tmp_path / f"{name}.extxyz", atoms)
        run_ = run("born", tmp_path / f"{name}.extxyz", "--model", model, "-o", tmp_path / "BORN")
        assert run_.exit_code == 0, run_.output
        found.append(np.loadtxt(tmp_path / "BORN"))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    recipe = Recipe(
        source=partial(GivenCharges, {"Na": 1.1, "Cl": -1.1}, TENSOR),
        calculator=partial(Springs, right, 4.5),
        relax="none",
    )
    rows = [vars(screen_one("crystal", atoms, recipe)) for atoms in (right, left)]
    assert not rows[1]["problem"]
    for key, value in rows[0].items():
        if isinstance(value, float):
            assert rows[1][key] == pytest.approx(value, rel=1e-3), key


def test_right_handed_cells_are_left_alone():
    atoms = triclinic_four()
    np.testing.assert_array_equal(to_phonopy(atoms).cell, atoms.cell.array)
