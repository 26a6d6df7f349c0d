"""The command `phonons`, and files that go to phonopy and come from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.springs import Springs
from phonopy import Phonopy
from phonopy.file_IO import parse_BORN

from ase_equivar import EquivarCalculator
from ase_equivar.cli import inputs
from ase_equivar.phonons import apply_nac, lo_to_splitting, nac_params
from ase_equivar.phonons.cells import to_phonopy


def test_sevennet_not_installed(nacl_file, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sevenn.calculator", None)
    result = run("phonons", nacl_file, "--model", model)
    assert_one_line_error(result, 2, "pip install sevenn")


def test_phonons_of_a_molecule(tmp_path, model, monkeypatch):
    path = tmp_path / "NaCl.xyz"
    salt = molecule("NaCl")
    salt.write(path)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(salt, 3.0))
    assert_one_line_error(run("phonons", path, "--model", model), 2, "periodic in three directions")


@pytest.mark.slow
def test_phonons(nacl_file, model, tmp_path, monkeypatch):
    atoms = ase.io.read(nacl_file)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(atoms, 4.5))
    picture = tmp_path / "bands.png"
    more = tmp_path / "dos.png", tmp_path / "angular.png"
    arguments = ("phonons", nacl_file, "--model", model, "--supercell", 1, 1, 1, "-o", picture)
    result = run(*arguments, "--density", more[0], "--angular", more[1], "--path", "GX")
    assert result.exit_code == 0, result.output
    assert "is not relaxed" not in result.stderr
    assert picture.stat().st_size > 10_000
    (along_x,) = [line.split() for line in result.output.splitlines() if line.startswith(" 1 0 0")]
    to_cm, lo_cm, gap_cm, to, lo = map(float, along_x[3:8])
    assert along_x[8:] == ["T1u"]
    assert to == pytest.approx(7.917, abs=2e-3)  # of the springs: sqrt(2 k / μ), see test_phonons
    assert to_cm == pytest.approx(to * 33.35641, abs=0.1)
    assert lo_cm == pytest.approx(lo * 33.35641, abs=0.1)
    assert gap_cm == pytest.approx(lo_cm - to_cm, abs=0.11)
    assert gap_cm >= 0
    assert all(path.stat().st_size > 10_000 for path in more)

    result = run(*arguments, "--direction", "1 1 0", "--method", "wang")
    assert " 0.707 0.707 0" in result.output
    assert " 1 0 0" not in result.output


def test_bad_options_of_phonons(nacl_file, model, tmp_path, monkeypatch):
    atoms = ase.io.read(nacl_file)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(atoms, 4.5))
    monkeypatch.chdir(tmp_path)
    common = ("phonons", nacl_file, "--model", model, "--supercell", 1, 1, 1)
    assert_one_line_error(run(*common, "--direction", "1 1"), 2, "three numbers, as '1 1 0'")
    assert_one_line_error(
        run(*common, "--method", "ewald"), 2, "--method is 'ewald'; give gonze, wang or none"
    )
    assert_one_line_error(run(*common, "--density", "x.odd"), 2, "tells no format")
    assert_one_line_error(
        run(*common, "--method", "none", "--direction", "1 1 0"), 2, "which --method none leaves"
    )
    # all before the first force
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: pytest.fail("forces asked for"))
    for zero in ("0 0 0", "nan 0 1"):
        assert_one_line_error(run(*common, "--direction", zero), 2, "give three finite numbers")
    assert_one_line_error(run(*common, "--path", "GY"), 2, "does not fit this lattice")
    assert_one_line_error(run(*common, "--path", "G,X"), 2, "part without length")


@pytest.mark.slow
def test_sevennet_end_to_end(nacl_file, model, tmp_path):
    pytest.importorskip("sevenn", reason="SevenNet is not installed")
    picture = tmp_path / "bands.png"
    arguments = ("phonons", nacl_file, "--model", model, "--relax", "cell", "--device", "cpu")
    result = run(*arguments, "--supercell", 1, 1, 1, "-o", picture)
    assert result.exit_code == 0, result.output
    assert picture.exists()
    (along_x,) = [line.split() for line in result.output.splitlines() if line.startswith(" 1 0 0")]
    assert float(along_x[3]) == pytest.approx(144, abs=2)  # TO of SevenNet-l3i5, whatever the Z*


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")
def test_phonopy_itself_reads_our_born_file(salt_phonon, salt_yaml, tmp_path):
    """Low symmetry, so that phonopy's own LO modes would tell a transposed or reordered Z*."""
    model = save_random_model(tmp_path / "polar", anisotropy=(1e4, 600))
    result = run("born", salt_yaml, "--model", model, "--output", tmp_path / "BORN")
    assert result.exit_code == 0, result.output
    arguments = ["--qpoints", "0", "0", "0", "--q-direction", "1", "2", "-1"]
    answer = subprocess.run(
        [Path(sys.executable).with_name("phonopy"), salt_yaml, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'NAC parameters were read from "BORN"' in answer.stdout
    lines = (tmp_path / "qpoints.yaml").read_text().splitlines()
    theirs = [float(line.split()[1]) for line in lines if "frequency:" in line]

    apply_nac(salt_phonon, EquivarCalculator(model=model))
    direction = np.array([1, 2, -1]) @ np.linalg.inv(salt_phonon.primitive.cell).T
    modes = lo_to_splitting(salt_phonon, [direction])[0]
    np.testing.assert_allclose(theirs, np.sort(modes.corrected), atol=1e-4)
    assert (modes.corrected - modes.uncorrected).max() > 0.05
    params = salt_phonon.nac_params
    apply_nac(salt_phonon, (params["born"].transpose(0, 2, 1), params["dielectric"]))
    transposed = lo_to_splitting(salt_phonon, [direction])[0]
    assert np.abs(np.sort(transposed.corrected) - theirs).max() > 0.01


@pytest.mark.parametrize("primitive", ["P", "F"])
def test_born_file_fits_the_primitive_cell_of_the_phonopy_file(tmp_path, model, primitive):
    unit = to_phonopy(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    phonon = Phonopy(unit, np.eye(3, dtype=int), primitive_matrix=primitive)
    phonon.save(tmp_path / "phonopy.yaml")
    result = run("born", tmp_path / "phonopy.yaml", "--model", model, "-o", tmp_path / "BORN")
    assert result.exit_code == 0, result.output
    read = parse_BORN(phonon.primitive, filename=tmp_path / "BORN")
    expected = nac_params(phonon, EquivarCalculator(model=model))
    np.testing.assert_allclose(read["born"], expected["born"], atol=1e-5)


def test_phonopy_files_that_do_not_serve(tmp_path, model, salt_yaml, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unit = to_phonopy(bulk("NaCl", "rocksalt", a=5.64))
    Phonopy(unit, np.eye(3, dtype=int), "P").save("cell.yaml")
    Path("other.yaml").write_text("a: 1")
    result = run("infrared", "cell.yaml", "--model", model)
    assert_one_line_error(result, 2, "no force constants or forces")
    for command in ("born", "infrared"):
        assert_one_line_error(run(command, "no.yaml"), 2, "no file no.yaml")
        assert_one_line_error(run(command, "other.yaml"), 2, "phonopy cannot read other.yaml")
    for option in (("--relax", "cell"), ("--calculator", "sevennet-l3i5")):
        result = run("phonons", salt_yaml, *option, "--model", model)
        assert_one_line_error(result, 2, "--supercell, --calculator and --relax do not apply")


@pytest.mark.slow
def test_a_static_tensor_in_the_file_is_noticed_by_phonons(salt_phonon, salt_yaml, tmp_path):
    charges = np.multiply.outer([1, 1, -1, -1], np.diag([0.5, 0.6, 0.7]))
    for epsilon, suspected in ((2.5, False), (18.0, True)):
        apply_nac(salt_phonon, (charges, epsilon * np.eye(3)))
        salt_phonon.save(salt_yaml, settings={"force_constants": True})
        result = run("phonons", salt_yaml, "--path", "GX", "-o", tmp_path / "bands.png")
        assert result.exit_code == 0, result.output
        assert ("counted twice" in " ".join(result.stderr.split())) == suspected
