"""Files are written as a whole or not at all: full disks and kills leave what was there."""

from __future__ import annotations

import ast
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.command_line import save_random_model, triclinic_salt
from helpers.given_charges import triclinic_pair

import ase_equivar
from ase_equivar import write_extxyz
from ase_equivar.inference.models import load_model, save_model
from ase_equivar.io.numbers_files import write_csv, write_json
from ase_equivar.io.output_files import (
    check_folder,
    make_folder,
    remove_partial,
    replacing,
    write_text,
)
from ase_equivar.phonons import write_born

PACKAGE = Path(ase_equivar.__file__).parent


def labelled() -> Atoms:
    atoms = triclinic_pair()
    atoms.calc = SinglePointCalculator(
        atoms, born_effective_charges=np.array([np.eye(3), -np.eye(3)])
    )
    return atoms


def born(path: Path) -> None:
    charges = np.array([np.eye(3), -np.eye(3)])
    write_born(path, triclinic_pair(), (charges, 2.0 * np.eye(3)))


WRITERS: dict[str, Callable[[Path], None]] = {
    "text.json": lambda path: write_text(path, "new"),
    "numbers.json": lambda path: write_json(path, {"a": [1.0]}),
    "table.csv": lambda path: write_csv(path, ["a"], [[1.0]]),
    "BORN": born,
    "frames.extxyz": lambda path: write_extxyz(path, labelled()),
    "frames.extxyz.gz": lambda path: write_extxyz(path, labelled()),
}


def full_disk(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_earlier_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_text("earlier")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            WRITERS[name](path)
    assert path.read_text() == "earlier"
    assert not list(tmp_path.glob(".*"))
    WRITERS[name](path)
    assert path.read_bytes() != b"earlier"
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_earlier_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(save_random_model(tmp_path / "model"))
    network = load_model(folder)
    calls: list[int] = []
    for allowed in range(4):  # two files and their folder, each to the disk

        def fails_later(handle: int, allowed: int = allowed) -> None:
            calls.append(handle)
            if len(calls) > allowed:
                full_disk(handle)

        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fails_later)
            with contextlib.suppress(OSError):
                save_model(network, folder, metadata={"number": allowed})
        again = load_model(folder).state_dict()
        assert all(torch.equal(again[name], value) for name, value in network.state_dict().items())
        assert not list(folder.glob(".*"))


KILLED = """
import os, signal, sys
from pathlib import Path
from ase_equivar.io.output_files import replacing
def killed(_):
    os.kill(os.getpid(), signal.SIGKILL)
os.fsync = killed
with replacing(sys.argv[1]) as partial:
    partial.write_text("half")
"""


def test_a_kill_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("earlier")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "earlier"


def test_links_permissions_and_devices_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("earlier")
    path.chmod(0o640)
    link.symlink_to(path)
    write_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    write_text("/dev/null", "new")
    assert Path("/dev/null").is_char_device()


def test_errors_of_the_writer_come_out_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    def write_half() -> None:
        with replacing(tmp_path / "x") as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent"):
        write_text(tmp_path / "absent/x", "")


def test_what_another_file_is_written_to_is_left(tmp_path: Path) -> None:
    """The names of both begin alike."""
    with replacing(tmp_path / "run.2.json") as partial:
        partial.write_text("half")
        (tmp_path / ".run.77.partial.json").write_text("left by a killed process")
        remove_partial(tmp_path / "run.json")
        assert [path.name for path in tmp_path.iterdir()] == [partial.name]
        partial.write_text("whole")
    assert (tmp_path / "run.2.json").read_text() == "whole"


@pytest.mark.slow
def test_nothing_else_writes_whole_files() -> None:
    """Appending is another matter: what is torn there is left out by the readers."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        if file.name == "output_files.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            text = ast.unparse(node)
            writes = (
                ".write_text(" in text or ".write_bytes(" in text or ".savefig(" in text
                or (("open(" in text[:6] or ".open(" in text) and ("'w" in text))
            )  # fmt: skip
            if writes and "partial" not in text and "_file." not in text:
                found.append(f"{file.relative_to(PACKAGE)}: {text[:80]}")
    # input and output of programs, in a scratch folder; a picture in memory; records of training,
    # which are appended and counted by an index that is replaced as a whole
    allowed = (
        "labelling/programs.py",
        "plotting/figure.py: self.savefig(buffer",
        "training/record_writer.py",
    )
    assert not [one for one in found if not one.startswith(allowed)], found


@pytest.mark.parametrize("name", ["file", "file/below", "new/below"])
def test_folders_of_outputs(tmp_path, name):
    (tmp_path / "file").write_text("")
    if name.startswith("new"):
        assert make_folder(tmp_path / name).is_dir()
        assert make_folder(tmp_path / name).is_dir()  # is there
    else:
        with pytest.raises(NotADirectoryError, match=f"{name} is not a folder, or lies below"):
            make_folder(tmp_path / name)


def by_mode(path, mode: int) -> bool:
    """What os.access says to those who are not root."""
    return bool(os.stat(path).st_mode & 0o200) or not mode & os.W_OK


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", by_mode)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder is a folder; give the name of a file"):
        check_folder(tmp_path / "folder")
    (tmp_path / "dangling").symlink_to("nowhere/x.json")
    with pytest.raises(FileNotFoundError, match=r"dangling is a link to .*nowhere/x\.json, and"):
        check_folder(tmp_path / "dangling")
    (tmp_path / "kept").write_text("DFPT")
    (tmp_path / "kept").chmod(0o444)
    (tmp_path / "link").symlink_to("kept")
    for name in ("kept", "link"):
        with pytest.raises(PermissionError, match=f"{name} is write-protected"):
            check_folder(tmp_path / name)
    with pytest.raises(PermissionError), replacing(tmp_path / "kept"):
        raise AssertionError
    assert (tmp_path / "kept").read_text() == "DFPT"
    (tmp_path / "folder" / "old").write_text("")
    (tmp_path / "folder").chmod(0o555)
    for name in ("new", "old"):  # the old one would be replaced by a new one
        with pytest.raises(PermissionError, match="nothing can be written into"):
            check_folder(tmp_path / "folder" / name)
    (tmp_path / "folder").chmod(0o755)
    assert check_folder("/dev/null") == Path("/dev/null")


@pytest.mark.slow
def test_output_in_an_encoding_without_greek_letters(tmp_path) -> None:
    ase.io.write(tmp_path / "salt.vasp", triclinic_salt())
    model = save_random_model(tmp_path / "model")
    start = "from ase_equivar.cli.main import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", start, "born", "salt.vasp", "--model", model, "-o", "z.json"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "z.json").exists()
    assert done.stdout.isascii()


def test_numbers_are_json_that_any_program_reads(tmp_path: Path) -> None:
    content = {"error": float("nan"), "rows": [(1.0, float("inf")), {"low": -float("inf")}], "n": 2}
    write_json(tmp_path / "numbers.json", content)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    read = json.loads((tmp_path / "numbers.json").read_text(), parse_constant=refuse)
    assert read == {"error": None, "rows": [[1.0, None], {"low": None}], "n": 2}
