"""Files are written whatever becomes of standard output; exit codes say what went wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from ase.calculators.calculator import PropertyNotImplementedError
from helpers.command_line import save_random_model, triclinic_salt

from ase_equivar.cli.inputs import user_errors

COMMAND = "from ase_equivar.cli.main import app; app()"


@pytest.fixture(scope="module")
def salt(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a structure file and a model."""
    folder = tmp_path_factory.mktemp("salt")
    triclinic_salt().write(folder / "salt.extxyz")
    return str(folder / "salt.extxyz"), save_random_model(folder / "model")


@pytest.mark.slow
def test_a_pipe_that_nobody_reads(tmp_path: Path, salt: tuple[str, str]) -> None:
    """The first line that is printed fails; the command goes on, and ends without a word."""
    structure, model = salt
    output = tmp_path / "born.json"
    command = [sys.executable, "-c", COMMAND, "born", structure, "--model", model, "-o", output]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        told = process.stderr.read().decode()
        assert process.wait() == 1
    assert "Traceback" not in told
    assert "Broken pipe" not in told
    assert "Exception ignored" not in told
    assert len(json.loads(output.read_text())["born_charges"]) == 4


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk(tmp_path: Path, salt: tuple[str, str]) -> None:
    structure, model = salt
    output = tmp_path / "born.json"
    command = [sys.executable, "-c", COMMAND, "born", structure, "--model", model, "-o", output]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert output.exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PropertyNotImplementedError("no 'stress'"), 2),
        (ValueError("a number is wrong"), 2),
        (RuntimeError("the calculator failed"), 1),
        (FloatingPointError("not finite"), 1),
    ],
)
def test_exit_codes_tell_bad_input_from_failures(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A calculator that cannot give a property was a failure in some commands, as ASE raises it."""
    with pytest.raises(typer.Exit) as found, user_errors():
        raise error
    assert found.value.exit_code == code
    assert f"error: {error}" in capsys.readouterr().err
