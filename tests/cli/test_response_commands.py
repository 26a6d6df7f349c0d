"""The commands `spectrum`, `polarization`, `screen` and `infrared`."""

from __future__ import annotations

import csv
import json
import re

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.springs import Springs

from ase_equivar import EquivarCalculator
from ase_equivar.cli import inputs
from ase_equivar.dielectric import current_spectrum, ionic_conductivity, trajectory_current
from ase_equivar.phonons import apply_nac


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


@pytest.mark.slow
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


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_spectrum_of_positions_alone(model, tmp_path):
    """Also with velocities under a name that ASE does not know; what they come from is told."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    way = 0.05 * np.random.default_rng(4).normal(size=(len(atoms), 3))
    frames = []
    for k in range(64):
        frame = atoms.copy()
        frame.positions += (way - way.mean(axis=0)) * np.sin(0.3 * k)
        frame.arrays["vel"] = (way - way.mean(axis=0)) * 0.3 * np.cos(0.3 * k)
        frames.append(frame)
    path = tmp_path / "run.extxyz"
    ase.io.write(path, frames)
    arguments = ("spectrum", path, "--timestep", 1.0, "--correlation-time", 5.0, "--model", model)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "has no velocities that ASE reads (its columns vel are not): taken from the disp" in told
    assert "60 frames" in told
    result = run(*arguments, "--index", "10:50")
    assert "36 frames" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("velocities", [True, False], ids=["with velocities", "positions alone"])
def test_every_other_frame_has_the_same_frequencies(model, tmp_path, velocities):
    """They were twice as high, and the temperature of positions alone four times."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    way = 0.05 * np.random.default_rng(4).normal(size=(len(atoms), 3))
    frames, rate = [], 0.06  # of a turn in 1 fs
    for k in range(400):
        frame = atoms.copy()
        frame.positions += (way - way.mean(axis=0)) * np.sin(2 * np.pi * rate * k)
        if velocities:
            speed = 2 * np.pi * rate * np.cos(2 * np.pi * rate * k) / units.fs
            frame.set_velocities((way - way.mean(axis=0)) * speed)
        frames.append(frame)
    path = tmp_path / "run.extxyz"
    ase.io.write(path, frames)
    peaks, temperatures = [], []
    for step in (1, 2):
        output = tmp_path / f"{step}.json"
        command = ("spectrum", path, "--timestep", 1.0, "--correlation-time", 36.0, "-o", output)
        result = run(*command, "--model", model, "--index", f"::{step}", "--unit", "THz")
        assert result.exit_code == 0, result.output
        assert ("one of 2 frames: 2 fs between them" in result.output) == (step == 2)
        content = json.loads(output.read_text())
        imaginary = np.trace(content["spectrum"]["epsilon_imaginary"], axis1=1, axis2=2)
        frequencies = np.array(content["spectrum"]["frequency_THz"])
        inside = (frequencies > 20) & (frequencies < 200)
        peaks.append(frequencies[inside][imaginary[inside].argmax()])
        temperatures.append(content["temperature_K"])
    assert peaks == pytest.approx([60, 60], abs=8)
    assert temperatures[1] == pytest.approx(temperatures[0], rel=0.15)


def test_a_trajectory_too_short_is_refused_before_any_prediction(hot_salt, model, monkeypatch):
    def refuse(**_):
        raise AssertionError("a prediction was begun")

    monkeypatch.setattr("ase_equivar.cli.inputs.equivar_calculator", refuse)
    result = run("spectrum", hot_salt, "--model", model, "--timestep", 1.0)
    assert_one_line_error(result, 2, "a trajectory of 120 frames with n_blocks=5 is too short")


