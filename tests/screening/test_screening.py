"""Screening: the same table whoever calculates, after a kill too, and bad crystals told apart."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.io import write
from helpers.screening_runs import RECIPE, FormalCharges, Repulsion, read, salts, screened

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import infrared_modes, ionic_dielectric_range, static_dielectric
from ase_equivar.io.lock import locked
from ase_equivar.phonons import apply_nac, corrected_dielectric, force_constants, lo_to_splitting
from ase_equivar.screening import Recipe, screen, screen_one
from ase_equivar.screening.journal import Journal
from ase_equivar.screening.row import COLUMNS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Good salts in one file; beside it what cannot be screened."""
    folder = tmp_path_factory.mktemp("crystals")
    crystals = salts()
    crystals[0].info["band_gap"] = 13.6
    unknown, metal = bulk("KCl", "rocksalt", a=6.29), bulk("NaCl", "rocksalt", a=5.64)
    metal.info["band_gap"] = 0.0
    write(folder / "salts.extxyz", [*crystals, unknown, metal])
    (folder / "broken.cif").write_text("this is no crystal")
    molecule = Atoms("LiF", [[0, 0, 0], [0, 0, 1.56]])
    write(folder / "molecule.xyz", molecule)
    return [folder / name for name in ("salts.extxyz", "broken.cif", "molecule.xyz")]


@pytest.fixture(scope="module")
def table(files, tmp_path_factory):
    """Their table, by this process alone."""
    path = tmp_path_factory.mktemp("table") / "one.csv"
    screen(files, path, RECIPE)
    return path


@pytest.mark.slow
def test_rows_are_what_the_other_functions_say(files, tmp_path):
    screen(files[:1], tmp_path / "table.csv", RECIPE)
    rows = read(tmp_path / "table.csv")
    for atoms, row in zip(salts(), rows, strict=False):
        # In a larger cell and supercell, to which Γ belongs as well.
        phonon = force_constants(atoms, Repulsion(), (2, 2, 2), progress=False)
        charges = FormalCharges()
        born = charges.get_property("born_effective_charges", atoms)
        epsilon = charges.get_property("dielectric_tensor", atoms)
        apply_nac(phonon, (born, epsilon))
        tensors = static_dielectric(infrared_modes(phonon))
        assert row["formula"] == atoms.get_chemical_formula("metal", empirical=True)
        assert float(row["epsilon_infinity"]) == pytest.approx(epsilon[0, 0], rel=1e-4)
        assert float(row["refractive_index"]) == pytest.approx(epsilon[0, 0] ** 0.5, rel=1e-4)
        assert float(row["epsilon_ionic"]) == pytest.approx(tensors.ionic[0, 0], rel=1e-3)
        assert float(row["epsilon_static"]) == pytest.approx(tensors.static[0, 0], rel=1e-3)
        limits = ionic_dielectric_range(infrared_modes(phonon))
        found = [float(row[f"epsilon_ionic_{end}"]) for end in ("lowest", "highest")]
        assert found == pytest.approx(limits, rel=1e-3)
        assert found[0] < float(row["epsilon_ionic"]) < found[1]
        gap = lo_to_splitting(phonon).largest.splitting_cm
        assert float(row["max_lo_to_gap_cm"]) == pytest.approx(gap, rel=1e-3)
        assert float(row["max_born_charge_e"]) == pytest.approx(1.1)
        assert float(row["lowest_cm"]) > 50
        # Rock salt has one optical mode, of three dimensions, and it is polar.
        assert row["softest_polar_cm"] == row["lowest_cm"]
        assert float(row["softest_polar_share"]) == pytest.approx(1.0)
        assert "scales as" not in row["notes"]
        assert row["problem"] == ""
    assert float(rows[0]["figure_of_merit_eV"]) == pytest.approx(
        13.6 * float(rows[0]["epsilon_static"]), rel=1e-4
    )
    assert rows[1]["figure_of_merit_eV"] == ""


@pytest.mark.slow
def test_bad_structures_are_reported_and_skipped(files, tmp_path):
    found = screened(files, tmp_path / "table.csv", RECIPE)
    rows = {Path(row["name"]).name: row for row in read(tmp_path / "table.csv")}
    assert list(rows[next(iter(rows))]) == list(COLUMNS)
    for name, message in (
        ("salts.extxyz:5", "has never seen K"),
        ("salts.extxyz:6", "band gap of 0 eV makes it a metal"),
        ("broken.cif", "ASE cannot read "),
        ("molecule.xyz", "periodic in three directions"),
    ):
        assert message in rows[name]["problem"]
        assert rows[name]["epsilon_infinity"] == ""
    assert sum(not row.problem for row in found) == 5


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_table(files, table, tmp_path, workers):
    screen(files, tmp_path / "many.csv", RECIPE, workers=workers)
    assert (tmp_path / "many.csv").read_bytes() == table.read_bytes()


