"""Logs that are torn, and atoms of which there can be none."""

import logging

import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE
from helpers.polar_crystal import PolarCrystal, ions

from ase_equivar.dynamics import (
    FieldLog,
    FieldTrajectory,
    drive,
    observe,
    read_field_log,
    restore_checkpoint,
    save_checkpoint,
)
from ase_equivar.dynamics.field_log import BY_LAMMPS, UNCERTAINTY

FIELD = np.array([0.11, -0.07, 0.16])


def logged(path):
    """Return a dynamics that writes a log of its run in a field."""
    atoms = ions()
    atoms.calc = PolarCrystal()
    dyn = VelocityVerlet(atoms, 0.1)
    drive(dyn, FIELD, log=path)
    return dyn


def test_incomplete_last_line_is_left_out(tmp_path, caplog):
    path = tmp_path / "run.log"
    dyn = logged(path)
    dyn.run(4)
    whole = read_field_log(path)
    assert not caplog.records
    text = path.read_text()
    with caplog.at_level(logging.WARNING):
        for length in (3, 30, len(text.splitlines()[0])):
            path.write_text(text[: -1 - length])
            torn = read_field_log(path)
            assert len(torn.times) == len(whole.times) - 1
            np.testing.assert_array_equal(torn.work, whole.work[:-1])
    assert "run.log: the last line is incomplete and is left out" in caplog.text
    header, *lines = text.splitlines(keepends=True)
    path.write_text("".join([header, *lines[:2], "# from step 2 on\n", *lines[2:]]))
    np.testing.assert_array_equal(read_field_log(path).work, whole.work)
    for begun in (text[: len(header) + 40], header + "# from step 2 on\n"):
        path.write_text(begun)
        with pytest.raises(ValueError, match="has no line yet"):
            read_field_log(path)


def test_molecule_has_work_and_no_polarization(tmp_path):
    atoms = molecule("N2")
    atoms.calc = EMT()
    dyn = VelocityVerlet(atoms, 0.1)
    charges = np.array([np.eye(3), -np.eye(3)])
    message = "the atoms have 0 cell vectors, but polarization, current and transported charge need"
    with pytest.raises(ValueError, match=message):
        drive(dyn, FIELD, born_charges=charges, log=tmp_path / "run.log")
    driven = drive(dyn, FIELD, born_charges=charges)
    for refused in (
        lambda: observe(driven),
        lambda: FieldLog(driven, tmp_path / "run.log"),
        lambda: FieldTrajectory(driven, tmp_path / "run.extxyz"),
    ):
        with pytest.raises(ValueError, match=message):
            refused()
    dyn.run(10)
    assert abs(driven.work) > 1e-3
    assert not list(tmp_path.iterdir())


def test_log_that_two_processes_wrote_is_refused(tmp_path):
    path = tmp_path / "run.log"
    dyn = logged(path)
    dyn.run(4)
    header, *lines = path.read_text().splitlines(keepends=True)
    for two in ([*lines[:3], *lines], [line for line in lines for _ in range(2)], lines[::-1]):
        path.write_text(header + "".join(two))
        with pytest.raises(ValueError, match=r"times must ascend\. Two processes may have written"):
            read_field_log(path)
    path.write_text(header + "".join([*lines[:3], *lines]))
    with pytest.raises(ValueError, match="line 5 is at 0 fs, the line before it at"):
        read_field_log(path)


def test_log_of_an_optimizer_stands_still_in_time(tmp_path):
    path = tmp_path / "run.log"
    atoms = ions()
    atoms.calc = PolarCrystal()
    optimizer = FIRE(atoms, logfile=None)
    drive(optimizer, FIELD, log=path)
    optimizer.run(steps=3)
    assert len(read_field_log(path).times) == 4


class Doubtful(PolarCrystal):
    """States an uncertainty that grows with the distance of the first two ions."""

    def calculate(self, atoms, *args, **kwargs):
        super().calculate(atoms, *args, **kwargs)
        self.results["born_charges_uncertainty"] = np.array([0.01, doubt(atoms), 0.02])


def doubt(atoms):
    return np.linalg.norm(atoms.positions[1] - atoms.positions[0])


