"""Forces of any ASE calculator by its import path, in the commands and in their workers."""

from __future__ import annotations

import email.mime.text
import hashlib
import re
import sys
from pathlib import Path

import ase
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.io import write
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.screening_runs import read

from ase_equivar.cli.inputs import forces_calculator
from ase_equivar.cli.potentials import calculator_identity
from ase_equivar.dielectric import infrared_modes
from ase_equivar.phonons import apply_nac, force_constants

MODULE = """
from ase.calculators.lj import LennardJones

def make():
    return LennardJones(sigma=2.5, epsilon=0.3, rc=6.0)

def wants_more(cutoff):
    return make()

def number():
    return 42

def no_file():
    raise FileNotFoundError("no weights")

constant = 1.0
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a module in it."""
    (tmp_path / "my_lj.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("1 / 0")
    write(tmp_path / "salt.cif", bulk("NaCl", "rocksalt", a=5.64))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_lj", None)


def lowest_of_lennard_jones():
    salt = bulk("NaCl", "rocksalt", a=5.64)
    forces = LennardJones(sigma=2.5, epsilon=0.3, rc=6.0)
    phonon = force_constants(salt, forces, (1, 1, 1), progress=False)
    charges = [[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]], [[-1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]]]
    apply_nac(phonon, (charges, [[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]]))
    return min(mode.frequency_cm for mode in infrared_modes(phonon))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_screening_with_a_calculator_of_the_current_folder(folder, model, workers):
    arguments = ("screen", "salt.cif", "-o", "t.csv", "--model", model, "--relax", "none")
    result = run(*arguments, "--calculator", "my_lj:make", "--workers", workers)
    assert result.exit_code == 0, result.output
    (row,) = read("t.csv")
    assert row["problem"] == ""
    assert float(row["lowest_cm"]) == pytest.approx(lowest_of_lennard_jones(), rel=1e-4)


@pytest.mark.parametrize("command", ["phonons", "infrared"])
def test_calculator_of_phonons(folder, model, command):
    arguments = (command, "salt.cif", "--supercell", 1, 1, 1, "--model", model, "-o", "x.png")
    result = run(*arguments, "--calculator", "my_lj:make")
    assert result.exit_code == 0, result.output
    assert "forces: my_lj:make" in " ".join(result.output.split())


def test_an_installed_class():
    found = forces_calculator("ase.calculators.lj:LennardJones", None)
    assert isinstance(found, LennardJones)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("m3gnet", "unknown calculator 'm3gnet'; there are sevennet-0, .* any other by its import"),
        ("no_such_module:make", "cannot import the module 'no_such_module'.*ModuleNotFoundError"),
        ("broken:make", "cannot import the module 'broken'.*ZeroDivisionError"),
        (":make", "cannot import the module ''"),
        ("my_lj:absent", "the module 'my_lj' has no function 'absent'"),
        ("my_lj:constant", "the module 'my_lj' has no function 'constant'"),
        ("my_lj:wants_more", "when called without arguments, but failed: TypeError"),
        ("my_lj:no_file", "but failed: FileNotFoundError: no weights"),
        ("my_lj:number", "my_lj:number returned a int, which is not an ASE calculator"),
    ],
)
def test_paths_that_do_not_serve(folder, path, message):
    with pytest.raises(ValueError, match=message):
        forces_calculator(path, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("m3gnet", "unknown calculator 'm3gnet'"),
        (":make", "cannot import the module ''"),
        ("my_lj:absent", "the module 'my_lj' has no function 'absent'"),
    ],
)
def test_screening_tells_them_before_anything_is_written(folder, model, path, message):
    arguments = ("screen", "salt.cif", "-o", "t.csv", "--model", model, "--calculator", path)
    assert_one_line_error(run(*arguments), 2, message)
    assert not list(Path.cwd().glob("t.csv*"))


def test_the_identity_of_a_calculator_needs_no_import(folder):
    """It changes with the code or the weights, and says the version of the package."""
    plain = calculator_identity("my_lj:make")
    with Path("my_lj.py").open("a") as file:
        file.write("# edited\n")
    assert "my_lj" not in sys.modules
    edited = calculator_identity("my_lj:make")
    assert re.fullmatch("my_lj:make, [0-9a-f]{16}", plain)
    assert re.fullmatch("my_lj:make, [0-9a-f]{16}", edited)
    assert plain != edited
    parent = calculator_identity("email.mime.text:MIMEText")  # a module two folders down
    digest = hashlib.sha256()
    content = Path(email.mime.text.__file__).read_bytes()
    digest.update(len(content).to_bytes(8, "big") + content)
    assert parent == f"email.mime.text:MIMEText, {digest.hexdigest()[:16]}"
    assert calculator_identity("ase.calculators.lj:LennardJones").split(", ")[1] == (
        f"ase {ase.__version__}"
    )
    assert calculator_identity("no_such.module:make") == "no_such.module:make"
    Path("outer/inner").mkdir(parents=True)  # packages without __init__.py
    Path("outer/inner/mine.py").write_text("1 / 0")
    assert re.fullmatch(
        "outer.inner.mine:make, [0-9a-f]{16}", calculator_identity("outer.inner.mine:make")
    )
    Path("weights").write_bytes(b"1")
    first = calculator_identity("nequix:weights")
    Path("weights").write_bytes(b"2")
    assert calculator_identity("nequix:weights") != first