def test_bad_options_of_spectrum(hot_salt, nacl_file, model, tmp_path):
    common = ("spectrum", hot_salt, "--model", model, "--timestep", 1.0)
    assert_one_line_error(
        run(*common, "--window", "box"), 2, "--window is 'box'; give hann or gaussian"
    )
    result = run(*common, "--quantum-correction", "none")
    assert_one_line_error(result, 2, "--quantum-correction is 'none'; give harmonic, standard or")
    assert_one_line_error(
        run(*common, "-o", "x.odd"), 2, "tells no format; use one of .csv, .json, "
    )
    assert_one_line_error(run(*common), 2, "too short")  # for the correlation time
    result = run(*common, "--index", "a:b")
    assert_one_line_error(result, 2, "index 'a:b' is neither the number of a frame")
    still = run("spectrum", nacl_file, "--model", model, "--timestep", 1.0)
    assert_one_line_error(still, 2, "two frames or more")
    assert_one_line_error(
        run(*common, "--temperature", 0), 2, "--temperature is 0.0; give a positive"
    )
    still_file = tmp_path / "positions.extxyz"
    ase.io.write(still_file, [ase.io.read(nacl_file)] * 20)
    for wrong in (0, -1, "nan"):  # whose velocities come from the displacements too
        for trajectory in (hot_salt, still_file):
            result = run("spectrum", trajectory, "--model", model, "--timestep", wrong)
            assert_one_line_error(result, 2, "timestep is .*; give a positive number of fs")


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
        run("polarization", nacl_file, end, "--model", model, "--points", 4),
        2,
        "--points must be odd and at least 5, got 4",
    )


@pytest.mark.slow
def test_screen(nacl_file, model, tmp_path, monkeypatch):
    atoms = ase.io.read(nacl_file)
    monkeypatch.setattr(inputs, "forces_calculator", StiffSalt)
    broken = tmp_path / "broken.cif"
    broken.write_text("no crystal")
    table = tmp_path / "table.csv"
    arguments = ("screen", nacl_file, broken, "-o", table, "--model", model, "--relax", "none")
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


@pytest.mark.slow
def test_bad_options_of_screen(nacl_file, model, tmp_path):
    common = ("screen", nacl_file, "--model", model)
    alone = (*common, "--calculator", "none")
    assert_one_line_error(run(*alone, "-o", tmp_path / "table.txt"), 2, "is a .csv or .parquet")
    assert_one_line_error(run(*alone, "-o", tmp_path / "no" / "t.csv"), 2, "no folder")
    result = run(*common, "-o", tmp_path / "t.csv", "--calculator", "magic")
    assert_one_line_error(result, 2, "unknown calculator 'magic'")
    result = run(*alone, "-o", tmp_path / "t.csv", "--workers", "0")
    assert_one_line_error(result, 2, "workers is 0; give a whole number from 1 on")
    lacking = save_random_model(tmp_path / "charges", dielectric=False)
    result = run("screen", nacl_file, "-o", tmp_path / "t.csv", "--model", lacking)
    assert_one_line_error(result, 2, "screening needs ε∞")


