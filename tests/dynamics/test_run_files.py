"""Files of driven runs: what is in them, and that each part of a run writes its own."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import units
from ase.constraints import FixAtoms, FixBondLengths, FixCom, Hookean
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from helpers.driven_crystal import SINE, crystal

from ase_equivar.dynamics import (
    FieldTrajectory,
    drive,
    read_field_log,
    restore_checkpoint,
    save_checkpoint,
)
from ase_equivar.training.data import read_frames
from ase_equivar.training.sections import DataConfig
from ase_equivar.warning_types import InputWarning


def langevin(trajectory=None):
    dyn = Langevin(
        crystal(),
        0.1 * units.fs,
        temperature_K=300,
        friction=0.01,
        rng=np.random.default_rng(1),
        trajectory=trajectory,
    )
    return drive(dyn, SINE)


@pytest.mark.parametrize("first", ["first.traj", None])
def test_a_restored_run_writes_the_trajectory_of_its_own_script(tmp_path, monkeypatch, first):
    """It went on in the file of the run that wrote the checkpoint, or failed in an assertion."""
    monkeypatch.chdir(tmp_path)
    driven = langevin(first)
    driven.dynamics.run(5)
    save_checkpoint(driven, "run.npz")
    driven = langevin("second.traj")
    restore_checkpoint(driven, "run.npz")
    driven.dynamics.run(4)
    assert len(ase.io.read("second.traj", ":")) == 4
    if first:
        assert len(ase.io.read(first, ":")) == 6


def test_names_of_files_in_checkpoints_of_earlier_versions_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    driven = langevin()
    save_checkpoint(driven, "run.npz")
    with np.load("run.npz") as file:
        content = dict(file)
    plain = str(content["plain"]).replace("{", '{"dyn/_orig_trajectory": "old.traj", ', 1)
    np.savez("run.npz", **{**content, "plain": np.array(plain)})
    again = langevin("new.traj")
    restore_checkpoint(again, "run.npz")
    again.dynamics.run(2)
    assert (tmp_path / "new.traj").exists()
    assert not (tmp_path / "old.traj").exists()


CONSTRAINTS = {
    "an atom": lambda: FixAtoms([0]),
    "center of mass": lambda: FixCom(),
    "spring": lambda: Hookean(a1=0, a2=1, rt=1.0, k=5.0),
}


@pytest.mark.parametrize("ending", [".extxyz", ".traj", ".h5"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_forces_in_trajectories_are_those_of_the_calculator_and_the_field(
    tmp_path, constraint, ending
):
    """Less the field's, they were wrong by what the constraints had held back or added."""
    atoms = crystal()
    atoms.set_constraint(CONSTRAINTS[constraint]())
    driven = drive(VelocityVerlet(atoms, 0.2 * units.fs), SINE)
    path = tmp_path / f"run{ending}"
    driven.dynamics.attach(FieldTrajectory(driven, path))
    driven.dynamics.run(3)
    if ending == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path) as file:
            forces, of_field, energy = (
                file[name][-1] for name in ("forces", "field_forces", "energy")
            )
            positions = file["positions"][-1]
    else:
        frame = ase.io.read(path, -1)
        where = frame.arrays if ending == ".extxyz" else frame.info
        forces, of_field = frame.get_forces(), where["field_forces"]
        energy, positions = frame.get_potential_energy(), frame.positions
    free = crystal()
    free.positions = positions
    np.testing.assert_allclose(forces - of_field, free.get_forces(), atol=1e-6)
    assert energy == pytest.approx(free.get_potential_energy(), abs=1e-6)
    held = atoms.get_forces() - atoms.get_forces(apply_constraint=False)
    assert np.abs(held).max() > 0.01


@pytest.mark.filterwarnings("ignore:.*the file has lost")
@pytest.mark.parametrize("ending", [".log", ".extxyz", ".traj", ".h5"])
def test_what_a_killed_run_wrote_after_its_checkpoint_is_dropped(tmp_path, ending):
    """It stayed where the run goes on with a longer interval: two paths in one file."""
    if ending == ".h5":
        pytest.importorskip("h5py")
    path, checkpoint = tmp_path / f"run{ending}", tmp_path / "run.npz"

    def start(interval):
        dyn = VelocityVerlet(crystal(), 1.0 * units.fs)
        if ending == ".log":
            return drive(dyn, SINE, log=path, log_interval=interval)
        driven = drive(dyn, SINE)
        dyn.attach(FieldTrajectory(driven, path), interval=interval)
        return driven

    driven = start(1)
    driven.dynamics.attach(save_checkpoint, 10, driven, checkpoint)
    driven.dynamics.run(19)
    driven = start(15)
    restore_checkpoint(driven, checkpoint)
    driven.dynamics.run(20)
    assert times(path) == [*range(11), 15, 30]


