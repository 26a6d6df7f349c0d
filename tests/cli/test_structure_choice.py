"""Which structure of a file a command takes, and that it says so."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os

import numpy as np
import pytest
import typer
from ase import Atoms
from ase.io import write
from helpers.command_line import assert_one_line_error, run, save_random_model, triclinic_salt

from ase_equivar.cli import inputs
from ase_equivar.cli import main as cli
from ase_equivar.cli.potentials import find_potential
from ase_equivar.io.structure_files import read_apart, read_image
from ase_equivar.screening import read_structures

ESPRESSO = """ &control
   calculation = 'scf'
 /
 &system
   ibrav = 0, nat = 2, ntyp = 2, ecutwfc = 30
 /
 &electrons
 /
ATOMIC_SPECIES
Na 22.99 Na.upf
Cl 35.45 Cl.upf
K_POINTS automatic
2 2 2 0 0 0
CELL_PARAMETERS angstrom
0.1 2.8 2.8
2.8 0.0 2.8
2.8 2.8 0.2
ATOMIC_POSITIONS crystal
Na 0 0 0
Cl 0.5 0.5 0.51
"""
DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 4
0 4
0 4
ITEM: ATOMS id type{} x y z
1 1{} 0 0 0
2 2{} 2 2 2
"""


def write_compressed(path, text):
    """Write a text, compressed as the ending says."""
    compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    path.write_bytes(compress.get(path.suffix, bytes)(text.encode()))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_random_model(tmp_path_factory.mktemp("models") / "random")


def images():
    """Three that differ."""
    made = [triclinic_salt() for _ in range(3)]
    for number, atoms in enumerate(made):
        atoms.positions[0, 0] += 0.1 * number
    return made


@pytest.mark.parametrize("name", ["x.extxyz", "x.traj", "x.cif", "x.json"])
def test_the_index_is_that_of_ase(tmp_path, capsys, name):
    """CIF: of its blocks."""
    path = tmp_path / name
    write(path, images())
    for index, number in ((None, 2), ("-1", 2), ("0", 0), ("1", 1), ("-2", 1)):
        atoms = inputs.read_structure(path, index)
        expected = images()[number]
        places = atoms.get_all_distances(mic=True)  # CIF turns the cell
        assert places == pytest.approx(expected.get_all_distances(mic=True), abs=1e-3), index
        told = capsys.readouterr().err
        assert f"{name}: structure {number} (counted from 0) of 3" in told
        assert ("--index takes another" in told) == (index is None)


@pytest.mark.parametrize("name", ["POSCAR@300K", "POSCAR@1", "POSCAR@::2"])
def test_an_at_sign_belongs_to_the_name_of_a_file(tmp_path, name):
    """ASE would read POSCAR instead, where there is one."""
    first, _, other = images()
    first.write(tmp_path / "POSCAR", format="vasp", sort=False)
    other.write(tmp_path / name, format="vasp", sort=False)
    found = inputs.read_structure(tmp_path / name)
    assert abs(found.positions - other.positions).max() < 1e-6
    (found,) = inputs.read_frames(tmp_path / name)
    assert abs(found.positions - other.positions).max() < 1e-6
    both = dict(read_structures([tmp_path]))
    assert abs(both[str(tmp_path / name)].positions - other.positions).max() < 1e-6


def test_a_single_structure_needs_no_word(tmp_path, capsys):
    write(tmp_path / "x.cif", images()[0])
    inputs.read_structure(tmp_path / "x.cif")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("3", "has 3 frames, so there is no frame 3"),
        ("0:2", "not a single whole"),
        ("a", "not a single whole"),
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path, model, index, message):
    write(tmp_path / "x.extxyz", images())
    result = run("born", tmp_path / "x.extxyz", "--model", model, "--index", index)
    assert_one_line_error(result, 2, message)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("select", ("--number", 1, "-o", "s.extxyz")),
        ("spectrum", ("--timestep", 1.0)),
        ("polarization", ("--model", "universal-polar")),
    ],
)
@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("abc", "the index 'abc' is neither the number of a frame"),
        ("1,2", "the index '1,2' is neither the number of a frame"),
        ("", "the index '' is neither the number of a frame"),
        ("::0", "the index '::0' is neither the number of a frame"),
        ("17:", r"x\.traj has no frame that --index 17: takes"),
    ],
)
def test_indices_of_frames_that_are_none(tmp_path, monkeypatch, command, options, index, message):
    """The file is not blamed for them."""
    monkeypatch.chdir(tmp_path)
    write("x.traj", images())
    assert_one_line_error(run(command, "x.traj", *options, "--index", index), 2, message)
    assert os.listdir() == ["x.traj"]


def test_two_frames_of_one_trajectory(tmp_path, monkeypatch, model):
    """FILE@0 and FILE@1, as in two files of their own, and whatever the format."""
    monkeypatch.chdir(tmp_path)
    write("x.traj", images()[:2])
    for number, atoms in enumerate(images()[:2]):
        write(f"{number}.vasp", atoms)
    tables = []
    for start, end in (("x.traj@0", "x.traj@1"), ("0.vasp", "x.traj@-1"), ("0.vasp", "1.vasp")):
        result = run("polarization", start, end, "--model", model)
        assert result.exit_code == 0, result.output
        tables.append(result.stdout)
    assert tables[0] == tables[1] == tables[2]
    told = run("polarization", "x.traj", "0.vasp", "--model", model).stderr
    assert "of 2, the last one; x.traj@0 takes another" in told
    refused = run("polarization", "x.traj@7", "x.traj@0", "--model", model)
    assert_one_line_error(refused, 2, "x.traj has 2 frames, so there is no frame 7")


