"""Screenings that were stopped go on with the same model, past damage, and skip no crystal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from ase.io import write
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.screening_runs import FormalCharges, read, salts, screened

from ase_equivar.inference.model_files import model_digest
from ase_equivar.inference.models import load_model, save_model
from ase_equivar.screening import Recipe, screen
from ase_equivar.screening.journal import Journal

WITHOUT_FORCES = Recipe(FormalCharges, None)


@pytest.fixture
def stop(monkeypatch):
    """Let a run stop before its third row."""
    return lambda: stop_in(monkeypatch)


def stop_in(patch):
    add = Journal.add

    def stopping(journal, rows, contents):
        if journal.path.read_bytes().count(b"\n") == 3:  # the settings, and two rows
            raise RuntimeError("stopped here")
        return add(journal, rows, contents)

    patch.setattr(Journal, "add", stopping)


FORCES = "forces_of_a_stopped_screening"
COMMAND = ("screen", "salts.extxyz", "-o", "t.csv", "--model", "model", "--relax", "none")
COMMAND = (*COMMAND, "--calculator", f"{FORCES}:make")


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory):
    """The folder of a command that was stopped after two of three crystals."""
    folder = tmp_path_factory.mktemp("stopped")
    save_random_model(folder / "model")
    salt = salts()[2]
    salt.info["gap"] = 8.5
    write(folder / "salts.extxyz", [salt] * 3)
    (folder / f"{FORCES}.py").write_text(
        "from helpers.screening_runs import Repulsion\n\ndef make():\n    return Repulsion()\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stop_in(patch)
        assert run(*COMMAND).exit_code == 1
    assert len((folder / "t.csv.partial").read_text().splitlines()) == 3
    return folder


@pytest.fixture
def stopped(stopped_run, tmp_path, monkeypatch):
    """The arguments of the stopped command; the current folder is a copy of its own."""
    shutil.copytree(stopped_run, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    module = f"forces_of_{abs(hash(tmp_path))}"  # that no other test has imported
    Path(f"{FORCES}.py").rename(f"{module}.py")
    journal = Path("t.csv.partial")
    journal.write_text(journal.read_text().replace(FORCES, module))
    return tuple(part.replace(FORCES, module) for part in COMMAND)


@pytest.mark.slow
def test_the_same_command_goes_on(stopped, tmp_path):
    assert run(*stopped).exit_code == 0
    assert [row["formula"] for row in read(tmp_path / "t.csv")] == ["NaCl"] * 3


@pytest.mark.slow
def test_other_weights_under_the_same_name_are_refused(stopped, tmp_path):
    before = (tmp_path / "t.csv.partial").read_bytes()
    network = load_model(tmp_path / "model")
    next(network.parameters()).data += 1e-6
    save_model(network, tmp_path / "model")
    message = r"t\.csv\.partial is of a screening with other settings: model was model [0-9a-f]{16}"
    assert_one_line_error(run(*stopped), 2, message)
    assert (tmp_path / "t.csv.partial").read_bytes() == before
    assert len(read(tmp_path / "t.csv")) == 2


@pytest.mark.slow
def test_another_config_of_the_same_model_is_refused(stopped, tmp_path):
    digest = model_digest(tmp_path / "model")
    save_model(load_model(tmp_path / "model"), tmp_path / "model", metadata={"note": "changed"})
    assert model_digest(tmp_path / "model") != digest
    assert_one_line_error(run(*stopped), 2, "model was")


@pytest.mark.slow
def test_another_potential_under_the_same_name_is_refused(stopped, tmp_path):
    (module,) = tmp_path.glob("forces_of_*.py")
    with module.open("a") as file:
        file.write("# edited\n")
    assert_one_line_error(run(*stopped), 2, "calculator was .*:make, [0-9a-f]{16}, is now")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--relax", "cell"), "relax was none, is now cell"),
        (("--gap-key", "gap"), "gap_key was band_gap, is now gap"),
        (("--device", "cpu"), "device was automatic, is now cpu"),
        (("--calculator", "none"), "forces wanted was True, is now False"),
    ],
)
def test_every_option_that_changes_rows_is_compared(stopped, options, told):
    assert_one_line_error(run(*stopped, *options), 2, told)


def test_another_version_is_refused(tmp_path, stop, monkeypatch):
    write(tmp_path / "salts.extxyz", salts())
    with monkeypatch.context():
        stop()
        with pytest.raises(RuntimeError, match="stopped here"):
            screen([tmp_path / "salts.extxyz"], tmp_path / "t.csv", WITHOUT_FORCES)
        monkeypatch.undo()
    monkeypatch.setattr("ase_equivar.screening.run.__version__", "0.0.1")
    with pytest.raises(ValueError, match=r"ase_equivar was \S+, is now 0\.0\.1"):
        screen([tmp_path / "salts.extxyz"], tmp_path / "t.csv", WITHOUT_FORCES)


def damaged(journal, how):
    lines = journal.read_text().splitlines(keepends=True)
    content = {
        "cut off": "".join(lines)[:-50],
        "no number": "".join(lines).replace('"epsilon_infinity": 2', '"epsilon_infinity": "2"'),
        "no JSON": lines[0] + lines[1] + "nonsense\n",
        "a list": lines[0] + lines[1] + "[1, 2]\n",
        "no name": lines[0] + lines[1] + '{"content": "0"}\n',
        "other columns": lines[0] + lines[1] + lines[2].replace("notes", "remarks"),
        "deep": lines[0] + lines[1] + "[" * 100_000 + "\n",
        "zeros": "".join(lines) + "\0" * 512,
        "a middle line": lines[0] + lines[1][:30] + "\n" + lines[2],
    }[how]
    journal.write_text(content)


HOW = ["cut off", "no number", "no JSON", "a list", "no name", "other columns", "deep", "zeros"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [*HOW, "a middle line"])
def test_a_damaged_line_costs_its_own_crystal_only(tmp_path, stop, monkeypatch, caplog, how):
    files = [tmp_path / "salts.extxyz"]
    write(files[0], salts()[:3])
    screen(files, tmp_path / "whole.csv", WITHOUT_FORCES)
    with monkeypatch.context():
        stop()
        with pytest.raises(RuntimeError, match="stopped here"):
            screen(files, tmp_path / "t.csv", WITHOUT_FORCES)
        monkeypatch.undo()
    damaged(tmp_path / "t.csv.partial", how)
    screen(files, tmp_path / "t.csv", WITHOUT_FORCES)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert ("is damaged or cut off" in caplog.text) == (how != "zeros")


def test_bytes_that_are_no_text_cost_their_line_only(tmp_path):
    write(tmp_path / "salts.extxyz", salts())
    journal = Journal(tmp_path / "t.csv.partial", {})
    with journal.path.open("ab") as file:
        file.write(b'{"content": "\xff\xfe"}\n')
    Journal(tmp_path / "t.csv.partial", {})
    assert journal.path.read_text() == '{"settings": {}}\n'


@pytest.mark.parametrize(
    "content", [b"nonsense\n", b"[]\n", b"\xff\xfe\n", b'{"settings": "model a"}\n', b"precious"]
)
def test_a_file_that_is_no_journal_is_refused(tmp_path, content):
    path = tmp_path / "t.csv.partial"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a journal of screenings with this version"):
        Journal(tmp_path / "t.csv.partial", {})
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b'{"settings": {"a'])
def test_a_journal_that_was_killed_at_birth_starts_anew(tmp_path, content):
    (tmp_path / "t.csv.partial").write_bytes(content)
    Journal(tmp_path / "t.csv.partial", {"a": "b"})
    written = json.loads((tmp_path / "t.csv.partial").read_text())
    assert written == {"settings": {"a": "b"}}


class Deadly(FormalCharges):
    """Kills its process at bromides."""

    def calculate(self, atoms=None, properties=(), system_changes=()):
        if 35 in atoms.numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        super().calculate(atoms, properties, system_changes)


class Slow(FormalCharges):
    """Takes its time."""

    def calculate(self, atoms=None, properties=(), system_changes=()):
        time.sleep(1.5)
        super().calculate(atoms, properties, system_changes)


@pytest.mark.slow
def test_a_killed_worker_does_not_count_as_done(tmp_path):
    dask = pytest.importorskip("dask", reason="dask is not installed")
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    files = [tmp_path / "salts.extxyz"]
    write(files[0], salts())
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
    ):
        address = cluster.scheduler_address
        with pytest.raises(
            RuntimeError, match=r"[1-5] crystals are missing, because their workers"
        ):
            screen(files, tmp_path / "t.csv", Recipe(Deadly, None), scheduler=address)
    assert len(read(tmp_path / "t.csv")) < 5
    assert (tmp_path / "t.csv.partial").exists()
    screen(files, tmp_path / "t.csv", WITHOUT_FORCES)
    rows = read(tmp_path / "t.csv")
    assert [row["problem"] for row in rows] == [""] * 5
    assert all(row["epsilon_infinity"] for row in rows)


def test_a_wait_is_told(tmp_path, monkeypatch, caplog):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    write(tmp_path / "salts.extxyz", salts()[:1])
    monkeypatch.setattr("ase_equivar.screening.workers.PATIENCE", 0.3)
    files, recipe = [tmp_path / "salts.extxyz"], Recipe(Slow, None)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        (row,) = screened(files, tmp_path / "t.csv", recipe, scheduler=cluster.scheduler_address)
    assert row.problem == ""
    assert "no crystal was finished for 0.3 s: waiting for " in caplog.text
    assert "salts.extxyz, on 1 workers" in caplog.text