def test_log_has_the_largest_uncertainty(tmp_path):
    """That of the Z* in use, which may be of an earlier step; after a restart too."""
    atoms, path = ions(), tmp_path / "run.log"
    atoms.calc = Doubtful()
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, FIELD, log=path, update_interval=3)
    expected = []
    dyn.attach(lambda: expected.append(doubt(atoms)))
    dyn.run(4)
    save_checkpoint(driven, tmp_path / "run.npz")
    moved = atoms.copy()
    moved.calc = Doubtful()
    other = VelocityVerlet(moved, 0.1)
    driven = drive(other, FIELD, log=path, update_interval=3)
    restore_checkpoint(driven, tmp_path / "run.npz")
    other.attach(lambda: expected.append(doubt(moved)))
    other.run(3)
    found = read_field_log(path).largest_uncertainty
    used = [expected[k] for k in (0, 0, 0, 3, 3, 3, 6, 6)]
    np.testing.assert_allclose(found, used, rtol=1e-12)
    assert np.ptp(used) > 1e-3


def test_lines_that_lammps_repeats_may_have_no_uncertainty(tmp_path):
    """As of models without a calibration: nan is not equal to nan."""
    path = tmp_path / "run.log"
    dyn = logged(path)
    dyn.run(4)
    expected = read_field_log(path)
    assert np.isnan(expected.largest_uncertainty).all()
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header.rstrip() + BY_LAMMPS + "\n", *lines[:3], *lines[2:]]))
    np.testing.assert_array_equal(read_field_log(path).work, expected.work)


def test_lines_that_lammps_repeats_may_have_a_rounded_uncertainty(tmp_path):
    """Several processes calculate it again, with the atoms in another order."""
    path = tmp_path / "run.log"
    atoms = ions()
    atoms.calc = Doubtful()
    dyn = VelocityVerlet(atoms, units.fs)
    drive(dyn, [0, 0, 0.1], log=path)
    dyn.run(4)
    expected = read_field_log(path)
    header, *lines = path.read_text().splitlines(keepends=True)
    column = header.split().index(UNCERTAINTY)
    again = lines[2].split()
    again[column] = f"{float(again[column]) * (1 + 3e-6):.9e}"
    repeated = [*lines[:3], " ".join(again) + "\n", *lines[3:]]
    path.write_text("".join([header.rstrip() + BY_LAMMPS + "\n", *repeated]))
    np.testing.assert_array_equal(read_field_log(path).work, expected.work)


def test_elements_that_change_places_are_not_logged(tmp_path):
    """The columns of one would hold the displacements of the other."""
    path = tmp_path / "run.log"
    dyn = logged(path)
    dyn.run(2)
    dyn.atoms.numbers[[0, 1]] = dyn.atoms.numbers[[1, 0]]
    with pytest.raises(RuntimeError, match="columns for other elements than the atoms have now"):
        dyn.run(2)
    assert len(read_field_log(path).times) == 3


def test_log_of_an_earlier_version_goes_on(tmp_path):
    """Without the column that it lacks."""
    atoms, path = ions(), tmp_path / "run.log"
    atoms.calc = Doubtful()
    dyn = VelocityVerlet(atoms, 0.1)
    driven = drive(dyn, FIELD, log=path)
    dyn.run(4)
    save_checkpoint(driven, tmp_path / "run.npz")
    whole = read_field_log(path)
    lines = [line[:-25] + "\n" for line in path.read_text().splitlines()]
    path.write_text("".join(lines))
    older = read_field_log(path)
    np.testing.assert_array_equal(older.work, whole.work)
    assert np.isnan(older.largest_uncertainty).all()
    moved = atoms.copy()
    moved.calc = Doubtful()
    driven = drive(VelocityVerlet(moved, 0.1), FIELD, log=path)
    restore_checkpoint(driven, tmp_path / "run.npz")
    driven.dynamics.run(2)
    longer = read_field_log(path)
    assert len(longer.times) == 7
    assert np.isnan(longer.largest_uncertainty).all()
    assert (whole.largest_uncertainty > 0).all()


def test_runs_backward_in_time_are_not_written(tmp_path):
    atoms = ions()
    atoms.calc = plain = PolarCrystal()
    dyn = VelocityVerlet(atoms, -0.1)
    with pytest.raises(ValueError, match="the time step is negative"):
        drive(dyn, FIELD, log=tmp_path / "run.log")
    assert atoms.calc is plain
    driven = drive(dyn, FIELD)
    with pytest.raises(ValueError, match="the time step is negative"):
        FieldLog(driven, tmp_path / "run.log")
    with pytest.raises(ValueError, match="the time step is negative"):
        FieldTrajectory(driven, tmp_path / "run.extxyz")
