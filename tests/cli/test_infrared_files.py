"""What the commands write and how their options combine: infrared modes, damping, file names."""

from __future__ import annotations

import csv
import gzip
import json
import re

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from helpers.command_line import (
    assert_one_line_error,
    run,
    save_random_model,
    save_salt,
)
from helpers.springs import Springs

import ase_equivar
from ase_equivar import EquivarCalculator
from ase_equivar.cli import inputs
from ase_equivar.dielectric import dielectric_function, infrared_modes
from ase_equivar.io.extxyz import read_extxyz
from ase_equivar.phonons import force_constants
from ase_equivar.phonons.cells import to_ase
from ase_equivar.units import THZ_TO_CM


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def stable(tmp_path):
    return save_salt(tmp_path / "phonopy.yaml", 1), tmp_path / "phonopy.yaml"


def test_damping_of_each_mode_and_everything_in_json(stable, tmp_path):
    phonon, path = stable
    modes = infrared_modes(phonon)
    active = [k for k, mode in enumerate(modes) if mode.is_active]
    given = np.linspace(4.0, 30.0, len(active))  # cm⁻¹
    options = [part for width in given for part in ("--damping", width)]
    result = run("infrared", path, *options, "-o", tmp_path / "x.json")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "x.json").read_text())
    found = [content["modes"][k]["damping_THz"] * THZ_TO_CM for k in active]
    np.testing.assert_allclose(found, given)
    widths = [mode["damping_THz"] for mode in content["modes"]]
    expected = dielectric_function(modes, widths)
    spectrum = content["spectrum"]
    np.testing.assert_allclose(
        spectrum["epsilon_imaginary"], expected.epsilon.imag, rtol=1e-4, atol=1e-6
    )
    for axis, normal, name in (
        ((1, 0, 0), (0, 0, 1), "x"),
        ((0, 1, 0), (1, 0, 0), "y"),
        ((0, 0, 1), (0, 1, 0), "z"),
    ):
        np.testing.assert_allclose(spectrum["loss"][name], expected.loss(axis), rtol=1e-3)
        reflected = expected.reflectivity(axis, normal)
        np.testing.assert_allclose(spectrum["reflectivity"][name], reflected, rtol=1e-3)
    assert max(spectrum["reflectivity"]["powder"]) > 0.5

    result = run("infrared", path, "--damping", 5, "--damping", 6)
    assert_one_line_error(result, 2, f"given 2 times: .* once for each of the {len(active)} modes")
    result = run("infrared", path, "--damping", 5, "--damping", -1)
    assert_one_line_error(result, 2, r"--damping must be positive, got -1\.0")


def test_one_damping_for_all(stable, tmp_path):
    result = run("infrared", stable[1], "--damping", 5, "-o", tmp_path / "x.json")
    assert result.exit_code == 0, result.output
    modes = json.loads((tmp_path / "x.json").read_text())["modes"]
    np.testing.assert_allclose([mode["damping_THz"] * THZ_TO_CM for mode in modes], 5.0)


