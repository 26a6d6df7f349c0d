"""The infrared spectrum of a trajectory as data: what is in the files, and how frames are read."""

from __future__ import annotations

import csv
import json
import weakref
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.harmonic_runs import BORN, ELECTRONIC, STEP, harmonic_run

from ase_equivar.cli import inputs
from ase_equivar.dielectric import (
    current_spectrum,
    ionic_conductivity,
    trajectory_current,
)
from ase_equivar.io import write_current_csv, write_current_json
from ase_equivar.units import FrequencyUnit


@pytest.fixture(scope="module")
def current():
    return trajectory_current(harmonic_run(2000), BORN, STEP)


@pytest.fixture(scope="module")
def spectrum(current):
    return current_spectrum(current, ELECTRONIC, correlation_time=300.0, window="gaussian")


@pytest.mark.slow
@pytest.mark.parametrize("correction", ["harmonic", "standard", "schofield"])
def test_csv_holds_the_absorption_and_how_it_was_found(spectrum, tmp_path, correction):
    path = tmp_path / "x.csv"
    write_current_csv(path, spectrum, FrequencyUnit.CM, correction=correction)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, expected in (
        (f"n_alpha_{correction}_per_cm", spectrum.absorption(correction)),
        (f"error_n_alpha_{correction}_per_cm", spectrum.absorption_uncertainty(correction)),
        ("im_yz", spectrum.dielectric.epsilon[:, 1, 2].imag),
        ("error_im_xy", spectrum.absorption_error[:, 0, 1]),
        ("frequency_cm", spectrum.dielectric.frequencies_cm),
    ):
        found = [float(row[name]) for row in rows]
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)
    assert {row["window"] for row in rows} == {"gaussian"}
    (kelvin,) = {float(row["temperature_K"]) for row in rows}
    assert kelvin == pytest.approx(spectrum.temperature, rel=1e-6)
    assert {float(row["correlation_time_fs"]) for row in rows} == {300.0}


@pytest.mark.slow
def test_corrections_differ_in_the_file(spectrum, tmp_path):
    for name in ("harmonic", "schofield"):
        write_current_json(tmp_path / f"{name}.json", spectrum, correction=name)
    harmonic, schofield = (
        np.array(json.loads((tmp_path / f"{name}.json").read_text())["spectrum"]["n_alpha_per_cm"])
        for name in ("harmonic", "schofield")
    )
    x = units._hplanck * 1e12 * spectrum.dielectric.frequencies / (units._k * spectrum.temperature)
    np.testing.assert_allclose(schofield, harmonic * 2 * np.sinh(x / 2) / x, rtol=1e-5)


def test_json_holds_everything(current, spectrum, tmp_path):
    with pytest.warns(UserWarning, match="still correlated"):
        conductivity = ionic_conductivity(current, correlation_time=300.0)
    path = tmp_path / "x.json"
    write_current_json(path, spectrum, conductivity, correction="standard")
    content = json.loads(path.read_text())
    assert content["window"] == "gaussian"
    assert content["quantum_correction"] == "standard"
    assert content["correlation_time_fs"] == 300.0
    assert content["temperature_K"] == spectrum.temperature
    found = content["spectrum"]
    epsilon = np.array(found["epsilon_real"]) + 1j * np.array(found["epsilon_imaginary"])
    np.testing.assert_allclose(epsilon, spectrum.dielectric.epsilon)
    np.testing.assert_allclose(found["error_epsilon_imaginary"], spectrum.absorption_error)
    np.testing.assert_allclose(found["n_alpha_per_cm"], spectrum.absorption("standard"))
    np.testing.assert_allclose(found["loss"]["z"], -(1 / epsilon[:, 2, 2]).imag)
    mean = np.einsum("waa->w", epsilon) / 3
    root = np.sqrt(mean)
    np.testing.assert_allclose(
        found["reflectivity"]["powder"], np.abs((1 - root) / (1 + root)) ** 2
    )
    conducted = content["conductivity_S_per_m"]
    assert conducted["einstein"]["isotropic"] == conductivity.einstein.isotropic
    np.testing.assert_allclose(conducted["green_kubo"]["tensor"], conductivity.green_kubo.tensor)
    assert conducted["correlations_decayed"] is False
    assert conducted["still_correlated"] == conductivity.still_correlated


