"""The command line: what it prints and writes, and one clear line for what a user does wrong."""

from __future__ import annotations

import csv
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule
from phonopy import Phonopy
from phonopy.file_IO import parse_BORN
from springs import Springs
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator, cli
from ase_equivar.commands import inputs
from ase_equivar.dielectric import current_spectrum, ionic_conductivity, trajectory_current
from ase_equivar.extxyz import read_extxyz
from ase_equivar.network import build_network
from ase_equivar.phonons import (
    apply_nac,
    force_constants,
    lo_to_splitting,
    make_phonon,
    nac_params,
)
from ase_equivar.phonons.force_constants import to_phonopy
from ase_equivar.weights import save_model


def save_random_model(folder, dielectric=True, anisotropy=(1.0, 1.0)):
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
    with torch.no_grad():
        parts = network.born_head.mix.weights  # antisymmetric and symmetric parts of Z*
        for weight, factor in zip(parts, anisotropy, strict=True):
            weight *= factor
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
    assert_one_line_error(run("phonons", nacl_file, "-o", "x.csv"), 2, r"x.csv.*png")
    result = run("phonons", nacl_file, "--model", model, "--calculator", "magic")
    assert_one_line_error(result, 2, "'magic'; there is sevennet-0, and any other")
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


def test_sevennet_not_installed(nacl_file, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sevenn.calculator", None)
    result = run("phonons", nacl_file, "--model", model)
    assert_one_line_error(result, 2, r"ase-equivar\[sevennet\]")


def test_phonons_of_a_molecule(tmp_path, model, monkeypatch):
    path = tmp_path / "NaCl.xyz"
    salt = molecule("NaCl")
    salt.write(path)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(salt, 3.0))
    assert_one_line_error(run("phonons", path, "--model", model), 2, "periodic in three directions")


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
    assert_one_line_error(run(*common, "--method", "ewald"), 2, "there are gonze and wang")
    assert_one_line_error(run(*common, "--density", "x.odd"), 2, "no picture format")
    assert_one_line_error(run(*common, "--path", "GY"), 2, "does not fit this lattice")


def test_sevennet_end_to_end(nacl_file, model, tmp_path):
    pytest.importorskip("sevenn", reason="SevenNet is not installed")
    picture = tmp_path / "bands.png"
    arguments = ("phonons", nacl_file, "--model", model, "--relax", "--device", "cpu")
    result = run(*arguments, "--supercell", 1, 1, 1, "-o", picture)
    assert result.exit_code == 0, result.output
    assert picture.exists()
    (along_x,) = [line.split() for line in result.output.splitlines() if line.startswith(" 1 0 0")]
    assert float(along_x[3]) == pytest.approx(148.5, abs=2)  # TO of SevenNet-0, whatever the Z*


# Files of phonopy: a user who has force constants and lacks Z*


def triclinic_salt():
    return Atoms(
        "Na2Cl2",
        cell=[[3.9, 0.1, 0.2], [0.7, 4.6, -0.3], [-0.4, 0.9, 4.4]],
        scaled_positions=[[0, 0, 0], [0.52, 0.41, 0.07], [0.43, 0.05, 0.55], [0.11, 0.61, 0.49]],
        pbc=True,
    )


@pytest.fixture(scope="module")
def salt_phonon():
    atoms = triclinic_salt()
    return force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)


@pytest.fixture
def salt_yaml(salt_phonon, tmp_path):
    path = tmp_path / "phonopy_params.yaml"
    Phonopy.save(salt_phonon, path, settings={"force_constants": True})
    return path


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
    Phonopy(unit, np.eye(3, dtype=int), "P", calculator="qe").save("bohr.yaml")
    Path("other.yaml").write_text("a: 1")
    result = run("infrared", "cell.yaml", "--model", model)
    assert_one_line_error(result, 2, "no force constants or forces")
    for command in ("born", "infrared"):
        assert_one_line_error(run(command, "no.yaml"), 2, "no file no.yaml")
        assert_one_line_error(run(command, "other.yaml"), 2, "phonopy cannot read other.yaml")
        assert_one_line_error(run(command, "bohr.yaml"), 2, "units of qe")
    result = run("phonons", salt_yaml, "--relax", "--model", model)
    assert_one_line_error(result, 2, "--supercell and --relax do not apply")


def test_a_static_tensor_in_the_file_is_noticed_by_phonons(salt_phonon, salt_yaml, tmp_path):
    charges = np.multiply.outer([1, 1, -1, -1], np.diag([0.5, 0.6, 0.7]))
    for epsilon, suspected in ((2.5, False), (18.0, True)):
        apply_nac(salt_phonon, (charges, epsilon * np.eye(3)))
        salt_phonon.save(salt_yaml, settings={"force_constants": True})
        result = run("phonons", salt_yaml, "--path", "GX", "-o", tmp_path / "bands.png")
        assert result.exit_code == 0, result.output
        assert ("counted twice" in " ".join(result.stderr.split())) == suspected


