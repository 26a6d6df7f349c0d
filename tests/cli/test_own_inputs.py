"""A command never overwrites a file that it was given to read."""

from __future__ import annotations

import inspect
import os
import shutil

import ase.io
import pytest
from helpers.command_line import assert_one_line_error, run, triclinic_salt
from helpers.paths import REPOSITORY

from ase_equivar.cli.main import app
from ase_equivar.cli.own_inputs import OUTPUTS, check_outputs

COMMANDS = {command.callback.__name__: command.callback for command in app.registered_commands}
READ = {"structure", "structures", "trajectory", "start", "end", "born", "input_file", "waveform"}
FOLDERS = {"folder", "pseudopotentials", "config"}


@pytest.fixture
def crystal(tmp_path):
    file = tmp_path / "crystal.extxyz"
    ase.io.write(file, [triclinic_salt() for _ in range(3)])
    return file


def test_each_option_that_names_a_file_is_known_to_be_read_or_written():
    named = {
        name
        for command in COMMANDS.values()
        for name, option in inspect.signature(command).parameters.items()
        if "Path" in str(option.annotation)
    }
    assert named - READ - FOLDERS == set(OUTPUTS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("select", "FILE", "-o", "FILE", "--number", "2"),
        ("select", "other.extxyz", "--known", "FILE@::2", "-o", "FILE"),
        ("label", "FILE", "-o", "FILE", "--pseudopotentials", "."),
        ("label", "FILE@:1", "-o", "FILE", "--pseudopotentials", "."),
        ("born", "FILE", "-o", "FILE"),
        ("phonons", "FILE", "-o", "FILE"),
        ("screen", "FILE", "-o", "FILE"),
        ("evaluate", "universal", "FILE", "--output", "FILE"),
        ("plot", "universal", "FILE", "--output", "FILE"),
        ("lammps", "FILE", "--elements", "Na,Cl", "--field", "0", "0", "1", "--log", "FILE"),
    ],
)
def test_its_input_is_refused_as_output_and_stays_as_it_was(crystal, arguments, monkeypatch):
    monkeypatch.chdir(crystal.parent)
    before = crystal.read_bytes()
    result = run(*(word.replace("FILE", str(crystal)) for word in arguments))
    assert_one_line_error(result, 2, "is a file to be read; give the output another name")
    assert crystal.read_bytes() == before
    assert os.listdir(crystal.parent) == [crystal.name]


def test_another_name_of_the_same_file_is_refused_too(crystal, monkeypatch):
    monkeypatch.chdir(crystal.parent)
    link = crystal.with_name("link.extxyz")
    link.symlink_to(crystal)
    with pytest.raises(ValueError, match=r"link\.extxyz is a file to be read"):
        check_outputs({"trajectory": crystal, "output": [link]})
    check_outputs({"trajectory": crystal, "output": [crystal.with_name("new.extxyz")]})


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "MODEL", "FILE", "--output", "MODEL/config.json"),
        ("plot", "MODEL", "FILE", "--output", "MODEL/weights.safetensors"),
        ("born", "FILE", "--model", "MODEL", "-o", "MODEL/CARD.md"),
    ],
)
def test_files_of_a_model_in_use_are_no_output(crystal, arguments, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(REPOSITORY / "models" / "universal", folder)
    names = {"FILE": str(crystal), "MODEL": str(folder)}
    words = [arguments[0]]
    for word in arguments[1:]:
        first, slash, rest = word.partition("/")
        words.append(names.get(first, first) + slash + rest)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert_one_line_error(run(*words), 2, "is a file to be read; give the output another name")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "outputs",
    [
        ("-o", "x.csv", "--density", "x.csv"),
        ("-o", "x.png", "-o", "./x.png"),
        ("--density", "phonons.png"),  # the default of --output
        ("-o", "x.png", "--angular", "link.png"),
    ],
)
def test_two_outputs_of_one_name_are_refused(crystal, outputs, monkeypatch):
    monkeypatch.chdir(crystal.parent)
    os.symlink("x.png", "link.png")
    result = run("phonons", crystal, *outputs)
    assert_one_line_error(result, 2, "is the name of two outputs; give each another one")
    assert sorted(os.listdir(crystal.parent)) == ["crystal.extxyz", "link.png"]


def test_files_of_a_run_are_no_output(tmp_path):
    for name in ("run.json", "sub/run.log"):
        with pytest.raises(ValueError, match="that --folder keeps the run in; give the output"):
            check_outputs({"folder": tmp_path, "output": [tmp_path / "sub" / ".." / name]})
    check_outputs({"folder": tmp_path, "output": [tmp_path / "loop.json"]})
    check_outputs({"folder": tmp_path / "other", "output": [tmp_path / "run.json"]})
    check_outputs({"folder": None, "output": [tmp_path / "run.json"]})