@pytest.mark.slow
def test_infrared(nacl_file, model, tmp_path, monkeypatch):
    atoms = ase.io.read(nacl_file)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(atoms, 4.5))
    outputs = [tmp_path / name for name in ("ir.png", "ir.csv", "ir.json")]
    arguments = ["infrared", nacl_file, "--model", model, "--supercell", 1, 1, 1]
    arguments += ["--unit", "mev", "--damping", 2.0]
    result = run(*arguments, *(part for path in outputs for part in ("-o", path)))
    assert result.exit_code == 0, result.output
    assert "forces: sevennet-l3i5" in " ".join(result.output.split())
    (row,) = [line.split() for line in result.output.splitlines() if line.startswith(" T1u")]
    assert float(row[1]) == pytest.approx(4.135668 * 7.917, abs=0.01)  # of the springs, in meV
    assert row[2] == "3"

    content = json.loads((tmp_path / "ir.json").read_text())
    static = np.add(content["epsilon_infinity"], content["epsilon_ionic"])
    np.testing.assert_allclose(content["epsilon_static"], static)
    assert f"{static[0][0]:.3f}" in result.output
    text = " ".join(result.output.split())
    ((lowest, highest),) = re.findall(r"trace: (\S+) to (\S+), where", text)
    assert float(lowest) < np.trace(content["epsilon_ionic"]) / 3 < float(highest)
    for check in content["lyddane_sachs_teller"]:
        assert check["frequency_ratio"] == pytest.approx(check["dielectric_ratio"], rel=1e-6)
    imaginary = np.array(content["spectrum"]["epsilon_imaginary"])[:, 0, 0]
    above = np.array(content["spectrum"]["frequency_THz"])[imaginary > imaginary.max() / 2]
    assert 4.135668 * (above[-1] - above[0]) == pytest.approx(2.0, rel=0.15)  # the damping
    table = np.genfromtxt(tmp_path / "ir.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["im_xx"], imaginary, rtol=1e-6)
    assert table["frequency_meV"][imaginary.argmax()] == pytest.approx(32.74, abs=0.2)
    assert (tmp_path / "ir.png").stat().st_size > 10_000


@pytest.mark.slow
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


@pytest.mark.slow
def test_infrared_of_an_unstable_crystal(salt_phonon, salt_yaml, model):
    """The table shows what is imaginary, before ε0 is refused."""
    charges = np.multiply.outer([1, 1, -1, -1], np.eye(3))
    apply_nac(salt_phonon, (charges, 2.5 * np.eye(3)))
    constants = salt_phonon.force_constants
    salt_phonon.force_constants = -constants
    salt_phonon.save(salt_yaml, settings={"force_constants": True})
    salt_phonon.force_constants = constants
    result = run("infrared", salt_yaml)
    assert_one_line_error(result, 2, "unstable: the crystal would polarize spontaneously")
    assert "imaginary modes at Γ" in result.stderr
    assert any(line.startswith(" A  -") for line in result.stdout.splitlines())


def test_bad_options_of_infrared(nacl_file, model):
    common = ("infrared", nacl_file, "--model", model)
    assert_one_line_error(run(*common, "-o", "x.odd"), 2, r"x\.odd.*png")
    assert_one_line_error(run(*common, "-o", "no/x.csv"), 2, "no folder no")
    assert_one_line_error(run(*common, "--damping", "0"), 2, "--damping must be positive")
    assert run(*common, "--unit", "furlong").exit_code == 2


@pytest.mark.slow
def test_polarization_along_a_trajectory(nacl_file, model, tmp_path):
    atoms = ase.io.read(nacl_file)
    moved = atoms.copy()
    moved.positions[atoms.numbers == 17, 2] += 0.1
    frames, table = tmp_path / "run.extxyz", tmp_path / "p.csv"
    ase.io.write(frames, [atoms, moved])
    result = run("polarization", frames, "--model", "universal-polar", "-o", table)
    assert result.exit_code == 0, result.output
    header, *rows = table.read_text().split()
    assert header.startswith("frame,polarization_change_x_uC_per_cm2,")
    charges = EquivarCalculator(model="universal-polar").get_property("born_charges", moved)
    expected = 1602.1766 * 0.1 * charges[atoms.numbers == 17, 2, 2].sum() / atoms.get_volume()
    assert float(rows[1].split(",")[3]) == pytest.approx(expected, rel=0.05)
    shown = run("polarization", frames, "--model", "universal-polar")
    assert shown.output.split()[-8:-4] == ["0", *["0.000"] * 3]
    several = tmp_path / "several.extxyz"
    ase.io.write(several, [atoms, moved] * 3)
    for index, numbers in (("1::2", "135"), ("-4::3", "25")):  # those of the file
        assert run(
            *("polarization", several, "--model", "universal-polar", "--index", index, "-o", table)
        ).output
        _, *rows = table.read_text().split()
        assert "".join(row.partition(",")[0] for row in rows) == numbers
    for arguments, text in (
        ((frames, "--model", model), "gives Z. and no polarization; take a polar"),
        ((frames, "-o", tmp_path / "p.json"), "should end in .csv"),
        ((frames, "--points", 8), "--points is for the path between two structures"),
        ((frames, "--points", 9), "a trajectory needs no integral: leave it out"),
        (
            (frames, "--model", "universal-polar", "--index", "1:"),
            "--index 1: takes one frame, and a",
        ),
        ((nacl_file, frames, "-o", table), "--output is for a trajectory"),
    ):
        assert_one_line_error(run("polarization", *arguments), 2, text)