@pytest.mark.slow
def test_workers_of_a_scheduler_elsewhere(files, table, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=3, processes=False, dashboard_address=None
    ) as cluster:
        screen(files, tmp_path / "far.csv", RECIPE, scheduler=cluster.scheduler_address)
    assert (tmp_path / "far.csv").read_bytes() == table.read_bytes()


class Interrupting(Repulsion):
    """Stops the whole run when it has to do with one crystal too many."""

    started: list[str] = []  # noqa: RUF012 (shared on purpose)
    limit = 0

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        formula = atoms.get_chemical_formula("metal", empirical=True)
        if formula not in self.started:
            self.started.append(formula)
        if len(self.started) > self.limit:
            raise KeyboardInterrupt
        super().calculate(atoms, properties, system_changes)


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(files, table, tmp_path, monkeypatch):
    stopped, recipe = tmp_path / "table.csv", Recipe(FormalCharges, Interrupting, relax="none")
    monkeypatch.setattr(Interrupting, "started", [])
    monkeypatch.setattr(Interrupting, "limit", 2)
    with pytest.raises(KeyboardInterrupt):
        screen(files, stopped, recipe)
    assert Interrupting.started == ["LiF", "LiCl", "NaCl"]
    assert [row["formula"] for row in read(stopped)] == ["LiF", "LiCl"]
    journal = tmp_path / "table.csv.partial"
    lines = journal.read_text().splitlines(keepends=True)
    assert sum("salts" in line for line in lines) == 2
    journal.write_text("".join(lines) + lines[-1][:40])  # killed while it wrote

    monkeypatch.setattr(Interrupting, "started", [])
    monkeypatch.setattr(Interrupting, "limit", 9)
    screen(files, stopped, recipe)
    assert Interrupting.started == ["NaCl", "LiBr", "NaBr"]
    assert stopped.read_bytes() == table.read_bytes()
    assert not journal.exists()


def test_without_forces(tmp_path):
    row = screen_one("salt", salts()[2], Recipe(FormalCharges, None))
    assert row.epsilon_infinity == pytest.approx(2.28)
    assert row.max_born_charge_e == pytest.approx(1.1)
    assert row.epsilon_static is None
    assert row.lowest_cm is None
    assert row.relaxed is None


class Stressless(Repulsion):
    """Has a stress, zero, so that the cell may be relaxed and stays what it is."""

    implemented_properties = (*Repulsion.implemented_properties, "stress")

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["stress"] = np.zeros(6)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["none", "positions", "cell"])
def test_rows_say_what_was_relaxed(mode):
    recipe = Recipe(FormalCharges, Stressless, relax=mode)
    assert screen_one("salt", salts()[2], recipe).relaxed == mode


@pytest.mark.slow
def test_corrected_dielectric(tmp_path, monkeypatch):
    """ε∞ decreases, the ionic part stays, and the one LO–TO gap grows: (LO² − TO²) ε∞ is fixed."""
    corrected = replace(RECIPE, dielectric_tensor="corrected")
    plain, row = (screen_one("salt", salts()[2], recipe) for recipe in (RECIPE, corrected))
    expected = corrected_dielectric(2.28 * np.eye(3))[0, 0]
    assert (plain.epsilon_infinity_from, row.epsilon_infinity_from) == ("model", "corrected")
    assert row.epsilon_infinity == pytest.approx(expected)
    assert expected < 2.2
    assert row.epsilon_ionic == pytest.approx(plain.epsilon_ionic)
    assert row.epsilon_static == pytest.approx(row.epsilon_ionic + expected)
    both = [(one.softest_polar_cm, one.max_lo_to_gap_cm) for one in (plain, row)]
    strengths = [(to + gap) ** 2 - to**2 for to, gap in both]
    assert strengths[1] / strengths[0] == pytest.approx(2.28 / expected, rel=1e-4)
    without = Recipe(FormalCharges, None, dielectric_tensor="corrected")
    assert screen_one("salt", salts()[2], without).epsilon_infinity == pytest.approx(expected)
    network = Recipe(EquivarCalculator, None, dielectric_tensor="corrected")
    learned = EquivarCalculator().get_property("dielectric_tensor", salts()[2])
    expected = corrected_dielectric(learned).trace() / 3
    assert screen_one("salt", salts()[2], network).epsilon_infinity == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"takes only \"corrected\": no ε∞ is that of all"):
        Recipe(FormalCharges, None, dielectric_tensor="2.3")
    write(tmp_path / "x.extxyz", salts()[2])
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda journal: None)
        screen([tmp_path / "x.extxyz"], tmp_path / "t.csv", Recipe(FormalCharges, None))
    with pytest.raises(ValueError, match="dielectric_tensor was None, is now corrected"):
        screen([tmp_path / "x.extxyz"], tmp_path / "t.csv", without)


