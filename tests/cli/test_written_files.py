"""Files of a command: one that cannot be written, or comes too late, does not cost the others."""

from __future__ import annotations

import errno
import json
import re

import pytest
from helpers.command_line import assert_one_line_error, run, save_salt, triclinic_salt
from helpers.springs import Springs

import ase_equivar.io.numbers_files
from ase_equivar.cli import inputs
from ase_equivar.cli.written_files import numbers_first


@pytest.fixture
def yaml(tmp_path):
    save_salt(tmp_path / "phonopy.yaml", 1)
    return tmp_path / "phonopy.yaml"


@pytest.fixture
def full_disk(monkeypatch):
    """Files whose names say so cannot be written."""
    write = ase_equivar.io.numbers_files.write_text

    def write_text(path, text):
        if "full" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    monkeypatch.setattr("ase_equivar.io.numbers_files.write_text", write_text)


def test_others_are_written_and_the_error_has_the_name(yaml, tmp_path, full_disk):
    names = ["full.json", "x.png", "x.json", "x.csv", "full_too.json"]
    outputs = [part for name in names for part in ("-o", tmp_path / name)]
    result = run("infrared", yaml, *outputs, "--modes", tmp_path / "modes.csv")
    expected = (
        rf"could not be written: {tmp_path}/full.json \(No space left on device\), "
        rf"{tmp_path}/full_too.json \(No"
    )
    assert_one_line_error(result, 2, expected)
    there = sorted(path.name for path in tmp_path.iterdir())
    assert there == ["modes.csv", "phonopy.yaml", "x.csv", "x.json", "x.png"]
    assert re.findall(r"^written: .*/(\S+)$", result.stdout, re.MULTILINE) == [
        "modes.csv",
        "x.json",
        "x.csv",
        "x.png",
    ]


@pytest.mark.parametrize("command", ["phonons", "infrared"])
def test_files_that_failed_are_told_beside_a_later_error(
    yaml, tmp_path, full_disk, monkeypatch, command
):
    def fail(*_, **__):
        raise ValueError("no picture today")

    monkeypatch.setattr("ase_equivar.plotting.plot_infrared", fail)
    monkeypatch.setattr("ase_equivar.plotting.plot_bands", fail)
    outputs = ("-o", tmp_path / "x.png", "-o", tmp_path / "full.json")
    result = run(command, yaml, *outputs)
    assert_one_line_error(result, 2, "no picture today")
    assert "not written: " in result.stdout
    assert "full.json (No space left on device)" in result.stdout


def test_dampings_that_do_not_fit_cost_no_modes(yaml, tmp_path):
    """Nobody knows how many modes there are before they are calculated."""
    outputs = ("-o", tmp_path / "x.json", "-o", tmp_path / "x.csv")
    outputs = (*outputs, "--modes", tmp_path / "modes.csv")
    result = run("infrared", yaml, "--damping", 5, "--damping", 6, *outputs)
    assert_one_line_error(result, 2, r"--damping is given 2 times: give it once, or once for each")
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["spectrum"] is None
    assert len(content["modes"]) == 9
    assert (tmp_path / "modes.csv").exists()
    assert not (tmp_path / "x.csv").exists()


def test_numbers_come_before_pictures(tmp_path):
    names = ["a.png", "b.json", "c.pdf", "d.csv", "e.yaml", "f.vasp"]
    ordered = [path.name for path in numbers_first(tmp_path / name for name in names)]
    assert ordered == ["b.json", "d.csv", "e.yaml", "f.vasp", "a.png", "c.pdf"]


def test_an_interruption_is_told(tmp_path, monkeypatch):
    """It ended without a word, and nobody knew what had become of the run."""

    class Interrupted(Springs):
        def calculate(self, *_, **__):
            raise KeyboardInterrupt

    salt = triclinic_salt()
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: Interrupted(salt, 4.5))
    salt.write(tmp_path / "salt.extxyz")
    result = run("infrared", tmp_path / "salt.extxyz", "--relax", "none", "-o", tmp_path / "x.json")
    assert result.exit_code == 130
    assert result.stderr.strip().splitlines()[-1] == "interrupted"
    assert not (tmp_path / "x.json").exists()
