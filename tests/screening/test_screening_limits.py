"""Crystals that take too much time or memory, or end their process, cost nobody else's row."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from helpers.command_line import run, save_random_model
from helpers.screening_runs import FormalCharges, read, salts, screened

from ase_equivar.screening import Limits, Recipe, screen
from ase_equivar.screening.journal import Journal
from ase_equivar.screening.limits import could_go_further
from ase_equivar.screening.row import Row

LIMITS = Limits(seconds=60.0, gigabytes=8.0)


class Greedy(FormalCharges):
    """Takes memory without end for bromides, time for chlorides, its own life for fluorides."""

    def calculate(self, atoms=None, properties=(), system_changes=()):
        numbers = set(atoms.numbers)
        if 35 in numbers:
            taken = []
            while True:
                taken.append(np.ones(10_000_000))
                time.sleep(0.001)
        if 17 in numbers:
            time.sleep(600)
        if 9 in numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        super().calculate(atoms, properties, system_changes)


def oxides(n):
    """Some crystals without halogens."""
    return [
        Atoms("MgO", [[0, 0, 0], [2.1, 0.1 * k, 0]], cell=[4.2, 3, 3], pbc=True) for k in range(n)
    ]


@pytest.mark.slow
def test_what_exceeds_a_limit_is_a_row_with_a_problem(tmp_path):
    greedy = salts()
    write(tmp_path / "x.extxyz", [*oxides(1), greedy[0], greedy[1], greedy[3], *oxides(2)])
    files, recipe = [tmp_path / "x.extxyz"], Recipe(Greedy, None)
    limits = Limits(seconds=20.0, gigabytes=1.5)
    rows = screened(files, tmp_path / "t.csv", recipe, workers=2, limits=limits)
    assert [bool(row.epsilon_infinity) for row in rows] == [True, False, False, False, True, True]
    assert rows[1].problem == "its process was ended twice (SIGKILL); out of memory, perhaps"
    assert rows[2].problem == "takes more than 20 s (--time-limit)"
    assert rows[3].problem == "takes more than 1.5 GB (--memory-limit)"
    assert [row.formula for row in rows[1:4]] == ["LiF", "LiCl", "LiBr"]


def test_rows_do_not_depend_on_the_process(tmp_path):
    write(tmp_path / "x.extxyz", salts())
    files, recipe = [tmp_path / "x.extxyz"], Recipe(FormalCharges, None)
    screen(files, tmp_path / "here.csv", recipe)
    screen(files, tmp_path / "there.csv", recipe, limits=LIMITS)
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


@pytest.mark.slow
def test_a_restart_does_not_meet_the_same_crystal_again(tmp_path, monkeypatch):
    """The journal keeps the row of what exceeded a limit."""
    write(tmp_path / "x.extxyz", [salts()[0], *oxides(1)])
    files, recipe = [tmp_path / "x.extxyz"], Recipe(Greedy, None)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            screen(files, tmp_path / "t.csv", recipe, limits=LIMITS)
    assert "ended twice" in (tmp_path / "t.csv.partial").read_text()
    screen(files, tmp_path / "t.csv", recipe)  # would kill this process


class Patient(FormalCharges):
    """Answers at once."""


@pytest.mark.slow
def test_larger_limits_are_tried_again_and_others_not(tmp_path, monkeypatch):
    """A restart kept what a smaller limit, or a machine without memory, had said of a crystal."""
    lif, licl, _, libr = salts()[:4]
    write(tmp_path / "x.extxyz", [lif, licl, libr, *oxides(1)])
    files, name = [tmp_path / "x.extxyz"], tmp_path / "t.csv"
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        limits = Limits(seconds=20.0, gigabytes=1.5)
        with pytest.raises(KeyboardInterrupt):
            screen(files, name, Recipe(Greedy, None), limits=limits)
    journal = tmp_path / "t.csv.partial"
    begun = journal.read_text()
    journal.write_text(begun.replace("Greedy", "Patient"))  # the same recipe, on a better day
    limits = Limits(seconds=30.0, gigabytes=1.5)
    rows = screened(files, name, Recipe(Patient, None), limits=limits)
    assert [bool(row.epsilon_infinity) for row in rows] == [True, True, False, True]
    assert rows[2].problem == "takes more than 1.5 GB (--memory-limit)"


@pytest.mark.parametrize(
    ("problem", "limits", "expected"),
    [
        ("takes more than 20 s (--time-limit)", Limits(seconds=20.0), False),
        ("takes more than 20 s (--time-limit)", Limits(seconds=21.0), True),
        ("takes more than 1.5 GB (--memory-limit)", Limits(seconds=9e9, gigabytes=1.5), False),
        ("takes more than 1.5 GB (--memory-limit)", Limits(gigabytes=2.0), True),
        ("takes more than 1.5 GB (--memory-limit)", None, True),
        ("its process was ended twice (SIGKILL); out of memory, perhaps", Limits(), True),
        ("its process was ended twice (SIGKILL); out of memory, perhaps", None, False),
        ("a metal", Limits(), False),
        (None, Limits(), False),
    ],
)
def test_what_a_restart_tries_again(problem, limits, expected):
    assert could_go_further(Row("x", None, problem=problem), limits) is expected


def unusable():
    """Make no calculator."""
    raise ValueError("no weights here")


@pytest.mark.slow
def test_a_factory_that_fails_there_is_told(tmp_path):
    write(tmp_path / "x.extxyz", oxides(1))
    recipe = Recipe(FormalCharges, unusable)
    with pytest.raises(ValueError, match=r"^no weights here$"):
        screen([tmp_path / "x.extxyz"], tmp_path / "t.csv", recipe, limits=LIMITS)
    assert not list(tmp_path.glob("t.csv*"))


def hostile():
    """Cells that flatten memory when anything is searched in them."""
    good = salts()[2]
    cells = {
        "a thousandth": good.cell.array * 1e-3,
        "flat": good.cell.array @ np.diag([1, 1, 1e-4]),
        "0.29 Å high": np.diag([40.0, 40.0, 0.29]),
        "huge": good.cell.array * 1e300,
        "no volume": np.array([[3.0, 0, 0], [0, 3, 0], [3, 3, 1e-9]]),
        "sheared": np.array([[3.0, 0, 0], [0, 3, 0], [9e4, 9e4, 3]]),
    }
    for name, cell in cells.items():
        atoms = good.copy()
        atoms.set_cell(cell, scale_atoms=name != "sheared")
        yield name, atoms


@pytest.mark.slow
def test_hostile_cells_are_rows_with_a_problem(tmp_path):
    """From the command line to the table, within a minute and a gigabyte for all of them."""
    folder = tmp_path / "crystals"
    folder.mkdir()
    names = []
    for number, (name, atoms) in enumerate(hostile()):
        write(folder / f"{number}.extxyz", atoms)
        names.append(name)
    write(folder / "9.extxyz", salts()[2])
    model = save_random_model(tmp_path / "model")
    table = tmp_path / "t.csv"
    limits = ("--time-limit", 60, "--memory-limit", 2, "--calculator", "none")
    result = run("screen", folder, "-o", table, "--model", model, *limits)
    assert result.exit_code == 0, result.output
    rows = read(table)
    assert rows[-1]["problem"] == ""
    for name, row in zip(names, rows, strict=False):
        assert row["problem"], name
        assert "takes more" not in row["problem"], name
        assert "ended twice" not in row["problem"], name


def test_limits_are_positive_numbers():
    for name, value in (("seconds", 0.0), ("gigabytes", float("nan")), ("seconds", "1")):
        with pytest.raises(ValueError, match=name):
            replace(LIMITS, **{name: value})


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="lists processes as Linux does")
def test_an_interruption_ends_all_processes_at_once(tmp_path, monkeypatch):
    """One of them is at a crystal that takes ten minutes, and others wait for it."""
    write(tmp_path / "x.extxyz", [salts()[1], *oxides(1), *[salts()[1]] * 8])
    files, recipe = [tmp_path / "x.extxyz"], Recipe(Greedy, None)

    def interrupted(*_):
        assert len(screening_processes()) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", interrupted)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        screen(files, tmp_path / "t.csv", recipe, workers=2)
    assert time.monotonic() - began < 300
    assert not screening_processes()


def screening_processes():
    """Return the command lines of the processes that this one started for crystals."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            found += [command] if b"screening.serving" in command else []
    return found
