"""The command line: what it prints and writes, and one clear line for what a user does wrong."""

from __future__ import annotations

import json
import logging
import re
import sys

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from phonopy.file_IO import parse_BORN
from springs import Springs
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator, cli
from ase_equivar.extxyz import read_extxyz
from ase_equivar.network import build_network
from ase_equivar.phonons import make_phonon
from ase_equivar.weights import save_model


def save_random_model(folder, dielectric=True):
    torch.manual_seed(4)
    network = build_network(
        {
            "architecture": "gated",
            "elements": [11, 17],
            "channels": 4,
            "interactions": 2,
            "dielectric": dielectric,
        }
    )
    save_model(network, folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def nacl_file(tmp_path):
    path = tmp_path / "NaCl.cif"
    bulk("NaCl", "rocksalt", a=5.64, cubic=True).write(path)
    return str(path)


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def assert_one_line_error(result, code, message):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert re.search(message, result.stderr), result.stderr
    lines = result.stderr.strip().splitlines()
    assert [line for line in lines if not line.startswith("warning: ")] == lines[-1:]


def test_help_names_the_commands():
    output = run("--help").output
    assert "born" in output
    assert "phonons" in output


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


@pytest.mark.parametrize("command", ["born", "phonons"])
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
    assert_one_line_error(run("phonons", nacl_file, "-o", "x.csv"), 2, r"x.csv.*png")
    result = run("phonons", nacl_file, "--model", model, "--calculator", "magic")
    assert_one_line_error(result, 2, "'magic'; there is: sevennet-0")
    blind = save_random_model(tmp_path / "blind", dielectric=False)
    result = run("born", nacl_file, "--model", blind, "-o", tmp_path / "BORN")
    assert_one_line_error(result, 2, "does not predict")
    assert not (tmp_path / "BORN").exists()


def test_debug_shows_the_traceback(tmp_path, monkeypatch):
    package = logging.getLogger("ase_equivar")  # configured for good by --debug, but not for us
    monkeypatch.setattr(package, "handlers", [])
    monkeypatch.setattr(package, "level", package.level)
    result = run("--debug", "born", tmp_path / "no.cif")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "there is no file" in result.stderr


def test_sevennet_not_installed(nacl_file, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sevenn.calculator", None)
    result = run("phonons", nacl_file, "--model", model)
    assert_one_line_error(result, 2, r"ase-equivar\[sevennet\]")


def test_phonons_of_a_molecule(tmp_path, model, monkeypatch):
    path = tmp_path / "NaCl.xyz"
    salt = molecule("NaCl")
    salt.write(path)
    monkeypatch.setattr(cli, "_forces_calculator", lambda *_: Springs(salt, 3.0))
    assert_one_line_error(run("phonons", path, "--model", model), 2, "periodic in three directions")


def test_phonons(nacl_file, model, tmp_path, monkeypatch):
    atoms = ase.io.read(nacl_file)
    monkeypatch.setattr(cli, "_forces_calculator", lambda *_: Springs(atoms, 4.5))
    picture = tmp_path / "bands.png"
    arguments = ("phonons", nacl_file, "--model", model, "--supercell", 1, 1, 1, "-o", picture)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "NaCl" not in result.stderr
    assert picture.stat().st_size > 10_000
    (along_x,) = [line.split() for line in result.output.splitlines() if line.startswith(" 1 0 0")]
    to_cm, lo_cm, gap_cm, to, lo = map(float, along_x[3:])
    assert to == pytest.approx(7.917, abs=2e-3)  # of the springs: sqrt(2 k / μ), see test_phonons
    assert to_cm == pytest.approx(to * 33.35641, abs=0.1)
    assert lo_cm == pytest.approx(lo * 33.35641, abs=0.1)
    assert gap_cm == pytest.approx(lo_cm - to_cm, abs=0.11)
    assert gap_cm >= 0


def test_sevennet_end_to_end(nacl_file, model, tmp_path):
    pytest.importorskip("sevenn", reason="SevenNet is not installed")
    picture = tmp_path / "bands.png"
    arguments = ("phonons", nacl_file, "--model", model, "--relax", "--device", "cpu")
    result = run(*arguments, "--supercell", 1, 1, 1, "-o", picture)
    assert result.exit_code == 0, result.output
    assert picture.exists()
    (along_x,) = [line.split() for line in result.output.splitlines() if line.startswith(" 1 0 0")]
    assert float(along_x[3]) == pytest.approx(148.5, abs=2)  # TO of SevenNet-0, whatever the Z*
