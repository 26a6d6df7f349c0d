"""Runs of many structures, with stand-ins that print what pw.x and ph.x once printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.command_line import assert_one_line_error, run

from ase_equivar.io.extxyz import read_extxyz
from ase_equivar.io.label_files.espresso import read_response
from ase_equivar.labelling import Settings, label_all
from ase_equivar.labelling.journal import journal_of
from ase_equivar.labelling.programs import KilledError, OutOfTimeError
from ase_equivar.labelling.run import identity
from ase_equivar.training.data import read_frames
from ase_equivar.training.sections import DataConfig
from ase_equivar.warning_types import InputWarning

RECORDED = Path(__file__).parent / "recorded"
UPF = '<UPF><PP_HEADER pseudo_type="{}" functional="{}" z_valence="  {}"/></UPF>'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with pseudopotentials (headers only), programs and structures."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pw", "ph"):
        program = programs / f"{name}.x"
        # slow.txt makes them wait; every start is noted in starts.txt
        program.write_text(
            f"#!/bin/sh\necho {name} >> {tmp_path}/starts.txt\n"
            f"[ -f {tmp_path}/slow.txt ] && exec sleep 60\n"
            f"exec cat {RECORDED}/{name}.out\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    pseudo = tmp_path / "pseudo"
    pseudo.mkdir()
    for element, valence in (("H", 1), ("Li", 3)):
        (pseudo / f"{element}.upf").write_text(UPF.format("NC", "PBESOL", valence))
    ase.io.write(tmp_path / "structures.extxyz", structures())
    return tmp_path


def structures():
    """Three of four atoms as in the recorded run, one with an odd number of electrons."""
    images = []
    for seed in range(3):
        atoms = Atoms("Li2H2", np.eye(4, 3) * 2.5, cell=[4.6, 4.8, 5.0], pbc=True)
        atoms.rattle(0.05, seed=seed)
        atoms.info["seed"] = f"20-{seed}"
        images.append(atoms)
    odd = Atoms("H", cell=[4, 4, 4], pbc=True)
    return [*images[:1], odd, *images[1:]]


def settings(folder):
    return Settings(pseudopotentials=folder / "pseudo", max_violation=0.05)


def starts(folder):
    return (folder / "starts.txt").read_text().split().count("pw")


def test_labels_come_in_the_layout_that_training_reads(folder):
    output = folder / "out.extxyz"
    steps = list(label_all(structures(), output, settings(folder), processes=2))
    assert {step.frame for step in steps} == {0, 1, 2, 3}
    assert [step.frame for step in steps if step.label is None] == [1]
    expected = read_response((RECORDED / "ph.out").read_text(), 4).born_charges
    images = read_extxyz(output)
    assert len(images) == 3
    for atoms in images:
        charges = atoms.calc.results["born_charges"]
        np.testing.assert_allclose(charges, expected - expected.sum(axis=0) / 4, atol=1e-7)
        assert atoms.calc.results["dielectric_tensor"].shape == (3, 3)
        assert atoms.get_forces().shape == (4, 3)
        violation = np.abs(expected.sum(axis=0)).max()
        assert atoms.info["raw_sum_rule_violation"] == pytest.approx(violation, abs=1e-5)
    assert {atoms.info["seed"] for atoms in images} == {"20-0", "20-1", "20-2"}
    (failure,) = (json.loads(line) for line in journal_of(output).read_text().splitlines())
    assert failure["frame"] == 1
    assert "odd number" in failure["reason"]
    assert not list(folder.glob(".*.scratch"))


def test_entries_that_the_format_cannot_hold_cost_no_label(folder):
    images = structures()
    for atoms in images:
        atoms.info["comment"] = ""  # of a LAMMPS file without a title
        atoms.info["energy"] = -1.0  # of a database
        atoms.arrays["residuenames"] = np.array([""] * len(atoms))
    output = folder / "out.extxyz"
    with pytest.warns(InputWarning, match=r"info\['comment'\], arrays\['residuenames'\]"):
        list(label_all(images, output, settings(folder)))
    found = read_extxyz(output)
    assert len(found) == 3
    for atoms in found:
        assert atoms.calc.results["dielectric_tensor"].shape == (3, 3)
        assert "comment" not in atoms.info


@pytest.mark.parametrize("place", ["arrays", "info"])
def test_frames_of_a_run_in_a_field_have_labels_to_train_on(folder, place):
    """Forces of the field beside Z* would tell that these were predicted."""
    atoms = structures()[0]
    getattr(atoms, place)["field_forces"] = np.zeros((4, 3))
    output = folder / "out.extxyz"
    list(label_all([atoms], output, settings(folder)))
    kept, rejected = read_frames([str(output)], DataConfig((), ()))
    assert (len(kept), rejected) == (1, [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda atoms: atoms.info.update(charge=2), "a total charge of 2 e; labels are of neutral"),
        (lambda atoms: atoms.info.update(total_charge=-1), "a total charge of -1 e"),
        (lambda atoms: atoms.set_initial_magnetic_moments([1, 0, 0, -1]), "magnetic moments"),
    ],
)
def test_states_that_are_not_calculated_are_refused(folder, change, told):
    atoms = structures()[0]
    change(atoms)
    (step,) = label_all([atoms], folder / "out.extxyz", settings(folder))
    assert step.label is None
    assert told in step.reason
    assert not (folder / "starts.txt").exists()


def test_programs_beside_the_working_folder(folder, monkeypatch):
    """They are started in folders of their own."""
    monkeypatch.chdir(folder)
    beside = replace(settings(folder), pw="./programs/pw.x", ph="./programs/ph.x")
    (step,) = label_all(structures()[:1], "out.extxyz", beside)
    assert step.label is not None


def test_a_run_without_results_binds_nobody(folder):
    """It was stopped before its first label, say."""
    output = folder / "out.extxyz"
    list(label_all(structures()[:1], output, settings(folder)))
    output.write_bytes(b"")
    other = replace(settings(folder), cutoff=60.0)
    (step,) = label_all(structures()[:1], output, other)
    assert step.label is not None
    with pytest.raises(ValueError, match=r"was started with other settings: cutoff"):
        list(label_all(structures(), output, settings(folder)))


@pytest.mark.parametrize("cut", [1, 5, 200, 700])
def test_a_file_cut_off_anywhere_is_resumed(folder, cut):
    output = folder / "out.extxyz"
    list(label_all(structures(), output, settings(folder)))
    whole = output.read_bytes()
    output.write_bytes(whole[:-cut])
    journal = journal_of(output)
    journal.write_bytes(journal.read_bytes()[:-9])
    before = starts(folder)
    steps = list(label_all(structures(), output, settings(folder)))
    assert sorted(read_seeds(output)) == ["20-0", "20-1", "20-2"]
    assert starts(folder) - before == 1
    assert 1 in {step.frame for step in steps}  # the line of the journal was lost as well
    assert len(list(label_all(structures(), output, settings(folder)))) == 0


def read_seeds(output):
    return [str(atoms.info["seed"]) for atoms in read_extxyz(output)]


@pytest.mark.parametrize("scale", [(1e-3, 1, 1), (1, 1e-5, 1e5), (1e290, 1, 1)], ids=str)
def test_a_hostile_cell_starts_no_program(folder, scale):
    """Flat ones would need meshes of millions of points."""
    atoms = structures()[0]
    atoms.set_cell(np.diag([4.6, 4.8, 5.0]) * np.array(scale)[:, None], scale_atoms=True)
    (step,) = label_all([atoms], folder / "out.extxyz", settings(folder))
    assert re.search("high along|beyond 1e", step.reason), step.reason
    assert not (folder / "starts.txt").exists()


def test_labels_of_other_settings_are_not_mixed(folder):
    """Nothing is calculated, and the files stay as they are."""
    output = folder / "out.extxyz"
    list(label_all(structures()[:1], output, settings(folder)))
    before, started = output.read_bytes(), starts(folder)
    with pytest.raises(
        ValueError, match=r"started with other settings: cutoff was 50\.0, is now 6"
    ):
        list(label_all(structures(), output, replace(settings(folder), cutoff=60.0)))
    upf = folder / "pseudo" / "Li.upf"
    upf.write_text(upf.read_text() + "<!-- another -->")
    with pytest.raises(ValueError, match=r"pseudopotential of Li was [0-9a-f]{16}, is now"):
        list(label_all(structures(), output, settings(folder)))
    (folder / "out.extxyz.settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"settings\.json, the settings .* is damaged"):
        list(label_all(structures(), output, settings(folder)))
    assert output.read_bytes() == before
    assert starts(folder) == started


def test_another_element_may_be_added(folder):
    output = folder / "out.extxyz"
    list(label_all([Atoms("H", cell=[4, 4, 4], pbc=True)], output, settings(folder)))
    list(label_all(structures(), output, settings(folder)))
    list(label_all([Atoms("H", cell=[4, 4, 4], pbc=True)], output, settings(folder)))
    kept = json.loads((folder / "out.extxyz.settings.json").read_text())
    assert {"pseudopotential of H", "pseudopotential of Li"} <= kept.keys()


def test_failures_are_tried_again_only_if_asked(folder):
    output = folder / "out.extxyz"
    list(label_all(structures(), output, settings(folder)))
    assert list(label_all(structures(), output, settings(folder))) == []
    (again,) = label_all(structures(), output, settings(folder), retry=True)
    assert again.frame == 1
    assert (again.n_labelled, again.n_failed, again.n_all) == (3, 1, 4)


@pytest.mark.parametrize(
    "error",
    [
        " Error in routine divide_class (1):\n Wrong classes",  # SF6 in a box
        " Error in routine phq_setup (1):\n FFT grid incompatible with symmetry",  # layered CaO2
    ],
)
def test_rotations_that_ph_cannot_use_are_left_out(folder, error):
    """pw.x finds rotations that ph.x makes no group of, or that do not fit its grid."""
    ph = folder / "programs/ph.x"
    complaint = f"%%%%%%%%%%%%\n{error}\n%%%%%%%%%%%%"
    ph.write_text(
        f"#!/bin/sh\necho ph >> {folder}/starts.txt\n"
        f"grep -q nosym pw.in && exec cat {RECORDED}/ph.out\n"
        f"printf '{complaint.replace('%', '%%')}'\n"
    )
    (step,) = label_all(structures()[:1], folder / "out.extxyz", settings(folder))
    assert step.label is not None
    assert (folder / "starts.txt").read_text().split() == ["pw", "ph", "pw", "ph"]


def test_a_structure_that_moved_is_another_one(folder):
    atoms = structures()[0]
    moved = atoms.copy()
    moved.positions[2, 1] += 1e-4
    assert identity(atoms) == identity(atoms.copy())
    assert identity(atoms) != identity(moved)
    renamed = atoms.copy()
    renamed.info["seed"] = "another"
    assert identity(atoms) == identity(renamed)


def test_too_much_cpu_time_is_a_failure_of_one_structure(folder):
    program = folder / "programs/ph.x"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'while True: pass'\n")
    limited = Settings(pseudopotentials=folder / "pseudo", cpu_limit=0.5)
    (step,) = label_all(structures()[:1], folder / "out.extxyz", limited)
    assert step.label is None
    assert "CPU time" in step.reason


def test_a_program_that_cannot_start_ends_the_run(folder):
    """Each structure was said to have no ground state, and was not tried again."""
    program = folder / "programs/pw.x"
    whole = program.read_text()
    program.write_text("#!/bin/sh\necho error while loading shared libraries >&2\nexit 127\n")
    arguments = (
        *("label", folder / "structures.extxyz", "-o", folder / "out.extxyz"),
        *("--pseudopotentials", folder / "pseudo", "--max-violation", 0.05),
    )
    assert_one_line_error(
        run(*arguments), 1, r"pw\.x ends with status 127 and no output: error while loading shared"
    )
    assert not running_in(folder)
    program.write_text(whole)
    assert "4 of 4 done, 1 of them without a label" in run(*arguments).output


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_a_program_that_was_killed_says_nothing_of_its_structure(folder, signal, wrapped):
    program = folder / "programs/ph.x"
    whole = program.read_text()
    kill = f"kill -{signal} $$"
    end = f"sh -c '{kill}'\nexit $?" if wrapped else f"echo half a response\n{kill}"
    program.write_text(f"#!/bin/sh\n{end}\n")
    output = folder / "out.extxyz"
    (step,) = label_all(structures()[:1], output, settings(folder))
    assert f"ph.x was ended by SIG{signal}" in step.reason
    assert step.n_failed == 1
    program.write_text(whole)
    (step,) = label_all(structures()[:1], output, settings(folder))
    assert step.label is not None


def test_a_killed_run_leaves_no_program_behind(folder):
    (folder / "slow.txt").touch()
    output = folder / "out.extxyz"
    code = (
        "import ase.io, pathlib; from ase_equivar.labelling import Settings, label_all\n"
        f"images = ase.io.read({str(folder / 'structures.extxyz')!r}, ':')\n"
        f"settings = Settings(pathlib.Path({str(folder / 'pseudo')!r}), max_violation=0.05)\n"
        f"list(label_all(images, {str(output)!r}, settings))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        for _ in range(600):
            if (folder / "starts.txt").exists():
                break
            time.sleep(0.1)
        with pytest.raises(BlockingIOError, match=r"the labelling into .* is in use by process"):
            list(label_all(structures(), output, settings(folder)))
    finally:
        process.kill()
        process.wait()
    time.sleep(0.5)
    assert not running_in(folder)
    (folder / "slow.txt").unlink()
    list(label_all(structures(), output, settings(folder)))
    assert len(read_seeds(output)) == 3
    assert not list(folder.glob(".*.scratch"))


def running_in(folder):
    """Return the processes whose working folder lies in this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.resolve().is_relative_to(folder):
                found.append(entry)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "programs/ph.x").unlink(), "quantum-espresso"),
        (
            lambda folder: [path.unlink() for path in (folder / "pseudo").iterdir()],
            "such as Na.upf",
        ),
        (
            lambda folder: (folder / "pseudo/H.upf").write_text(UPF.format("US", "PBESOL", 1)),
            "norm-conserving",
        ),
        (
            lambda folder: (folder / "pseudo/H.upf").write_text(UPF.format("NC", "PBE", 1)),
            "different functionals",
        ),
        (lambda folder: (folder / "pseudo/H_2.upf").write_text("x"), "more than one"),
    ],
)
def test_what_is_missing_is_one_line_before_any_work(folder, monkeypatch, change, told):
    change(folder)
    monkeypatch.setenv("PATH", str(folder / "programs"))
    result = run(
        *("label", folder / "structures.extxyz", "-o", folder / "out.extxyz"),
        *("--pseudopotentials", folder / "pseudo"),
    )
    assert_one_line_error(result, 2, told)
    assert not (folder / "starts.txt").exists()