def test_unstable_and_unrelaxed_crystals_have_notes():
    squeezed = bulk("CsCl", "cesiumchloride", a=4.1)
    squeezed.positions[1, 0] += 0.3
    row = screen_one("squeezed", squeezed, Recipe(FormalCharges, Weak, relax="none"))
    assert "imaginary modes at Γ" in row.notes
    assert "is not relaxed" in row.notes
    assert row.lowest_cm < 0
    assert row.epsilon_static is None
    assert row.epsilon_infinity is not None


class StifferByCharge(Repulsion):
    """A potential that looks at initial charges and at the charge of the cell."""

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        factor = 1 + np.abs(atoms.get_initial_charges()).mean() + atoms.info.get("charge", 0)
        self.results = {name: factor * value for name, value in self.results.items()}


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 1, 1)])
def test_potentials_see_charges_and_arrays_as_in_other_commands(size):
    """They were lost with the reduction to a primitive cell."""
    primitive = bulk("MgO", "rocksalt", a=4.2)
    primitive.set_initial_charges([2, -2])
    crystal = primitive.repeat(size)
    recipe = Recipe(FormalCharges, StifferByCharge, relax="none")
    row = screen_one("MgO", crystal, recipe)
    phonon = force_constants(primitive, StifferByCharge(), (1, 1, 1), progress=False)
    apply_nac(phonon, FormalCharges())
    expected = [mode.frequency_cm for mode in infrared_modes(phonon).active]
    assert row.softest_polar_cm == pytest.approx(min(expected))
    crystal.info["charge"] = 1
    row = screen_one("MgO", crystal, recipe)
    if size == (1, 1, 1):
        assert row.softest_polar_cm == pytest.approx(min(expected) * np.sqrt(4 / 3))
    else:
        assert "info['charge'] of 1 is that of 4 atoms, of which 2 are" in row.problem
    crystal.set_initial_charges([*crystal.get_initial_charges()[:-1], -1.0])
    if size != (1, 1, 1):
        del crystal.info["charge"]
        assert "have different initial charges" in screen_one("MgO", crystal, recipe).notes


def test_a_soft_polar_mode_has_a_note_and_the_share_of_it():
    row = screen_one("soft", salts()[0], Recipe(FormalCharges, Soft, relax="none"))
    assert 0 < row.softest_polar_cm < 30
    assert row.softest_polar_share == pytest.approx(1.0)
    assert re.search(r"100% of the ionic part of ε0, .* polar mode at \d+\.\d cm", row.notes)


class Soft(Repulsion):
    """Forces that are weaker by a factor of two thousand."""

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {name: 5e-4 * value for name, value in self.results.items()}


class Weak(Repulsion):
    """Attraction: nothing is stable."""

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {name: -value for name, value in self.results.items()}


def test_what_stops_a_screening_before_it_starts(files, tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        screen([tmp_path / "none"], tmp_path / "table.csv", RECIPE)
    with pytest.raises(ValueError, match="workers is 0; give a whole number from 1 on"):
        screen(files, tmp_path / "table.csv", RECIPE, workers=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no structures in"):
        screen([tmp_path / "empty"], tmp_path / "table.csv", RECIPE)
    (tmp_path / "table.csv").write_text("precious")
    with pytest.raises(FileExistsError, match="exists already"):
        screen(files, tmp_path / "table.csv", RECIPE)
    (tmp_path / "other.csv.partial").write_text('{"settings": {"model": "b"}}\n')
    with pytest.raises(ValueError, match="of a screening with other settings"):
        screen(files, tmp_path / "other.csv", RECIPE, settings={"model": "a"})


def test_a_scheduler_without_dask(files, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install '.\[screen\]'"):
        screen(files, tmp_path / "table.csv", RECIPE, scheduler="tcp://127.0.0.1:1")


@pytest.mark.slow
def test_table_in_use_is_refused(files, tmp_path):
    for file in files:
        shutil.copy(file, tmp_path)
    table = tmp_path / "table.csv"
    with locked(tmp_path / "table.csv.lock", "the first screening"):
        expected = f"screening for {table} is in use by process {os.getpid()} on "
        with pytest.raises(BlockingIOError, match=re.escape(expected)):
            screen(files[:1], table, RECIPE)
    rows = screened([tmp_path], table, RECIPE)  # its own lock is none of the structures
    assert not [row.name for row in rows if ".lock" in row.name]
    assert not list(tmp_path.glob("*.lock"))
