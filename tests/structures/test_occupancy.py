"""Partly occupied and mixed sites are refused wherever structures come in."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.screening_runs import FormalCharges, screened
from helpers.structures import triclinic

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import polarization_change, trajectory_current
from ase_equivar.io.structure_files import read_apart, read_images
from ase_equivar.phonons import make_phonon, write_born
from ase_equivar.screening import Recipe
from ase_equivar.structures.validation import check_full_occupancy
from ase_equivar.training.data import read_frames
from ase_equivar.training.sections import DataConfig

CIF = """data_x
_cell_length_a 4.1
_cell_length_b 4.7
_cell_length_c 5.3
_cell_angle_alpha 81
_cell_angle_beta 87
_cell_angle_gamma 99
_space_group_name_H-M_alt 'P -1'
_space_group_IT_number 2
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_occupancy
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
"""
FULL = "Na1 Na 1.0 0 0 0\nCl1 Cl 1.0 0.5 0.5 0.5\n"
HALF = "Na1 Na 0.5 0 0 0\nCl1 Cl 1.0 0.5 0.5 0.5\n"
MIXED = "Na1 Na 0.6 0 0 0\nK1 K 0.4 0 0 0\nCl1 Cl 1.0 0.5 0.5 0.5\n"
SPLIT = "Na1 Na 1.0 0 0 0\nCl1 Cl 0.5 0.5 0.5 0.6\n"
UNKNOWN = "Na1 Na ? 0 0 0\nCl1 Cl 1.000 0.5 0.5 0.5\n"
NEARLY = "Na1 Na 0.998 0 0 0\nCl1 Cl 1.0 0.5 0.5 0.5\n"


@pytest.fixture
def cif(tmp_path):
    def write_cif(sites):
        path = tmp_path / "salt.cif"
        path.write_text(CIF + sites)
        return path

    return write_cif


@pytest.mark.parametrize("sites", [FULL, UNKNOWN, NEARLY])
def test_full_sites_are_taken(cif, sites):
    check_full_occupancy(read(cif(sites)))


@pytest.mark.parametrize(
    ("sites", "named"),
    [
        (HALF, r"atom 0 and its equivalents \(Na 0.5\)"),
        (MIXED, r"atom 0 and its equivalents \(K 0.4, Na 0.6\)"),
        (SPLIT, r"atom 1 and its equivalents \(Cl 0.5\)"),
    ],
)
@pytest.mark.parametrize("ending", ["cif", "extxyz", "traj", "json"])
def test_other_sites_are_refused_through_any_file_that_keeps_them(
    cif, tmp_path, sites, named, ending
):
    atoms = read(cif(sites))
    if ending != "cif":
        write(tmp_path / f"x.{ending}", atoms)
        atoms = read(tmp_path / f"x.{ending}")
    if ending == "json":  # the format keeps nothing of it, so nothing can be told
        assert "occupancy" not in atoms.info
        return
    if "spacegroup_kinds" not in atoms.arrays:
        named = named.replace("atom 0 and its equivalents", r"site \d")
        named = named.replace("atom 1 and its equivalents", r"site \d")
    with pytest.raises(ValueError, match=f"partly occupied or mixed sites: {named}.*ordered"):
        check_full_occupancy(atoms * (1, 2, 1))


def test_a_structure_without_the_doubtful_site_is_taken(cif):
    atoms = read(cif(HALF))
    del atoms[0]
    check_full_occupancy(atoms)


@pytest.mark.parametrize("name", ["occupancy", "occupancies"])
def test_occupancies_per_atom(name):
    atoms = triclinic()
    atoms.set_array(name, np.ones(5))
    check_full_occupancy(atoms)
    atoms.set_array(name, np.zeros(5))  # a column that nobody has filled
    check_full_occupancy(atoms)
    atoms.set_array(name, np.array([1, 0.3, 1, 0, 1]))
    with pytest.raises(ValueError, match=r"atom 1 \(Cl 0.3\); atom 3 \(Na 0\)"):
        check_full_occupancy(atoms)


def test_occupancies_of_a_pdb_file(tmp_path):
    path = tmp_path / "x.pdb"
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.set_array("occupancy", np.array([1, 1, 0.25, 1, 1, 1, 1, 1]))
    write(path, atoms)
    with pytest.raises(ValueError, match=r"atom 2 \(Na 0.25\)"):
        check_full_occupancy(read(path))


@pytest.fixture
def half():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_array("spacegroup_kinds", np.array([0, 1]))
    atoms.info["occupancy"] = {"0": {"Na": 0.5}, "1": {"Cl": 1.0}}
    return atoms


REFUSED = "partly occupied or mixed sites: atom 0"


def test_the_calculator_refuses_also_where_it_has_the_results_of_full_sites(half, tmp_path):
    calc = EquivarCalculator(model=save_random_model(tmp_path / "model"))
    full = bulk("NaCl", "rocksalt", a=5.6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network of random weights breaks the sum rule
        calc.get_property("born_charges", full)
    for ask in (
        lambda: calc.get_property("born_charges", half),
        lambda: calc.calculate(half),
        lambda: calc.predict([full, half]),
    ):
        with pytest.raises(ValueError, match=REFUSED):
            ask()


def test_phonons_and_polarization_refuse_with_any_calculator(half, tmp_path):
    calc = FormalCharges()
    for ask in (
        lambda: make_phonon(half),
        lambda: write_born(tmp_path / "BORN", half, calc),
        lambda: polarization_change(half, half, calc),
        lambda: trajectory_current([half, half], calc, 1.0),
    ):
        with pytest.raises(ValueError, match=REFUSED):
            ask()


def test_a_screening_keeps_the_row_with_the_reason(half, tmp_path):
    write(tmp_path / "salts.extxyz", [half, bulk("NaCl", "rocksalt", a=5.7)])
    write(tmp_path / "half.cif", half)
    rows = screened(
        [tmp_path / "salts.extxyz", tmp_path / "half.cif"],
        tmp_path / "table.csv",
        Recipe(FormalCharges, None),
    )
    assert [bool(row.problem) for row in rows] == [True, False, True]
    for row in (rows[0], rows[2]):
        assert row.problem.startswith(REFUSED)


def test_readers_of_training_data_keep_it_out(half, tmp_path):
    full = bulk("NaCl", "rocksalt", a=5.6)
    frames = []
    for atoms in (half, full):
        frame = atoms.copy()
        frame.set_array("born_charges", np.outer([1.0, -1.0], np.eye(3).ravel()))
        frames.append(frame)
    path = tmp_path / "data.extxyz"
    write(path, frames)
    assert [frame.atoms is None for frame in read_apart(path)] == [True, False]
    with pytest.raises(ValueError, match=f"frame 0: {REFUSED}"):
        read_images(path)
    found, rejected = read_frames([path], DataConfig((), ()))
    assert len(found) == 1
    assert [entry.frame for entry in rejected] == [0]
    assert REFUSED in rejected[0].reason


@pytest.mark.parametrize(
    "command",
    [
        ["born", "FILE"],
        ["infrared", "FILE"],
        ["phonons", "FILE"],
        ["polarization", "FILE", "FILE"],
        ["spectrum", "FILE", "--timestep", "1"],
        ["hysteresis", "FILE", "--amplitude", "0", "0", "1"],
    ],
    ids=lambda command: command[0],
)
def test_commands_refuse(cif, tmp_path, command):
    path = cif(MIXED)
    model = save_random_model(tmp_path / "model")
    result = run(*[path if word == "FILE" else word for word in command], "--model", model)
    assert_one_line_error(result, 2, r"error: (.*: )?partly occupied or mixed sites: atom 0 and")