def test_the_command_tells_of_each_structure(folder):
    arguments = (
        *("label", folder / "structures.extxyz", "-o", folder / "out.extxyz"),
        *("--pseudopotentials", folder / "pseudo", "--processes", 2, "--max-violation", 0.05),
    )
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "4 of 4 done, 1 of them without a label" in result.output
    told = "nothing left to do; structures without a label from before: 1, for reasons in "
    assert f"{told}{folder}/out.extxyz.failures.jsonl: --retry" in run(*arguments).output


def test_the_command_fails_where_no_structure_has_a_label(folder):
    """So that no other goes on with a file without labels."""
    (folder / "programs/ph.x").write_text("#!/bin/sh\necho no idea\nexit 1\n")
    arguments = (
        *("label", folder / "structures.extxyz", "-o", folder / "out.extxyz"),
        *("--pseudopotentials", folder / "pseudo"),
    )
    result = run(*arguments)
    assert "4 of 4 done, 4 of them without a label" in result.output
    assert result.exit_code == 1
    again = run(*arguments)
    assert "nothing left to do; structures without a label from before: 4" in again.output
    assert again.exit_code == 1


def test_names_of_files_may_have_an_at_sign(folder):
    """Only an index or slice after the last one is no part of the name."""
    file = (folder / "structures.extxyz").rename(folder / "a@b.extxyz")
    options = ("-o", folder / "out.extxyz", "--pseudopotentials", folder / "pseudo")
    result = run("label", f"{file}@1", *options, "--max-violation", 0.05)
    assert result.exit_code == 1  # it is the one with an odd number of electrons
    assert "1 of 1 done" in result.output
    assert_one_line_error(
        run("label", folder / "no.extxyz@1", *options), 2, r"no file .*no\.extxyz$"
    )


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("end", ["no denser mesh", "more CPU time", "of CPU time with the mesh"])
def test_the_last_mesh_is_accepted_up_to_twice_the_violation(folder, monkeypatch, kept, end):
    """The recorded run violates the sum rule equally with every mesh."""
    recorded = read_response((RECORDED / "ph.out").read_text(), 4).born_charges
    violation = np.abs(recorded.sum(axis=0)).max() / 4
    aim = violation / 1.99 if kept else violation / 2.01
    limit, each = {
        "no denser mesh": (1800.0, 1.0),
        "more CPU time": (100.0, 40.0),
        "of CPU time with the mesh": (100.0, 10.0),
    }[end]
    meshes = []

    def record(program, text, folder, left, stop):
        name = Path(program).stem
        meshes.extend(["mesh"] * (name == "pw"))
        if end == "of CPU time with the mesh" and len(meshes) == 2:
            raise OutOfTimeError
        return (RECORDED / f"{name}.out").read_text(), each

    monkeypatch.setattr("ase_equivar.labelling.calculation.run_program", record)
    limited = Settings(folder / "pseudo", max_violation=aim, cpu_limit=limit)
    (step,) = label_all(structures()[:1], folder / "out.extxyz", limited)
    if kept:
        assert step.label is not None
        assert np.abs(step.label.violation).max() / 4 == pytest.approx(violation)
        spent = limit if len(meshes) == 2 else 2 * each * len(meshes)
        assert step.label.cpu_seconds == spent
    else:
        assert step.label is None
        assert f"off by {violation:.3f} e per atom" in step.reason
        assert end == "no denser mesh" or end in step.reason
    assert (len(meshes) > 2) == (end == "no denser mesh")


