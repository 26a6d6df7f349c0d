"""Who calculates which batch, and what comes of it when one fails, without real processes."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time

import pytest
from ase.io import write
from helpers.screening_runs import FormalCharges, salts

from ase_equivar.screening import Recipe, Row, screen
from ase_equivar.screening.limits import WatchedProcess
from ase_equivar.screening.structures import Entry
from ase_equivar.screening.workers import WAITING, Batch, processes


class OfScript(FormalCharges):
    """As if a script had defined it."""


class Imagined:
    """Stands for a process; calculates each batch when all of them are at work."""

    def __init__(self, recipe, limits):
        self.barrier, self.stopped = recipe, threading.Event()
        self.is_started = False

    def start(self):
        self.is_started = True
        return 7

    def screen(self, entries):
        assert self.is_started
        if entries[0].name == "cannot start":
            raise RuntimeError("no weights here")
        if entries[0].name == "endless":
            self.stopped.wait()
            raise RuntimeError("stopped")
        self.barrier.wait(timeout=60)
        return [Row(entry.name) for entry in entries]

    def stop(self):
        self.stopped.set()


@pytest.fixture
def imagined(monkeypatch):
    monkeypatch.setattr("ase_equivar.screening.workers.WatchedProcess", Imagined)


def batches(names):
    return (Batch(number, [Entry(name, "", None)]) for number, name in enumerate(names))


@pytest.mark.usefixtures("imagined")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_all_processes_work_at_once_and_each_batch_has_its_rows(workers):
    names = [f"crystal {k}" for k in range(3 * 4)]
    barrier = threading.Barrier(workers)  # passed by that many threads together only
    with processes(barrier, workers, None) as those:
        assert those.batch_size() == 7
        found = {batch.first: rows for batch, rows in those.rows(batches(names))}
    assert found == {number: [Row(name)] for number, name in enumerate(names)}


@pytest.mark.usefixtures("imagined")
def test_batches_are_read_only_a_little_ahead():
    taken = []
    stream = (taken.append(batch) or batch for batch in batches(map(str, itertools.count())))
    with processes(threading.Barrier(1), 2, None) as those:
        rows = those.rows(stream)
        for _ in range(5):
            next(rows)
    assert len(taken) <= 2 * WAITING + 5


@pytest.mark.usefixtures("imagined")
def test_what_prevents_a_start_is_raised_although_another_works_on():
    with (
        pytest.raises(RuntimeError, match="no weights here"),
        processes(threading.Barrier(1), 2, None) as those,
    ):
        list(those.rows(batches(["endless", "cannot start"])))


def test_a_factory_that_no_other_process_has_is_refused():
    recipe = Recipe(lambda: FormalCharges(), None)
    with (
        pytest.raises(TypeError, match="cannot be sent to another process"),
        processes(recipe, 2, None) as those,
    ):
        those.batch_size()


def test_a_factory_of_a_script_is_refused(monkeypatch):
    """Other processes do not run the script again."""
    monkeypatch.setattr(sys.modules["__main__"], "OfScript", OfScript, raising=False)
    monkeypatch.setattr(OfScript, "__module__", "__main__")
    with (
        pytest.raises(ValueError, match="give a function of a module, not of the script"),
        processes(Recipe(OfScript, None), 1, None) as those,
    ):
        those.batch_size()


@pytest.mark.usefixtures("imagined")
def test_leaving_ends_threads_at_once():
    with processes(threading.Barrier(1), 2, None) as those:
        next(those.rows(batches(["a", *["endless"] * 5])))
    assert not [thread for thread in threading.enumerate() if "screening" in thread.name]


def test_workers_of_two_kinds_are_refused_before_any_work(tmp_path):
    write(tmp_path / "x.extxyz", salts())
    with pytest.raises(ValueError, match=r"workers \(--workers\) is 2, but with a scheduler"):
        screen(
            [tmp_path / "x.extxyz"],
            tmp_path / "t.csv",
            Recipe(FormalCharges, None),
            workers=2,
            scheduler="tcp://127.0.0.1:1",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["x.extxyz"]


def test_an_interrupt_while_a_process_starts_is_left_to_its_watcher(monkeypatch):
    """Ctrl-C reaches all processes of a terminal, also those that are still importing."""

    def interrupted(*arguments, **options):
        process = popen(*arguments, **options)
        time.sleep(0.5)  # Python has started, and imports
        process.send_signal(signal.SIGINT)
        return process

    popen = subprocess.Popen
    monkeypatch.setattr("ase_equivar.screening.limits.subprocess.Popen", interrupted)
    process = WatchedProcess(Recipe(FormalCharges, None), None)
    try:
        process.start()
    finally:
        process.stop()
