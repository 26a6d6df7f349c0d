"""Files beside a phonopy.yaml are those that are read, and every one is named."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.command_line import assert_one_line_error, run, save_random_model, triclinic_salt
from helpers.springs import Springs
from phonopy import Phonopy
from phonopy.file_IO import write_FORCE_CONSTANTS, write_FORCE_SETS

from ase_equivar.cli.phonopy_files import read_phonopy
from ase_equivar.phonons import force_constants, write_born


@pytest.fixture
def model(tmp_path):
    return save_random_model(tmp_path / "model")


def save(folder, stiffness, kind):
    """Write a yaml without forces, and the forces beside it."""
    folder.mkdir()
    atoms = triclinic_salt()
    phonon = force_constants(atoms, Springs(atoms, 4.5), (1, 1, 1), progress=False)
    phonon.force_constants = stiffness * phonon.force_constants
    for one in phonon.dataset["first_atoms"]:
        one["forces"] = stiffness * one["forces"]
    if kind == "FORCE_SETS":
        write_FORCE_SETS(phonon.dataset, filename=folder / kind)
    else:
        write_FORCE_CONSTANTS(phonon.force_constants, filename=folder / kind)
    settings = {"force_sets": False, "displacements": True, "force_constants": False}
    Phonopy.save(phonon, folder / "phonopy_disp.yaml", settings=settings)
    return phonon


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FORCE_SETS", "FORCE_CONSTANTS"])
def test_forces_come_from_the_folder_of_the_yaml(tmp_path, monkeypatch, model, kind):
    expected = save(tmp_path / "there", 1.0, kind)
    save(tmp_path / "here", 4.0, kind)
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "there" / "phonopy_disp.yaml"
    read = read_phonopy(path, with_force_constants=True)
    np.testing.assert_allclose(read.phonon.force_constants, expected.force_constants, atol=1e-8)
    assert read.forces_from == tmp_path / "there" / kind
    result = run("infrared", "../there/phonopy_disp.yaml", "--model", model)
    assert result.exit_code == 0, result.output
    assert f"force constants: ../there/{kind}" in " ".join(result.output.split())
    (tmp_path / "there" / kind).unlink()
    for command in ("infrared", "phonons"):
        result = run(command, "../there/phonopy_disp.yaml", "--model", model)
        assert_one_line_error(result, 2, r"no force constants or forces.*beside it, in \.\./there")


CHARGES = np.multiply.outer([1, 1, -1, -1], np.diag([1.0, 1.1, 1.2]))


@pytest.mark.slow
def test_a_born_file_is_read_when_named_and_told_when_not(tmp_path, model):
    folder = tmp_path / "there"
    phonon = save(folder, 1.0, "FORCE_SETS")
    write_born(folder / "BORN", phonon, (CHARGES, np.diag([2.25, 2.5, 2.75])))
    path = folder / "phonopy_disp.yaml"
    result = run("infrared", path, "--model", model)
    assert result.exit_code == 0, result.output
    assert "BORN is not read; --born" in " ".join(result.stderr.split())
    assert "Z* and ε∞: " + model in result.output.replace("\n", "")
    for command in ("infrared", "phonons"):
        more = ["--path", "GX", "-o", tmp_path / "x.png"] if command == "phonons" else []
        result = run(command, path, "--born", folder / "BORN", "--model", "there is none", *more)
        assert result.exit_code == 0, result.output
        assert f"Z* and ε∞: {folder / 'BORN'}" in result.output.replace("\n", "")
    read = read_phonopy(path, with_force_constants=True, born=folder / "BORN")
    np.testing.assert_allclose(read.phonon.nac_params["dielectric"], np.diag([2.25, 2.5, 2.75]))
    assert read.born_from == folder / "BORN"
    (folder / "BORN").write_text("14.4\n1 2 3\n")
    result = run("infrared", path, "--born", folder / "BORN", "--model", model)
    assert_one_line_error(result, 2, "phonopy, for the primitive cell of .*, cannot read .*BORN")
    result = run("infrared", path, "--born", folder / "no", "--model", model)
    assert_one_line_error(result, 2, "there is no file .*no")
    result = run("infrared", "x.cif", "--born", folder / "BORN", "--model", model)
    assert_one_line_error(result, 2, "--born goes with a phonopy.yaml, not with x.cif")


def test_a_second_order_set_of_phono3py_is_not_left_out_in_silence(tmp_path, model):
    save(tmp_path / "there", 1.0, "FORCE_SETS")
    path = tmp_path / "there" / "phonopy_disp.yaml"
    matrix = "phonon_supercell_matrix:\n- [2, 0, 0]\n- [0, 2, 0]\n- [0, 0, 2]\n"
    path.write_text(path.read_text() + matrix)
    for command in ("infrared", "phonons"):
        result = run(command, path, "--model", model)
        assert_one_line_error(result, 2, "phono3py with a supercell of its own")
    assert run("born", path, "--model", model).exit_code == 0
