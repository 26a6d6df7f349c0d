"""Crystals that share a call of the network: the rows that each would have alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import tracemalloc
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from helpers.command_line import save_random_model
from helpers.screening_runs import Repulsion, read, screened

from ase_equivar import EquivarCalculator
from ase_equivar.inference.predictor import Predictor
from ase_equivar.screening import Limits, Recipe, Row, screen, screen_one
from ase_equivar.screening.evaluation import screen_several
from ase_equivar.screening.journal import Journal
from ase_equivar.screening.limits import WatchedProcess, _Failure
from ase_equivar.screening.output import _cell
from ase_equivar.screening.structures import Entry, entries
from ase_equivar.screening.workers import Workers

CELL = np.array([[4.1, 0.2, -0.3], [0.7, 4.6, 0.4], [-0.5, 0.9, 5.2]])


def triclinic(n: int, seed: int = 0) -> Atoms:
    """A cell of n pairs of Na and Cl, strained, all atoms displaced: no symmetry at all."""
    atoms = Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.48, 0.51]], cell=CELL, pbc=True)
    atoms = atoms.repeat((n, 1, 1))
    atoms.rattle(0.15, seed=seed)
    return atoms


def crystals() -> list[Atoms]:
    """Low symmetry and several sizes, with bad ones in between."""
    near, endless, unknown = triclinic(1), triclinic(1), triclinic(2)
    near.positions[1] = near.positions[0] + 0.1
    endless.cell[0, 0] = np.nan
    unknown.symbols[1] = "Rn"
    metal = Atoms("Na", cell=4.2 * np.eye(3), pbc=True)
    good = [triclinic(3, 1), triclinic(1, 2), triclinic(2, 3), triclinic(1, 4)]
    return [good[0], near, good[1], endless, unknown, good[2], metal, good[3]]


@pytest.mark.filterwarnings("ignore::ase_equivar.warning_types.EquivarWarning")
def test_rows_of_a_batch_are_those_of_each_alone() -> None:
    recipe = Recipe(EquivarCalculator, None)
    calc = EquivarCalculator()
    rows = screen_several([Entry(str(k), "", one) for k, one in enumerate(crystals())], recipe)
    for k, (atoms, row) in enumerate(zip(crystals(), rows, strict=True)):
        alone = screen_one(str(k), atoms, recipe)
        assert (row.problem, row.notes) == (alone.problem, alone.notes)
        if row.problem:
            assert row == alone
            continue
        # without symmetry, the row is what the calculator says
        born = calc.get_property("born_charges", atoms)
        epsilon = calc.get_property("dielectric_tensor", atoms)
        excess = calc.diagnostics.sum_rule_violation
        expected = {
            "atoms": len(atoms),
            "epsilon_infinity": epsilon.trace() / 3,
            "refractive_index": (epsilon.trace() / 3) ** 0.5,
            "max_born_charge_e": np.linalg.svd(born)[1].max(),
            "sum_rule_violation_e": np.linalg.svd(excess)[1][0] / len(atoms),
            "born_charges_uncertainty_e": calc.get_property(
                "born_charges_uncertainty", atoms
            ).max(),
        }
        for column, value in expected.items():
            assert getattr(row, column) == pytest.approx(value, rel=2e-5, abs=2e-6), column
            assert getattr(alone, column) == pytest.approx(value, rel=2e-5, abs=2e-6), column
    problems = [row.problem for row in rows]
    assert [bool(problem) for problem in problems] == [0, 1, 0, 1, 1, 0, 1, 0]
    assert "closer than 0.5 Å" in problems[1]
    assert "not finite" in problems[3]
    assert "has never seen" in problems[4]
    assert "metals only" in problems[6]


@pytest.fixture
def recipe(tmp_path):
    model = save_random_model(tmp_path / "model")
    return Recipe(partial(EquivarCalculator, model=model), None)


def test_vacuum_is_found_in_a_skewed_cell_too(recipe):
    slab = triclinic(1)
    slab.cell[2] *= 4
    slab.cell[0] += slab.cell[2]
    assert "of vacuum" in screen_one("slab", slab, recipe).problem


def test_supercells_have_the_row_of_their_crystal(recipe):
    """Whether translations tell the smaller cell, or a symmetry search because of isotopes."""
    crystal = triclinic(2, 5)
    double = crystal.repeat((1, 2, 1))
    heavy = double.copy()
    heavy.set_masses([23.5] * len(double))
    names = ("crystal", "double", "heavy")
    structures = zip(names, (crystal, double, heavy), strict=True)
    rows = screen_several([Entry(name, "", atoms) for name, atoms in structures], recipe)
    assert [row.atoms for row in rows] == [4, 4, 4]
    for row in rows[1:]:
        assert row.max_born_charge_e == pytest.approx(rows[0].max_born_charge_e, rel=1e-4)
        assert row.epsilon_infinity == pytest.approx(rows[0].epsilon_infinity, rel=1e-5)


def test_magnetic_moments_change_nothing_without_forces(recipe):
    """This cell with these moments is one for which spglib finds no magnetic space group."""
    cell = bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)
    moments = cell.copy()
    moments.set_initial_magnetic_moments([2, 0, -2, 0])
    plain, magnetic = (screen_one("a", atoms, recipe) for atoms in (cell, moments))
    assert magnetic.problem == ""
    assert magnetic == plain
    assert moments.get_initial_magnetic_moments().any()  # those of the caller stay


@pytest.mark.parametrize("forces", [None, Repulsion])
def test_atoms_closer_than_the_training_data_know_are_noted(forces):
    """Columns say that something is doubtful, and only a note which atoms."""
    near = triclinic(1)
    near.positions[1] = near.positions[0] + [0.9, 1.1, -0.8]
    recipe = Recipe(EquivarCalculator, forces, relax="none")
    usual, noted = (screen_one("a", atoms, recipe) for atoms in (triclinic(1), near))
    assert not noted.problem, noted.problem
    told = r"its training data have no Na–Cl \(atoms \d and \d\) closer than 2\.\d\d Å"
    assert re.search(rf"few structures like NaCl: {told}, and here it is 1\.63 Å", noted.notes)
    assert "training data" not in usual.notes


def test_a_network_that_fails_for_one_spoils_no_other(recipe, monkeypatch):
    call = Predictor._call

    def failing(predictor, graphs):
        if any(graph.n_atoms == 4 for graph in graphs):
            raise FloatingPointError("not finite")
        return call(predictor, graphs)

    monkeypatch.setattr(Predictor, "_call", failing)
    rows = screen_several([Entry(str(n), "", triclinic(n)) for n in (1, 2, 3)], recipe)
    assert [row.problem for row in rows] == ["", "not finite", ""]
    assert [row.atoms for row in rows] == [2, None, 6]


@pytest.fixture
def in_threes(monkeypatch):
    monkeypatch.setattr("ase_equivar.screening.evaluation.BATCH", 3)


def test_killed_anywhere_it_gives_the_same_table(recipe, tmp_path, monkeypatch, in_threes):
    """Whatever was on the disk then: whole batches, half of one, half a line."""
    path, whole, table = (tmp_path / name for name in ("x.extxyz", "whole.csv", "t.csv"))
    write(path, [one for one in crystals() if np.isfinite(one.cell.array).all()])
    (tmp_path / "cif").mkdir()
    write(tmp_path / "cif" / "a.cif", triclinic(1, 9))
    paths = [path, tmp_path / "cif"]
    journals = []
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda journal: journals.append(journal.path.read_bytes()))
        screen(paths, whole, recipe)
    screen(paths, whole, recipe)
    ends = np.flatnonzero(np.frombuffer(journals[0], dtype=np.uint8) == ord("\n")) + 1
    assert len(ends) == 9  # settings and eight rows
    for cut in [0, 20, *ends.tolist(), *(ends[1:4] - 30).tolist()]:
        (tmp_path / "t.csv.partial").write_bytes(journals[0][:cut])
        table.write_bytes(whole.read_bytes()[: cut // 2])
        screen(paths, table, recipe)
        assert table.read_bytes() == whole.read_bytes(), cut
        table.unlink()


def test_what_is_done_is_not_read_again(recipe, tmp_path, monkeypatch):
    write(tmp_path / "a.cif", triclinic(1))
    write(tmp_path / "b.extxyz", [triclinic(1), triclinic(2)])
    paths = [tmp_path / "a.cif", tmp_path / "b.extxyz"]
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda journal: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            screen(paths, tmp_path / "t.csv", recipe)
    calls = []
    monkeypatch.setattr(
        "ase_equivar.screening.evaluation.screen_several", lambda *_: calls.append(1)
    )
    monkeypatch.setattr("ase_equivar.screening.structures.parsed_frame", lambda *_: calls.append(2))
    rows = screened(paths, tmp_path / "t.csv", recipe)
    assert [row.problem for row in rows] == [""] * 3
    assert calls == []


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_that_finish_in_any_order_give_the_same_table(recipe, tmp_path, in_threes, workers):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    write(tmp_path / "x.extxyz", [triclinic(1 + k % 3, k) for k in range(14)])
    paths = [tmp_path / "x.extxyz"]
    screen(paths, tmp_path / "one.csv", recipe)
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        screen(paths, tmp_path / "far.csv", recipe, scheduler=cluster.scheduler_address)
    assert (tmp_path / "far.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


@pytest.mark.slow
def test_workers_that_are_killed_or_stopped_lose_nothing(recipe, tmp_path, monkeypatch, in_threes):
    """One of two processes is stopped after the first batch, and the other killed after the third.

    Batches that they held are done by others: dask starts a process again for one killed.
    """
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    write(tmp_path / "x.extxyz", [triclinic(1 + k % 3, k) for k in range(40)])
    paths, tables = [tmp_path / "x.extxyz"], [tmp_path / "one.csv", tmp_path / "t.csv"]
    screen(paths, tables[0], recipe)
    n_added = itertools.count(1)
    add = Journal.add

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(os.getpid)

        def added(journal, rows, contents):
            number = next(n_added)
            first, second = pids
            if number == 1:
                client.retire_workers([second], close_workers=True)
            if number == 3:
                os.kill(pids[first], signal.SIGKILL)
            return add(journal, rows, contents)

        monkeypatch.setattr(Journal, "add", added)
        screen(paths, tables[1], recipe, scheduler=cluster.scheduler_address)
        assert not set(client.run(os.getpid).values()) & set(pids.values())  # both are gone
    assert next(n_added) == 15  # each of 14 batches came once
    assert tables[1].read_bytes() == tables[0].read_bytes()


def test_the_table_grows_in_order_whatever_is_done_first(recipe, tmp_path, monkeypatch):
    """Batches come back in reverse here; rows wait for those before them, and no longer."""
    path, table = tmp_path / "x.extxyz", tmp_path / "t.csv"
    write(path, [triclinic(1, k) for k in range(8)])
    lines = []

    def backwards(batches):
        for batch in reversed(list(batches)):
            yield batch, [Row(entry.name, problem="none") for entry in batch.entries]
            lines.append(len(table.read_text().splitlines()))

    those = contextlib.nullcontext(Workers(lambda: 3, backwards))
    monkeypatch.setattr("ase_equivar.screening.run._calculating", lambda *_: those)
    summary = screen([path], table, recipe)
    assert lines == [1, 1, 9]
    assert [row["name"] for row in read(table)] == [f"{path}:{k}" for k in range(8)]
    assert (summary.n_crystals, summary.n_problems) == (8, 8)


def test_a_killed_run_keeps_its_rows(recipe, tmp_path, monkeypatch, in_threes):
    path, table = tmp_path / "x.extxyz", tmp_path / "t.csv"
    write(path, [triclinic(1, k) for k in range(8)])
    screen([path], tmp_path / "whole.csv", recipe)
    add = Journal.add
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", lambda *given: add(*given) if len(given[1]) > 2 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            screen([path], table, recipe)
    whole = (tmp_path / "whole.csv").read_text()
    assert table.read_text() == "".join(whole.splitlines(keepends=True)[:7])
    table.write_text("precious")  # a file of the user, by now
    with pytest.raises(FileExistsError, match="exists already"):
        screen([path], table, recipe)
    assert table.read_text() == "precious"
    table.unlink()
    screen([path], table, recipe)
    assert table.read_text() == whole


def test_parquet_has_the_rows_of_csv(recipe, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    monkeypatch.setattr("ase_equivar.screening.output.GROUP", 3)
    monkeypatch.setattr("ase_equivar.screening.evaluation.BATCH", 2)
    write(tmp_path / "x.extxyz", [one for one in crystals() if np.isfinite(one.cell.array).all()])
    screen([tmp_path / "x.extxyz"], tmp_path / "t.csv", recipe)
    screen([tmp_path / "x.extxyz"], tmp_path / "t.parquet", recipe)
    rows = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [{k: _cell(v) for k, v in row.items()} for row in rows] == read(tmp_path / "t.csv")
    assert {type(row["epsilon_infinity"]) for row in rows} == {float, type(None)}
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "model", "t.csv", "t.parquet", "x.extxyz",
    ]  # fmt: skip


def test_parquet_without_pyarrow_is_refused_before_any_work(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    write(tmp_path / "x.extxyz", triclinic(1))
    with pytest.raises(ImportError, match=r"Parquet needs pyarrow; .*pip install '.\[parquet\]'"):
        screen([tmp_path / "x.extxyz"], tmp_path / "t.parquet", recipe)
    with pytest.raises(ValueError, match=r"a \.csv or \.parquet file, not 't\.xlsx'"):
        screen([tmp_path / "x.extxyz"], tmp_path / "t.xlsx", recipe)


def test_many_structures_are_never_in_memory_together(tmp_path):
    path = tmp_path / "x.extxyz"
    frame = f"1\nLattice='4 0 0 0 4 0 0 0 4'\nNa 0 0 0{2000 * ' '}\n"
    path.write_text(frame * 5000)  # 10 MB
    tracemalloc.start()
    try:
        found = sum(len(entry.content) > 0 for entry in entries([path]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == 5000
    assert peak < 1_000_000


class Told(WatchedProcess):
    """A process that only tells what would happen to it."""

    def _attempt(self, group):
        names = [entry.name for entry in group]
        self.attempts.append("".join(names))
        for number, name in enumerate(names):
            if name in "sk":  # too slow, or killed
                return _Failure(f"{name} failed", number, name == "s")
        if "m" in names:  # too much memory in the network
            return _Failure("m failed", None if len(names) > 1 else 0, True)
        return [Row(name) for name in names]


@pytest.mark.parametrize(
    ("names", "attempts"),
    [
        ("abc", ["abc"]),
        ("asb", ["asb", "ab"]),
        ("akb", ["akb", "akb", "ab"]),
        ("s", ["s"]),
        ("amb", ["amb", "a", "m", "b"]),
        ("askmb", ["askmb", "akmb", "akmb", "amb", "a", "m", "b"]),
    ],
)
def test_who_exceeds_a_limit_spoils_no_other(names, attempts):
    process = Told(SimpleNamespace(), Limits())
    process.attempts = []
    rows = process.screen([Entry(name, "", triclinic(1)) for name in names])
    assert [row.name for row in rows] == list(names)
    assert {row.name for row in rows if row.problem} == set(names) & set("skm")
    assert {row.formula for row in rows if row.problem} <= {"NaCl"}
    assert process.attempts == attempts


def test_rows_do_not_depend_on_the_kernels_in_the_cache(tmp_path, monkeypatch):
    """PyTorch in place of kernels gives other last digits, for some of the crystals only."""
    compiled = []
    monkeypatch.setattr(Predictor, "compile_at_once", lambda self: compiled.append(self.name))
    save_random_model(tmp_path)
    recipe = Recipe(partial(EquivarCalculator, model=str(tmp_path), device="cpu"), None)
    screen_several([Entry("one", "", triclinic(1))], recipe)
    assert len(compiled) == 1