def test_modes_as_csv(stable, tmp_path):
    phonon, path = stable
    result = run("infrared", path, "--modes", tmp_path / "modes.csv")
    assert result.exit_code == 0, result.output
    with open(tmp_path / "modes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    modes = infrared_modes(phonon)
    found = [float(row["frequency_cm"]) for row in rows]
    np.testing.assert_allclose(found, [mode.frequency_cm for mode in modes], rtol=1e-4)
    assert_one_line_error(run("infrared", path, "--modes", "x.txt"), 2, "--modes is a .csv file")
    assert_one_line_error(run("infrared", path, "--modes", "no/x.csv"), 2, "no folder no")


def test_an_unstable_crystal_still_gives_its_modes(tmp_path):
    path = tmp_path / "phonopy.yaml"
    save_salt(path, -1)
    outputs = [part for name in ("x.json", "x.csv", "x.png") for part in ("-o", tmp_path / name)]
    result = run("infrared", path, *outputs, "--modes", tmp_path / "modes.csv")
    assert_one_line_error(result, 2, "unstable: the crystal would polarize spontaneously")
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["epsilon_static"] is None
    assert content["spectrum"] is None
    assert content["epsilon_infinity"][2][2] == pytest.approx(2.75)
    unstable = [mode for mode in content["modes"] if mode["frequency_THz"] < 0]
    assert unstable
    assert all(mode["strength"] is None for mode in unstable)
    assert not (tmp_path / "x.csv").exists()
    with open(tmp_path / "modes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["modes"])
    assert {row["strength_xx"] for row in rows if float(row["frequency_cm"]) < 0} == {""}
    lines = [line.split() for line in result.stdout.splitlines() if line.startswith(" A  -")]
    assert lines
    assert all(line[-3:] == ["–"] * 3 for line in lines)


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.output.split() == ["ase-equivar", ase_equivar.__version__]


def test_born_writes_zipped_extxyz(tmp_path, model):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    ase.io.write(tmp_path / "salt.cif", salt)
    path = tmp_path / "x.extxyz.gz"
    result = run("born", tmp_path / "salt.cif", "--model", model, "-o", path)
    assert result.exit_code == 0, result.output
    assert gzip.decompress(path.read_bytes())
    (read,) = read_extxyz(path)
    charges = EquivarCalculator(model=model).get_property(
        "born_charges", ase.io.read(tmp_path / "salt.cif")
    )
    np.testing.assert_allclose(read.calc.results["born_charges"], charges, atol=1e-6)
    result = run("born", tmp_path / "salt.cif", "--model", model, "-o", "x.gz")
    assert_one_line_error(result, 2, r"\.extxyz, \.extxyz\.gz or \.json")


def test_method_none_serves_a_sheet(tmp_path, monkeypatch, model):
    """Modes and intensities of Z* of the model; no ε∞, ε0 and ε(ω), and nothing that needs them."""
    sheet = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    sheet.center(vacuum=6.0, axis=2)
    file = tmp_path / "sheet.extxyz"
    ase.io.write(file, sheet)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(sheet, 4.5))
    common = "infrared", file, "--model", model, "--supercell", 1, 1, 1
    assert_one_line_error(run(*common), 2, "vacuum")
    outputs = "-o", tmp_path / "x.json", "--modes", tmp_path / "x.csv"
    result = run(*common, "--method", "none", *outputs)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["epsilon_infinity"] is content["epsilon_static"] is None
    assert content["calculation"]["born_charges"] == str(model)
    calc = EquivarCalculator(model=model)
    phonon = force_constants(sheet, Springs(sheet, 4.5), (1, 1, 1), progress=False)
    born = calc.get_property("born_charges", to_ase(phonon.primitive))
    modes = infrared_modes(phonon, born)
    assert [one["intensity_D2_per_A2_u"] for one in content["modes"]] == pytest.approx(
        [mode.intensity for mode in modes], rel=1e-4
    )
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert {row["strength_xx"] for row in rows} == {""}
    for options, message in (
        (("-o", tmp_path / "x.png"), "--method none gives no ε(ω) for 'x.png'"),
        (("--damping", 3), "--damping is of ε(ω), which --method none leaves out"),
        (("--dielectric-tensor", "3"), "an ε∞ is asked for, which --method none has no use for"),
    ):
        assert_one_line_error(run(*common, "--method", "none", *options), 2, re.escape(message))


def test_method_none_takes_the_charges_of_a_file(stable, tmp_path):
    phonon, path = stable
    result = run("infrared", path, "--method", "none", "-o", tmp_path / "x.json")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["calculation"]["born_charges"] == "phonopy.yaml"
    expected = [mode.intensity for mode in infrared_modes(phonon)]
    found = [one["intensity_D2_per_A2_u"] for one in content["modes"]]
    assert found == pytest.approx(expected, rel=1e-6)
