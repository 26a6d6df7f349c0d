"""The command line: what `born` prints and writes, one clear line for what a user does wrong."""

from __future__ import annotations

import json
import logging

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from helpers.command_line import assert_one_line_error, run, save_random_model
from phonopy.file_IO import parse_BORN

from ase_equivar import EquivarCalculator
from ase_equivar.io.extxyz import read_extxyz
from ase_equivar.phonons import make_phonon


def test_help_names_the_commands():
    output = run("--help").output
    assert "born" in output
    assert "phonons" in output
    assert "infrared" in output


def test_born_prints_every_component(nacl_file, model):
    result = run("born", nacl_file, "--model", model)
    assert result.exit_code == 0, result.output
    calc = EquivarCalculator(model=model)
    charges = calc.get_property("born_charges", ase.io.read(nacl_file))
    rows = [line.split() for line in result.output.splitlines()]
    rows = {int(row[0]): row for row in rows if len(row) == 11 and row[0].isdigit()}
    assert sorted(rows) == list(range(8))
    for i, symbol in enumerate(ase.io.read(nacl_file).symbols):
        assert rows[i][1] == symbol
        np.testing.assert_allclose([float(x) for x in rows[i][2:]], charges[i].ravel(), atol=6e-4)
    assert "ε∞" in result.output
    assert "sum-rule violation" in result.output


def test_born_file(nacl_file, model, tmp_path):
    path = tmp_path / "BORN"
    assert run("born", nacl_file, "--model", model, "-o", path).exit_code == 0
    atoms = ase.io.read(nacl_file)
    phonon = make_phonon(atoms)
    read = parse_BORN(phonon.primitive, filename=path)
    charges = EquivarCalculator(model=model).get_property("born_charges", atoms)
    by_symbol = dict(zip(atoms.symbols, charges, strict=True))
    expected = [by_symbol[symbol] for symbol in phonon.primitive.symbols]
    np.testing.assert_allclose(read["born"], expected, atol=1e-5)


def test_born_file_with_a_dielectric_tensor_in_other_axes_is_refused(nacl_file, model, tmp_path):
    path = tmp_path / "BORN"
    options = ("--model", model, "-o", path, "--dielectric-tensor")
    result = run("born", nacl_file, *options, "2.3 2.3 2.7")
    assert_one_line_error(result, 2, "ε∞ does not have the symmetry of the crystal.*other axes")
    assert not path.exists()
    assert run("born", nacl_file, *options, "2.3 2.3 2.3").exit_code == 0
    found = parse_BORN(make_phonon(ase.io.read(nacl_file)).primitive, filename=path)
    np.testing.assert_allclose(found["dielectric"], 2.3 * np.eye(3), atol=1e-6)


def test_json_and_extxyz(nacl_file, model, tmp_path):
    atoms = ase.io.read(nacl_file)
    calc = EquivarCalculator(model=model)
    charges = calc.get_property("born_charges", atoms)
    dielectric = calc.get_property("dielectric_tensor", atoms)

    assert run("born", nacl_file, "--model", model, "-o", tmp_path / "x.json").exit_code == 0
    content = json.loads((tmp_path / "x.json").read_text())
    np.testing.assert_allclose(content["born_charges"], charges, atol=1e-6)
    np.testing.assert_allclose(content["dielectric_tensor"], dielectric, atol=1e-6)
    np.testing.assert_allclose(content["positions"], atoms.positions)
    assert content["symbols"] == list(atoms.symbols)

    assert run("born", nacl_file, "--model", model, "-o", tmp_path / "x.extxyz").exit_code == 0
    (read,) = read_extxyz(tmp_path / "x.extxyz")
    np.testing.assert_allclose(read.calc.results["born_effective_charges"], charges, atol=1e-6)


def test_total_charge(tmp_path, nacl_file, model):
    arguments = ("born", nacl_file, "--model", model, "--total-charge", "2")
    assert run(*arguments, "-o", tmp_path / "x.json").exit_code == 0
    charges = json.loads((tmp_path / "x.json").read_text())["born_charges"]
    np.testing.assert_allclose(np.sum(charges, axis=0), 2 * np.eye(3), atol=1e-9)
    result = run(*arguments, "-o", tmp_path / "BORN")
    assert_one_line_error(result, 2, "BORN file needs a neutral cell")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["born", "phonons", "infrared"])
def test_bad_structures(command, tmp_path, model):
    assert_one_line_error(run(command, tmp_path / "no.cif"), 2, "no file .*no.cif")
    damaged = tmp_path / "damaged.cif"
    damaged.write_text("this is no crystal")
    assert_one_line_error(run(command, damaged, "--model", model), 2, "cannot read .*damaged.cif")
    unknown = tmp_path / "x.unknown"
    unknown.write_text("?")
    assert_one_line_error(run(command, unknown, "--model", model), 2, "does not know the format")
    iron = tmp_path / "Fe.cif"
    bulk("Fe").write(iron)
    assert_one_line_error(run(command, iron, "--model", model), 2, "Fe")


def test_bad_options(nacl_file, model, tmp_path):
    assert_one_line_error(run("born", nacl_file, "--model", "nonesuch"), 2, "nonesuch")
    assert_one_line_error(run("born", nacl_file, "-o", "x.csv"), 2, r"x.csv.*BORN.*\.extxyz.*json")
    assert_one_line_error(run("born", nacl_file, "-o", "no/x.json"), 2, "no folder no .*x.json")
    result = run("born", nacl_file, "--model", model, "--device", "abacus")
    assert_one_line_error(result, 2, "abacus")
    assert_one_line_error(run("phonons", nacl_file, "-o", "x.odd"), 2, r"x.odd.*png")
    result = run("phonons", nacl_file, "--model", model, "--calculator", "magic")
    assert_one_line_error(result, 2, r"'magic'; there are sevennet-0, .*, and any other")
    blind = save_random_model(tmp_path / "blind", dielectric=False)
    result = run("born", nacl_file, "--model", blind, "-o", tmp_path / "BORN")
    assert_one_line_error(result, 2, "does not predict")
    assert not (tmp_path / "BORN").exists()


def test_debug_shows_the_traceback(tmp_path):
    package = logging.getLogger("ase_equivar")
    before = list(package.handlers), package.level
    result = run("--debug", "born", tmp_path / "no.cif")
    assert (list(package.handlers), package.level) == before
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "there is no file" in result.stderr