# Spectra of trajectories


@pytest.fixture
def hot_salt(tmp_path):
    """Free flight of ions with random kicks: any trajectory will do."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    masses = atoms.get_masses()[:, None]
    rng = np.random.default_rng(4)
    frames = []
    for _ in range(120):
        momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(300 * units.kB * masses)
        atoms.set_momenta(momenta - momenta.mean(axis=0))
        atoms.positions += atoms.get_velocities() * units.fs
        frames.append(atoms.copy())
    path = tmp_path / "run.extxyz"
    ase.io.write(path, frames)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")  # kicks at every frame
def test_spectrum(hot_salt, model, tmp_path):
    outputs = tmp_path / "ir.csv", tmp_path / "ir.png"
    arguments = ["spectrum", hot_salt, "--timestep", 1.0, "--correlation-time", 10.0]
    arguments += ["--model", model, "-o", outputs[0], "-o", outputs[1]]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "120 frames, 3" in result.output  # about 300 K
    assert "hann window of 10 fs, 5 blocks" in result.output
    frames = ase.io.read(hot_salt, ":")
    calc = EquivarCalculator(model=model)
    flow = trajectory_current(frames, calc, 1.0)
    conductivity = ionic_conductivity(flow, correlation_time=10.0)
    (row,) = [line.split() for line in result.output.splitlines() if "Einstein" in line]
    assert float(row[1]) == pytest.approx(conductivity.einstein.isotropic, rel=1e-3)
    table = np.genfromtxt(outputs[0], delimiter=",", names=True)
    electronic = calc.get_property("dielectric_tensor", frames[0])
    expected = current_spectrum(flow, electronic, correlation_time=10.0)
    imaginary = expected.dielectric.epsilon.imag
    np.testing.assert_allclose(table["im_xx"], imaginary[:, 0, 0], rtol=1e-4)
    np.testing.assert_allclose(
        table["error_im_yz"], expected.absorption_error[:, 1, 2], rtol=1e-4, atol=1e-12
    )
    assert outputs[1].stat().st_size > 10_000


def test_bad_options_of_spectrum(hot_salt, nacl_file, model):
    common = ("spectrum", hot_salt, "--model", model, "--timestep", 1.0)
    assert_one_line_error(run(*common, "--window", "box"), 2, "unknown --window 'box'; there are")
    result = run(*common, "--quantum-correction", "none")
    assert_one_line_error(result, 2, "unknown --quantum-correction 'none'; there are harmonic")
    assert_one_line_error(run(*common, "-o", "x.odd"), 2, "no picture format")
    assert_one_line_error(run(*common), 2, "too short")  # for the correlation time
    still = run("spectrum", nacl_file, "--model", model, "--timestep", 1.0)
    assert_one_line_error(still, 2, "two frames or more")


# Polarization


def test_polarization(nacl_file, model, tmp_path):
    atoms = ase.io.read(nacl_file)
    atoms.positions[atoms.numbers == 17, 2] += 0.1
    end = tmp_path / "moved.extxyz"
    atoms.write(end)
    result = run("polarization", nacl_file, end, "--model", model, "--points", 5)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    (change,) = [row for row in rows if row[:1] == ["change"]]
    quanta = [row for row in rows if row[:2] == ["quantum", "along"]]
    assert float(quanta[2][-1]) == pytest.approx(1602.1766 / 5.64**2, abs=1e-3)
    charge = EquivarCalculator(model=model).get_property("born_charges", ase.io.read(nacl_file))
    anions = charge[atoms.numbers == 17, 2, 2].sum()
    expected = 1602.1766 * 0.1 * anions / atoms.get_volume()
    assert float(change[3]) == pytest.approx(expected, rel=0.1)
    assert_one_line_error(
        run("polarization", nacl_file, end, "--model", model, "--points", 4), 2, "must be odd"
    )


# Screening


def test_screen(nacl_file, model, tmp_path, monkeypatch):
    atoms = ase.io.read(nacl_file)
    monkeypatch.setattr(inputs, "forces_calculator", StiffSalt)
    broken = tmp_path / "broken.cif"
    broken.write_text("no crystal")
    table = tmp_path / "table.csv"
    arguments = ("screen", nacl_file, broken, "-o", table, "--model", model, "--no-relax")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "skipped" in result.output
    assert "1 of 2 crystals" in result.output
    with open(table, newline="", encoding="utf-8") as file:
        row, bad = csv.DictReader(file)
    epsilon = EquivarCalculator(model=model).get_property("dielectric_tensor", atoms)
    assert float(row["epsilon_infinity"]) == pytest.approx(epsilon.trace() / 3, rel=1e-3)
    assert float(row["epsilon_static"]) > float(row["epsilon_infinity"])
    assert "ASE cannot read " in bad["problem"]
    assert_one_line_error(run(*arguments), 2, "exists already")


class StiffSalt(Springs):
    """Forces of springs that are at rest in the primitive cell of NaCl."""

    def __init__(self, *_):
        super().__init__(bulk("NaCl", "rocksalt", a=5.64), 4.5)


def test_bad_options_of_screen(nacl_file, model, tmp_path):
    common = ("screen", nacl_file, "--model", model)
    assert_one_line_error(run(*common, "-o", tmp_path / "table.txt"), 2, "is a .csv file")
    assert_one_line_error(run(*common, "-o", tmp_path / "no" / "t.csv"), 2, "no folder")
    result = run(*common, "-o", tmp_path / "t.csv", "--calculator", "magic")
    assert_one_line_error(result, 2, "unknown calculator 'magic'")
    result = run(*common, "-o", tmp_path / "t.csv", "--calculator", "none", "--workers", "0")
    assert_one_line_error(result, 2, "workers must be 1 or more")
    lacking = save_random_model(tmp_path / "charges", dielectric=False)
    result = run("screen", nacl_file, "-o", tmp_path / "t.csv", "--model", lacking)
    assert_one_line_error(result, 2, "screening needs ε∞")


# Infrared


def test_infrared(nacl_file, model, tmp_path, monkeypatch):
    atoms = ase.io.read(nacl_file)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(atoms, 4.5))
    outputs = [tmp_path / name for name in ("ir.png", "ir.csv", "ir.json")]
    arguments = ["infrared", nacl_file, "--model", model, "--supercell", 1, 1, 1]
    arguments += ["--unit", "mev", "--damping", 2.0]
    result = run(*arguments, *(part for path in outputs for part in ("-o", path)))
    assert result.exit_code == 0, result.output
    assert "forces: sevennet-0" in " ".join(result.output.split())
    (row,) = [line.split() for line in result.output.splitlines() if line.startswith(" T1u")]
    assert float(row[1]) == pytest.approx(4.135668 * 7.917, abs=0.01)  # of the springs, in meV
    assert row[2] == "3"

    content = json.loads((tmp_path / "ir.json").read_text())
    static = np.add(content["epsilon_infinity"], content["epsilon_ionic"])
    np.testing.assert_allclose(content["epsilon_static"], static)
    assert f"{static[0][0]:.3f}" in result.output
    for check in content["lyddane_sachs_teller"]:
        assert check["frequency_ratio"] == pytest.approx(check["dielectric_ratio"], rel=1e-6)
    imaginary = np.array(content["spectrum"]["epsilon_imaginary"])[:, 0, 0]
    above = np.array(content["spectrum"]["frequency_THz"])[imaginary > imaginary.max() / 2]
    assert 4.135668 * (above[-1] - above[0]) == pytest.approx(2.0, rel=0.15)  # the damping
    table = np.genfromtxt(tmp_path / "ir.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["im_xx"], imaginary, rtol=1e-6)
    assert table["frequency_meV"][imaginary.argmax()] == pytest.approx(32.74, abs=0.2)
    assert (tmp_path / "ir.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")
def test_infrared_of_a_phonopy_file(salt_phonon, salt_yaml, model, tmp_path):
    """Z* of the file are used if there are any, else those of the model."""
    of_model = run("infrared", salt_yaml, "--model", model)
    assert of_model.exit_code == 0, of_model.output
    assert "force constants: phonopy_params.yaml" in " ".join(of_model.output.split())
    charges = np.multiply.outer([1, 1, -1, -1], np.diag([1.0, 1.1, 1.2]))
    apply_nac(salt_phonon, (charges, np.diag([2.25, 2.5, 2.75])))
    salt_phonon.save(salt_yaml, settings={"force_constants": True})
    of_file = run("infrared", salt_yaml, "--model", "there is no such model")
    assert of_file.exit_code == 0, of_file.output
    assert "2.750" in of_file.output
    assert "2.750" not in of_model.output


def test_infrared_of_an_unstable_crystal(salt_phonon, salt_yaml, model):
    """The table shows what is imaginary, before ε0 is refused."""
    charges = np.multiply.outer([1, 1, -1, -1], np.eye(3))
    apply_nac(salt_phonon, (charges, 2.5 * np.eye(3)))
    constants = salt_phonon.force_constants
    salt_phonon.force_constants = -constants
    salt_phonon.save(salt_yaml, settings={"force_constants": True})
    salt_phonon.force_constants = constants
    result = run("infrared", salt_yaml)
    assert_one_line_error(result, 2, "unstable: the crystal would polarize by itself")
    assert "imaginary modes at Γ" in result.stderr
    assert any(line.startswith(" A  -") for line in result.stdout.splitlines())


def test_bad_options_of_infrared(nacl_file, model):
    common = ("infrared", nacl_file, "--model", model)
    assert_one_line_error(run(*common, "-o", "x.odd"), 2, r"x\.odd.*png")
    assert_one_line_error(run(*common, "-o", "no/x.csv"), 2, "no folder no")
    assert_one_line_error(run(*common, "--damping", "0"), 2, "--damping must be positive")
    assert run(*common, "--unit", "furlong").exit_code == 2