def times(path):
    if path.suffix == ".log":
        return [round(time) for time in read_field_log(path).times]
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path) as file:
            return [round(time) for time in file["time"][:]]
    return [round(frame.info["time"]) for frame in ase.io.read(path, ":")]


def test_the_gap_that_this_leaves_is_told(tmp_path):
    path, checkpoint = tmp_path / "run.log", tmp_path / "run.npz"
    driven = drive(VelocityVerlet(crystal(), 1.0 * units.fs), SINE, log=path)
    driven.dynamics.run(10)
    save_checkpoint(driven, checkpoint)
    driven = drive(VelocityVerlet(crystal(), 1.0 * units.fs), SINE, log=path, log_interval=15)
    restore_checkpoint(driven, checkpoint)
    with pytest.warns(InputWarning, match="ends at 10 fs .* unless the interval was changed"):
        driven.dynamics.run(20)


def test_arrays_and_periodicity_of_other_atoms_are_named(tmp_path):
    """A further array made a sound checkpoint "damaged", and pbc was not compared."""
    path = tmp_path / "run.npz"
    save_checkpoint(drive(VelocityVerlet(crystal(), 0.1), SINE), path)
    atoms = crystal()
    atoms.set_tags([1, 2, 3])
    with pytest.raises(ValueError, match=r"atoms without arrays\['tags'\], which these have"):
        restore_checkpoint(drive(VelocityVerlet(atoms, 0.1), SINE), path)
    atoms = crystal()
    atoms.pbc = (True, True, False)
    with pytest.raises(ValueError, match=r"pbc=\[True, True, True\]; these have \[True, True, F"):
        restore_checkpoint(drive(VelocityVerlet(atoms, 0.1), SINE), path)


def restored_with(constraints, path):
    atoms = crystal()
    atoms.set_constraint(constraints)
    restore_checkpoint(drive(VelocityVerlet(atoms, 0.1), SINE), path)


def test_other_constraints_than_those_of_the_checkpoint_are_named(tmp_path):
    path = tmp_path / "run.npz"
    held = crystal()
    held.set_constraint([FixAtoms([2, 0]), FixBondLengths([[0, 1]]), Hookean(0, 1, 30.0, rt=0.5)])
    save_checkpoint(drive(VelocityVerlet(held, 0.1), SINE), path)
    bond, spring = FixBondLengths([[0, 1]]), Hookean(0, 1, 30.0, rt=0.5)
    restored_with([spring, FixAtoms([0]), bond, FixAtoms(mask=[False, False, True])], path)
    for constraints, lacking, further in (
        ([], r"Fix.*, FixBondLengths .*, Hookean .*", "none"),
        ([FixAtoms([1]), bond, spring], r"FixAtoms of 2: \[0, 2\]", r"FixAtoms of 1: \[1\]"),
        ([FixAtoms([0, 2]), spring], r"FixBondLengths \[\[\[0, 1\]\]\]", "none"),
        ([FixAtoms([0, 2]), bond, Hookean(1, 2, 30.0, rt=0.5)], "Hookean .*", "Hookean .*"),
        ([FixAtoms([0, 2]), bond, spring, FixCom()], "none", "FixCom .*"),
    ):
        with pytest.raises(ValueError, match=rf": {lacking}, and not {further}; set the same"):
            restored_with(constraints, path)


@pytest.mark.parametrize("name", ["run.extxyz", "run.traj"])
def test_charges_of_a_run_are_no_labels(name, tmp_path):
    """Every model agreed with the Z* that it had given in a field."""
    driven = drive(VelocityVerlet(crystal(), 0.1), SINE)
    driven.dynamics.attach(FieldTrajectory(driven, tmp_path / name))
    driven.dynamics.run(2)
    with pytest.raises(ValueError, match="are a prediction, with 'field_forces' beside them"):
        read_frames([tmp_path / name], DataConfig((), ()))