def test_commands_take_the_structure_that_is_asked_for(tmp_path, model):
    write(tmp_path / "x.extxyz", images())
    write(tmp_path / "one.extxyz", images()[1])
    outputs = []
    for file, options in (("x.extxyz", ("--index", 1)), ("one.extxyz", ()), ("x.extxyz", ())):
        output = tmp_path / "born.json"
        result = run("born", tmp_path / file, "--model", model, *options, "-o", output)
        assert result.exit_code == 0, result.output
        outputs.append(output.read_text())
    assert outputs[0] == outputs[1] != outputs[2]


def test_a_format_that_the_name_does_not_tell(tmp_path, model):
    write(tmp_path / "x.extxyz", images()[0])
    (tmp_path / "x.extxyz").rename(tmp_path / "x.odd")
    assert len(read_apart(tmp_path / "x.odd", format="extxyz")) == 1
    result = run("born", tmp_path / "x.odd", "--model", model, "--format", "what")
    assert_one_line_error(result, 2, "ASE knows no format 'what'")


@pytest.mark.parametrize("name", ["scf.in", "scf.pwi", "scf", "scf.in.gz"])
def test_namelists_after_blanks_are_quantum_espresso(tmp_path, name):
    write_compressed(tmp_path / name, ESPRESSO)
    atoms = read_image(tmp_path / name).atoms
    assert isinstance(atoms, Atoms)
    assert str(atoms.symbols) == "NaCl"
    assert atoms.cell[2] == pytest.approx([2.8, 2.8, 0.2])


@pytest.mark.parametrize("name", ["md.lammpstrj", "dump.out", "md.lammpstrj.gz", "dump.xz"])
def test_a_lammps_dump_without_elements_is_refused(tmp_path, name):
    """Compressed ones were taken for hydrogen and helium."""
    write_compressed(tmp_path / name, DUMP.format("", "", ""))
    with pytest.raises(ValueError, match=r"names no elements .*dump_modify ID element Na Cl"):
        read_apart(tmp_path / name)
    with pytest.raises(ValueError, match="names no elements"):
        list(inputs.read_frames(tmp_path / name))
    write_compressed(tmp_path / name, DUMP.format(" element", " Na", " Cl"))
    assert str(read_image(tmp_path / name).atoms.symbols) == "NaCl"


@pytest.mark.parametrize("ending", ["extxyz", "xyz.gz", "extxyz.bz2", "xyz.xz"])
def test_frames_of_compressed_files(tmp_path, ending):
    write(tmp_path / "x.extxyz", images())
    path = tmp_path / f"y.{ending}"
    write_compressed(path, (tmp_path / "x.extxyz").read_text())
    for index, expected in ((":", images()), ("1:", images()[1:])):
        found = list(inputs.read_frames(path, index))
        assert len(found) == len(expected)
        for atoms, original in zip(found, expected, strict=True):
            np.testing.assert_allclose(atoms.positions, original.positions, atol=1e-7)
    if not ending.endswith("extxyz"):
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ValueError, match="compressed data are damaged"):
            list(inputs.read_frames(path))


def test_a_file_without_atoms_is_no_structure(tmp_path):
    """FHI-aims is what ASE takes many a text for."""
    (tmp_path / "x.in").write_text(ESPRESSO)
    with pytest.raises(ValueError, match="there are no atoms in it"):
        read_image(tmp_path / "x.in", format="aims")


def test_every_command_of_one_structure_has_both_options():
    """The others take all structures of their files, or parts as FILE@::10."""
    commands = typer.main.get_command(cli.app).commands
    without = {
        name
        for name, command in commands.items()
        if not {"--index", "--format"} <= {opt for param in command.params for opt in param.opts}
    }
    assert without <= {
        "screen", "label", "train", "finetune", "evaluate", "calibrate", "combine", "plot",
        "lammps", "models", "select",
    }  # fmt: skip


def test_what_is_no_file_is_named_as_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("pipe", "pipe is a pipe or a device, which can be read only once"),
        ("folder", "folder is a folder; give a file"),
        ("nothing", "there is no file .*nothing"),
    ):
        for command in ("born", "phonons", "label", "evaluate", "train"):
            options = {
                "label": ["-o", tmp_path / "o.extxyz", "--pseudopotentials", tmp_path],
            }
            before = ["universal"] if command == "evaluate" else []
            result = run(command, *before, tmp_path / name, *options.get(command, []))
            assert_one_line_error(result, 2, message)
        recipe = f"{{output: new, start: universal, data: {{train: {name}, valid: {name}}}}}"
        (tmp_path / "recipe.yaml").write_text(recipe)
        result = run("train", tmp_path / "recipe.yaml")
        assert_one_line_error(result, 2, f"data.train: .*{message}")
        with pytest.raises((OSError, ValueError), match=message):
            find_potential(f"nequix:{tmp_path / name}")


def test_a_part_of_a_file_is_given_by_the_index(tmp_path):
    """Other commands take FILE@3."""
    write(tmp_path / "x.extxyz", images())
    told = r"no file .*x.extxyz@1; for a part of .*x.extxyz give --index 1"
    assert_one_line_error(run("born", tmp_path / "x.extxyz@1"), 2, told)