def test_a_remainder_of_which_nobody_is_warned_has_decayed(current, spectrum, tmp_path):
    """The file said that correlations had not decayed where the command said nothing."""
    with pytest.warns(UserWarning, match="still correlated"):
        conductivity = ionic_conductivity(current, correlation_time=300.0)
    for left, decayed in ((0.0, True), (0.05, True), (0.3, False)):
        write_current_json(
            tmp_path / "x.json", spectrum, replace(conductivity, still_correlated=left)
        )
        content = json.loads((tmp_path / "x.json").read_text())["conductivity_S_per_m"]
        assert content["correlations_decayed"] is decayed


@pytest.fixture
def run_file(tmp_path):
    """A bound lattice of NaCl whose ions swing for ever, each pair with the same period."""
    sites = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    signs = np.where(sites.numbers == 11, 1.0, -1.0)[:, None]
    frames = []
    for k in range(400):
        angle = 2 * np.pi * k / 40.0
        atoms = sites.copy()
        atoms.positions += 0.05 * np.sin(angle) * signs * [1.0, 0.5, 0.2]
        rate = 0.05 * np.cos(angle) * 2 * np.pi / 40.0 / units.fs
        atoms.set_velocities(rate * signs * [1.0, 0.5, 0.2])
        frames.append(atoms)
    path = tmp_path / "run.extxyz"
    ase.io.write(path, frames)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.mark.slow
def test_command_warns_of_a_bound_lattice_and_writes_all_kinds(run_file, model, tmp_path):
    outputs = [tmp_path / f"ir.{suffix}" for suffix in ("csv", "json", "png")]
    arguments = ["spectrum", run_file, "--timestep", 1.0, "--correlation-time", 40.0]
    arguments += ["--model", model, "--quantum-correction", "schofield"]
    result = run(*arguments, *(part for path in outputs for part in ("-o", path)))
    assert result.exit_code == 0, result.output
    warning = " ".join(result.stderr.split())
    assert "still correlated after 20 fs" in warning
    assert "has not converged" in warning
    assert "400 frames" in result.output
    assert "n_alpha_schofield_per_cm" in outputs[0].read_text().splitlines()[0]
    assert json.loads(outputs[1].read_text())["quantum_correction"] == "schofield"
    assert outputs[2].stat().st_size > 20_000


@pytest.mark.slow
def test_command_holds_few_frames_in_memory(run_file, model, monkeypatch):
    alive = weakref.WeakSet()
    most = 0
    original = ase.io.iread

    def counted(*arguments, **options):
        nonlocal most
        for atoms in original(*arguments, **options):
            alive.add(Counted(atoms))
            yield atoms

    class Counted:
        """Lives as long as the structure does."""

        def __init__(self, atoms):
            atoms.counted = self

    def measuring(*arguments):
        nonlocal most
        for atoms in read(*arguments):
            most = max(most, len(alive))
            yield atoms

    read = inputs.read_frames
    monkeypatch.setattr(ase.io, "iread", counted)
    monkeypatch.setattr(inputs, "read_frames", measuring)
    arguments = ("spectrum", run_file, "--timestep", 1.0, "--correlation-time", 40.0)
    result = run(*arguments, "--model", model)
    assert result.exit_code == 0, result.output
    assert 0 < most < 10


def test_zipped_and_damaged_trajectories(run_file, model, tmp_path):
    zipped = tmp_path / "run.extxyz.gz"
    ase.io.write(zipped, ase.io.read(run_file, ":"))
    assert len(list(inputs.read_frames(zipped))) == 400
    lines = run_file.read_text().splitlines(keepends=True)
    run_file.write_text("".join(lines[:-1]))
    result = run("spectrum", run_file, "--timestep", 1.0, "--model", model)
    assert_one_line_error(result, 2, r"ASE cannot read .*run\.extxyz")
    empty = tmp_path / "empty.extxyz"
    empty.write_text("")
    result = run("spectrum", empty, "--timestep", 1.0, "--model", model)
    assert_one_line_error(result, 2, r"empty\.extxyz is an empty file")