@pytest.mark.parametrize("end", ["killed", "not converged", "metal"])
def test_a_denser_mesh_that_fails_costs_no_label_that_is_there(folder, monkeypatch, end):
    """The first mesh has a label that would be accepted; only a metal has none at all."""
    recorded = read_response((RECORDED / "ph.out").read_text(), 4).born_charges
    aim = np.abs(recorded.sum(axis=0)).max() / 4 / 1.9
    meshes, calls = [], []

    def record(program, text, folder, left, stop):
        name = Path(program).stem
        meshes.extend(["mesh"] * (name == "pw"))
        if len(meshes) > 1 and end == "killed":
            raise KilledError("ph.x was ended by SIGKILL")
        calls.append(name)  # 1 s of CPU time each
        if len(meshes) > 1 and name == "ph" and end == "not converged":
            return "no convergence", 1.0
        output = (RECORDED / f"{name}.out").read_text()
        if len(meshes) > 1 and end == "metal":
            output = re.sub(
                r"(highest occupied, lowest unoccupied .*:\s+)(\S+)\s+\S+", r"\1\2 \2", output
            )
        return output, 1.0

    monkeypatch.setattr("ase_equivar.labelling.calculation.run_program", record)
    (step,) = label_all(
        structures()[:1], folder / "out.extxyz", Settings(folder / "pseudo", max_violation=aim)
    )
    assert len(meshes) > 1
    assert (step.label is None) == (end == "metal")
    if end == "metal":
        assert "a metal" in step.reason
    else:
        assert step.label.cpu_seconds == len(calls)


def test_an_empty_part_of_a_file_is_refused(folder):
    with pytest.raises(ValueError, match="no structures to label: the selection of the file is em"):
        list(label_all([], folder / "labels.extxyz", settings(folder)))
