"""What a screening makes of damaged files, replaced structures, odd band gaps, turned crystals."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.screening_runs import RECIPE, FormalCharges, Repulsion, read, salts, screened

from ase_equivar.io.output_files import replacing
from ase_equivar.screening import Recipe, read_structures, screen, screen_one
from ase_equivar.screening.structures import fingerprint

FORMULAS = ["LiF", "LiCl", "NaCl", "LiBr", "NaBr"]
WITHOUT_FORCES = Recipe(FormalCharges, None)


def formulas(rows):
    return [row.formula for row in rows]


@pytest.fixture
def lines(tmp_path):
    """Of an extended XYZ file, four for each salt."""
    write(tmp_path / "salts.extxyz", salts())
    return (tmp_path / "salts.extxyz").read_text().splitlines(keepends=True)


@pytest.mark.parametrize("name", ["some.extxyz", "some.xyz", "some.extxyz.gz"])
def test_a_damaged_structure_costs_none_of_the_others(lines, tmp_path, name):
    lines[10] = "Na nonsense\n"
    content = "".join(lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    rows = screened([tmp_path / name], tmp_path / "table.csv", WITHOUT_FORCES)
    assert formulas(rows) == ["LiF", "LiCl", None, "LiBr", "NaBr"]
    assert rows[2].name.endswith(f"{name}:2")
    assert rows[2].problem.startswith("cannot be read: ")
    assert [row.problem for row in rows if row.formula] == [""] * 4


@pytest.mark.slow
def test_what_is_before_a_damaged_header_or_a_cut_off_end_is_kept(lines, tmp_path):
    path = tmp_path / "some.extxyz"
    path.write_text("".join(lines[:8]) + "two\n" + "".join(lines[9:]))
    rows = screened([path], tmp_path / "one.csv", WITHOUT_FORCES)
    assert formulas(rows) == ["LiF", "LiCl", None]
    assert "line 9 should hold the number of atoms, but holds 'two'" in rows[2].problem
    path.write_text("".join(lines[:19]))
    rows = screened([path], tmp_path / "two.csv", WITHOUT_FORCES)
    assert formulas(rows) == [*FORMULAS[:4], None]


def test_a_format_that_ase_reads_at_once_costs_its_own_file_only(tmp_path):
    write(tmp_path / "salts.json", salts()[:2])
    path = tmp_path / "XDATCAR"
    write(path, [salts()[0]] * 3, format="vasp-xdatcar")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\nnonsense\n")
    found = dict(read_structures([path, tmp_path / "salts.json"]))
    kinds = [type(value).__name__ for value in found.values()]
    assert kinds == ["str", "Atoms", "Atoms"]
    assert found[str(path)].startswith(f"ASE cannot read {path} as vasp-xdatcar: ")


def test_files_that_cannot_be_opened_or_unpacked_cost_no_others(lines, tmp_path, monkeypatch):
    content = bytearray(gzip.compress(bytes(100_000)))
    content[40:60] = bytes(range(20))
    packed, closed, good = (tmp_path / n for n in ("some.cif.gz", "closed.extxyz", "salts.json"))
    packed.write_bytes(content)
    closed.write_text("".join(lines))
    write(good, salts()[:2])
    opened = Path.open

    def refuse(path, *arguments, **options):
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    found = dict(read_structures([packed, closed, good]))
    assert [type(value).__name__ for value in found.values()] == ["str", "str", "Atoms", "Atoms"]
    assert "ASE cannot read" in found[str(packed)]
    assert "Permission denied" in found[str(closed)]


def test_a_file_without_structures_has_a_row(tmp_path):
    folder = tmp_path / "crystals"
    folder.mkdir()
    write(folder / "salt.cif", salts()[2])
    (folder / "README.md").write_text("# Salts\n\nall of them\n")
    rows = screened([folder], tmp_path / "table.csv", WITHOUT_FORCES)
    assert formulas(rows) == [None, "NaCl"]
    assert rows[0].name.endswith("README.md")
    assert rows[0].problem == "ASE finds no structure in it"


def test_the_journal_in_a_screened_folder_is_no_structure(tmp_path):
    write(tmp_path / "salt.cif", salts()[2])
    (tmp_path / "table.csv.partial").write_text("")
    rows = screened([tmp_path], tmp_path / "table.csv", WITHOUT_FORCES)
    assert formulas(rows) == ["NaCl"]


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_what_a_killed_run_left_in_a_screened_folder_is_no_structure(tmp_path, name):
    """A kill leaves the temporary file of the table or of its journal."""
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    write(tmp_path / "salt.cif", salts()[2])
    for target in (tmp_path / name, tmp_path / f"{name}.partial"):
        with replacing(target) as partial:
            partial.write_text("PAR1")
            shutil.copy(partial, tmp_path / partial.name.replace(f"{os.getpid()}", "4260"))
        target.unlink()
    assert len(list(tmp_path.iterdir())) == 3
    summary = screen([tmp_path], tmp_path / name, WITHOUT_FORCES)
    assert (summary.n_crystals, summary.n_problems) == (1, 0)
    assert {file.name for file in tmp_path.iterdir()} == {"salt.cif", name}


def test_a_file_given_twice_is_refused(tmp_path):
    write(tmp_path / "salt.cif", salts()[2])
    again = tmp_path / "x" / ".." / "salt.cif"
    (tmp_path / "x").mkdir()
    file = tmp_path / "salt.cif"
    for paths in ([file] * 2, [file, tmp_path], [again, file]):
        with pytest.raises(ValueError, match=r"salt\.cif is given twice: each structure"):
            screen(paths, tmp_path / "table.csv", WITHOUT_FORCES)


def test_links_in_a_folder_are_structures_of_their_own(tmp_path):
    write(tmp_path / "salt.cif", salts()[2])
    (tmp_path / "other.cif").symlink_to(tmp_path / "salt.cif")
    names = [name for name, _ in read_structures([tmp_path])]
    assert names == [str(tmp_path / "other.cif"), str(tmp_path / "salt.cif")]


class Stopping(FormalCharges):
    """Stops the run at bromides, and counts what it did."""

    done: list[str] = []  # noqa: RUF012 (shared on purpose)
    stops = True

    def calculate(self, atoms=None, properties=(), system_changes=()):
        if self.stops and 35 in atoms.numbers:
            raise KeyboardInterrupt
        self.done.append(str(atoms.symbols))
        super().calculate(atoms, properties, system_changes)


@pytest.mark.parametrize("largest", [10_000_000, 10], ids=["small", "large"])
def test_a_file_of_one_crystal_that_was_replaced_is_done_again(tmp_path, monkeypatch, largest):
    """Large files, such as those of charge densities, are not known by their bytes."""
    monkeypatch.setattr("ase_equivar.screening.structures.LARGEST_OF_ONE", largest)
    paths, table = [tmp_path / "a.vasp", tmp_path / "b.vasp"], tmp_path / "table.csv"
    for path, salt in zip(paths, (salts()[2], salts()[3]), strict=True):
        write(path, salt)
    recipe = Recipe(Stopping, None)
    with pytest.raises(KeyboardInterrupt):
        screen(paths, table, recipe)
    monkeypatch.setattr(Stopping, "stops", False)
    write(paths[0], salts()[0])
    screen(paths, table, recipe)
    assert [row["formula"] for row in read(table)] == ["LiF", "LiBr"]


@pytest.mark.slow
def test_a_structure_that_was_replaced_is_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Stopping, "done", [])
    path, table = tmp_path / "salts.extxyz", tmp_path / "table.csv"
    recipe = Recipe(Stopping, None)
    first = salts()[2:]
    first[1:1] = [bulk("NaF", "rocksalt", a=4.6)]
    write(path, first)  # NaCl, NaF, LiBr, NaBr
    with pytest.raises(KeyboardInterrupt):
        screen([path], table, recipe)
    assert set(Stopping.done) == {"NaCl", "NaF"}

    monkeypatch.setattr(Stopping, "done", [])
    monkeypatch.setattr(Stopping, "stops", False)
    first[0] = salts()[0]
    write(path, first)
    screen([path], table, recipe)
    assert [row["formula"] for row in read(table)] == ["LiF", "NaF", "LiBr", "NaBr"]
    assert set(Stopping.done) == {"LiF", "LiBr", "NaBr"}  # NaF was kept
    assert read(table)[0]["epsilon_infinity"] == "2.12"


def test_fingerprint_tells_what_a_row_depends_on():
    salt, moved, strained = salts()[2], salts()[2], salts()[2]
    moved.positions[0, 0] += 1e-6
    strained.cell[2, 2] += 1e-6
    magnetic, charged, ion = salts()[2], salts()[2], salts()[2]
    magnetic.set_initial_magnetic_moments([1.0, -1.0])
    charged.set_initial_charges([1.0, -1.0])
    ion.info["charge"] = 1
    other = salts()[2]
    other.info["total_charge"] = 1  # the name that other calculators have for it
    several = (salt, moved, strained, magnetic, charged, ion, other)
    prints = [*map(fingerprint, several), fingerprint(salt, 8.5)]
    assert len(set(prints)) == 8
    assert fingerprint(salts()[2]) == prints[0]


@pytest.mark.parametrize("gap", [np.nan, "bad", np.inf, [1.0, 2.0], True, np.True_], ids=str)
def test_a_gap_that_is_no_number_is_left_out(gap):
    salt = salts()[2]
    salt.info["band_gap"] = gap
    row = screen_one("salt", salt, RECIPE)
    assert row.problem == ""
    assert "band_gap" in row.notes
    assert "is not a number (eV) and is ignored" in row.notes
    assert row.band_gap_eV is None
    assert row.figure_of_merit_eV is None
    assert row.epsilon_static is not None


class Turned(FormalCharges):
    """Z* and ε∞ of a low-symmetry crystal, fixed to its lattice vectors."""

    born = np.array([[1.2, 0.3, -0.4], [0.1, 0.7, 0.25], [0.35, -0.2, 1.6]])
    epsilon = np.array([[3.0, 0.4, 0.1], [0.4, 2.2, -0.3], [0.1, -0.3, 4.1]])

    def calculate(self, atoms=None, properties=(), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        q, r = np.linalg.qr(self.atoms.cell.array.T)
        frame = q * np.sign(np.diag(r))  # of the lattice vectors, turned with them
        signs = np.where(self.atoms.numbers == self.atoms.numbers.min(), 1.0, -1.0)
        turned = frame @ self.born @ frame.T
        self.results = {
            "born_effective_charges": signs[:, None, None] * turned,
            "dielectric_tensor": frame @ self.epsilon @ frame.T,
        }


def test_no_column_depends_on_how_the_crystal_is_turned():
    crystal = bulk("NaCl", "rocksalt", a=5.64)
    crystal.set_cell(
        crystal.cell.array @ [[1.02, 0.03, 0.0], [0.0, 0.97, 0.05], [0.02, 0.0, 1.01]],
        scale_atoms=True,
    )
    turned = crystal.copy()
    turned.rotate(37.0, (1, 2, -0.5), rotate_cell=True)
    recipe = Recipe(Turned, Repulsion, relax="none")
    rows = [screen_one("x", atoms, recipe) for atoms in (crystal, turned)]
    for name, value in vars(rows[0]).items():
        other = getattr(rows[1], name)
        if isinstance(value, float):
            assert other == pytest.approx(value, rel=1e-4, abs=1e-6), name
        else:
            assert other == value, name
    assert rows[0].max_lo_to_gap_cm > 5
    largest = np.linalg.svd(Turned.born)[1][0]
    assert rows[0].max_born_charge_e == pytest.approx(largest, rel=1e-6)


def test_a_name_of_gaps_that_no_structure_has_is_refused(tmp_path):
    salt = salts()[2]
    salt.info["Egap"] = 8.5
    write(tmp_path / "salt.extxyz", salt)
    recipe = Recipe(FormalCharges, None, gap_key="E_gap")
    with pytest.raises(ValueError, match=r"no structure has a band gap 'E_gap' .*there: Egap"):
        screen([tmp_path / "salt.extxyz"], tmp_path / "table.csv", recipe)
    assert not list(tmp_path.glob("table*"))


HOSTILE = {
    b"empty.extxyz": b"",
    b"blank.xyz": b"\n \n",
    b"empty.cif": b"",
    b"binary.dat": bytes(range(256)) * 40,
    b"binary.xyz": bytes(range(255, -1, -1)) * 40,
    b"endless.xyz": b"999999999\n\nNa 0 0 0\n",
    b"negative.xyz": b"-1\n\n",
    b"not a number.xyz": b"1\nLattice='4 0 0 0 4 0 0 0 nan'\nNa 0 0 0\n",
    b"no gzip.xyz.gz": b"1\n\nNa 0 0 0\n",
    b'a, "b"\n.xyz': b"1\n\nNa 0 0 0\n",
    b"\xff.xyz": b"1\n\n\xff 0 0 0\n",
}


def test_hostile_files_are_rows_with_a_problem(tmp_path):
    """And so are files whose names are no text, or would break a line of the table."""
    folder = tmp_path / "crystals"
    folder.mkdir()
    write(folder / "good.extxyz", [salts()[2]] * 2)  # the same crystal twice has two rows
    for name, content in HOSTILE.items():
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(content)
    (folder / "nowhere.xyz").symlink_to(tmp_path / "nowhere")
    screen([folder], tmp_path / "t.csv", WITHOUT_FORCES)
    with open(tmp_path / "t.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = {os.fsencode(Path(row["name"]).name): row for row in csv.DictReader(file)}
    good = {name: row for name, row in rows.items() if name not in HOSTILE}
    assert set(good) == {b"good.extxyz:0", b"good.extxyz:1"}
    assert {row["formula"] for row in good.values()} == {"NaCl"}
    assert {row["problem"] for row in good.values()} == {""}
    for name in HOSTILE:
        assert rows[name]["problem"], name
        assert "\n" not in rows[name]["problem"]
        assert not rows[name]["epsilon_infinity"]


@pytest.mark.slow
def test_the_command_says_which_dielectric_tensor_it_used(tmp_path):
    model = save_random_model(tmp_path / "model")
    write(tmp_path / "x.extxyz", salts()[2])
    options = ("screen", tmp_path / "x.extxyz", "--calculator", "none", "--model", model)
    with_table = (*options, "-o", tmp_path / "t.csv", "--dielectric-tensor")
    assert_one_line_error(run(*with_table, "2.3"), 2, "is '2.3'; a screening takes only")
    result = run(*with_table, "corrected")
    assert result.exit_code == 0
    assert "ε∞: model, corrected (expected error 8 %)" in " ".join(result.stdout.split())
    result = run(*options, "-o", tmp_path / "plain.csv")
    assert "ε∞: model; written" in " ".join(result.stdout.split())
    plain, row = (read(tmp_path / name)[0] for name in ("plain.csv", "t.csv"))
    assert (plain["epsilon_infinity_from"], row["epsilon_infinity_from"]) == ("model", "corrected")
    assert float(row["epsilon_infinity"]) < float(plain["epsilon_infinity"])
