"""The command `raman`."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from ase.build import bulk
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.springs import Springs

from ase_equivar import EquivarCalculator
from ase_equivar.cli import inputs
from ase_equivar.dielectric import infrared_modes, raman_intensities, raman_modes
from ase_equivar.phonons import apply_nac, force_constants

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")


def salt():
    """Zincblende, of elements that the small model knows."""
    return bulk("NaCl", "zincblende", a=5.8)


@pytest.fixture
def salt_file(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(salt(), 4.5))
    path = tmp_path / "salt.extxyz"
    salt().write(path)
    return path


def test_raman(salt_file, model, tmp_path):
    outputs = [tmp_path / name for name in ("r.png", "r.csv", "r.json")]
    table = tmp_path / "modes.csv"
    result = run(
        "raman", salt_file, "--model", model, "--supercell", 1, 1, 1, "--geometry", "z(xy)z\u0304",
        "--geometry", "x(yz)-x", "--wavelength", 633, "--temperature", 77, "--step", 0.02,
        *(part for path in outputs for part in ("-o", path)), "--modes", table,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    phonon = force_constants(salt(), Springs(salt(), 4.5), (1, 1, 1), progress=False)
    calc = EquivarCalculator(model=model)
    apply_nac(phonon, calc)
    modes = raman_modes(phonon, calc, step=0.02, progress=False)
    (t2,) = modes
    intensity = raman_intensities(modes, wavelength=633, temperature=77)[0]
    rows = [line.split() for line in result.output.splitlines() if line.startswith(" T2 ")]
    assert rows[0][:4] == ["T2", f"{t2.frequency_cm:.2f}", "3", f"{t2.activity:.4g}"]
    assert float(rows[0][5]) == pytest.approx(intensity, rel=0.01)
    assert rows[0][4] == "0.750"
    assert "z(xy)-z, q along 0, 0, 1" in result.output
    assert rows[1][:2] == ["T2", "(LO)"]  # zz, xy: the mode along z; across: transverse ones
    assert "displaced by 0.02 and 0.04 Å" in " ".join(result.output.split())
    assert "gives no estimate of the error" in " ".join(result.output.split())
    content = json.loads(outputs[2].read_text(encoding="utf-8"))
    assert content["calculation"] == {
        "forces": "sevennet-l3i5",
        "relax": "none",
        "born_charges": str(model),
        "epsilon_infinity": str(model),
        "raman_tensors": str(model),
    }
    assert [one["name"] for one in content["spectra"]] == ["powder", "z(xy)-z", "x(yz)-x"]
    lo = content["spectra"][1]["modes"][-1]
    assert lo["label"] == "T2 (LO)"
    assert lo["frequency_cm"] > t2.frequency_cm
    spectra = np.genfromtxt(outputs[1], delimiter=",", skip_header=1)
    assert spectra.shape[1] == 4
    peak = spectra[spectra[:, 2].argmax(), 0]
    assert peak == pytest.approx(lo["frequency_cm"], abs=3)
    assert spectra[-1, 0] > lo["frequency_cm"]
    with open(table, newline="", encoding="utf-8") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["T2"] * 3
    assert outputs[0].stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "epsilon"),
    [(("--dielectric-tensor", 2.5), 2.5), (("--refractive-index", 1.6), 2.56)],
)
def test_a_measured_dielectric_tensor_shifts_longitudinal_modes(
    options, epsilon, salt_file, model, tmp_path
):
    """ω_LO² = ω_TO² + A/ε∞ in zincblende, whatever the Raman tensors are."""
    path = tmp_path / "r.json"
    result = run(
        "raman", salt_file, "--model", model, "--supercell", 1, 1, 1, "--geometry", "z(xy)-z",
        *options, "-o", path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "ε∞: as given" in " ".join(result.output.split())
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["calculation"]["epsilon_infinity"] == "as given"
    assert content["calculation"]["raman_tensors"] == str(model)
    phonon = force_constants(salt(), Springs(salt(), 4.5), (1, 1, 1), progress=False)
    (mode,) = infrared_modes(apply_nac(phonon, EquivarCalculator(model=model)))
    lo = content["spectra"][1]["modes"][-1]
    assert lo["label"] == "T2 (LO)"
    expected = np.sqrt(mode.frequency**2 + mode.oscillator[0, 0] / epsilon)
    assert lo["frequency_THz"] == pytest.approx(expected, rel=1e-5)


def test_a_crystal_that_does_not_scatter(nacl_file, model, monkeypatch):
    rock = bulk("NaCl", "rocksalt", a=5.64)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Springs(rock, 4.5))
    result = run("raman", nacl_file, "--model", model, "--supercell", 1, 1, 1)
    assert result.exit_code == 0, result.output
    assert "no mode scatters" in result.output
    assert "not listed: 3 modes that do not scatter" in result.output


@pytest.mark.slow
def test_raman_of_an_unstable_crystal(salt_phonon, salt_yaml, model, tmp_path):
    """The table and the JSON show what is imaginary, before the spectrum is refused."""
    constants = salt_phonon.force_constants
    salt_phonon.force_constants = -constants
    salt_phonon.save(salt_yaml, settings={"force_constants": True})
    salt_phonon.force_constants = constants
    path = tmp_path / "r.json"
    result = run("raman", salt_yaml, "--model", model, "-o", path)
    assert_one_line_error(result, 2, "is unstable: the crystal would distort spontaneously")
    assert any(line.startswith(" A  -") for line in result.stdout.splitlines())
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["spectra"] == []
    assert content["modes"][0]["frequency_cm"] < 0


def test_bad_options_of_raman(salt_file, model, tmp_path, monkeypatch):
    def no_forces(*_):
        raise AssertionError("options are looked at before forces are")

    monkeypatch.setattr(inputs, "forces_calculator", no_forces)
    common = ("raman", salt_file, "--model", model)
    for arguments, message in (
        (("-o", "x.odd"), r"x\.odd.*png"),
        (("-o", "no/x.csv"), "no folder no"),
        (("--modes", "x.txt"), "--modes is a .csv file"),
        (("--damping", "0"), "--damping must be positive"),
        (("--wavelength", "-5"), "wavelength is -5.0; give a positive number of nm"),
        (("--temperature", "-1"), "temperature is -1.0"),
        (("--step", "0"), "step is 0.0; give a positive number of Å"),
        (("--geometry", "z(zx)-z"), "cannot be polarized along z"),
        (("--geometry", "zxxz"), "is not in Porto's notation"),
    ):
        assert_one_line_error(run(*common, *arguments), 2, message)
    lacking = save_random_model(tmp_path / "charges", dielectric=False)
    result = run("raman", salt_file, "--model", lacking)
    assert_one_line_error(result, 2, "does not give dielectric_tensor")
