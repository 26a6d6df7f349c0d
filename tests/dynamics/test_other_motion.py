"""What happens to driven atoms outside of the steps of their dynamics, or in spite of them."""

from __future__ import annotations

import os
import warnings

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import ExternalForce, FixAtoms, FixSymmetry, Hookean
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from helpers.driven_crystal import AMPLITUDE, SINE, crystal
from helpers.polar_crystal import PolarCrystal, ions
from helpers.springs import Springs
from helpers.told_warnings import nothing_told

from ase_equivar.dynamics import (
    FieldLog,
    FieldTrajectory,
    drive,
    observe,
    restore_checkpoint,
    save_checkpoint,
)
from ase_equivar.dynamics.experiments import MDSettings
from ase_equivar.warning_types import FieldWarning


def driven_crystal(**settings):
    atoms = crystal()
    return drive(VelocityVerlet(atoms, 0.1), SINE, **settings)


def test_motion_by_another_optimizer_is_told_once():
    driven = driven_crystal()
    driven.dynamics.run(3)
    with pytest.warns(FieldWarning, match="the field stands still"):
        BFGS(driven.atoms, logfile=None).run(steps=2)
    with pytest.warns(FieldWarning, match="between two steps: the work.* Before another") as told:
        driven.dynamics.run(3)
    assert len(told) == 1


def test_wrapped_atoms_have_not_moved():
    atoms = ions()
    atoms.positions += 3 * atoms.cell.array[0] - 7 * atoms.cell.array[2]
    atoms.calc = PolarCrystal()
    driven = drive(VelocityVerlet(atoms, 0.1), SINE)
    whole = drive(VelocityVerlet(crystal(), 0.1), SINE)
    driven.dynamics.attach(atoms.wrap)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FieldWarning)
        for one in (driven, whole):
            one.dynamics.run(20)
    np.testing.assert_allclose(driven.displacements, whole.displacements, atol=1e-9)
    assert driven.work == pytest.approx(whole.work, abs=1e-9)


def test_strained_and_shifted_crystals_lack_no_motion():
    driven = driven_crystal()
    driven.dynamics.run(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FieldWarning)
        driven.atoms.set_cell(driven.atoms.cell.array * 1.01, scale_atoms=True)
        driven.dynamics.run(2)
        driven.atoms.positions += [0.3, -0.1, 0.2]
        driven.dynamics.run(2)
        driven.atoms.positions[0, 1] += 0.02
        driven.work = 0.5  # whoever continues a run by hand says so
        driven.dynamics.run(2)
    driven.atoms.positions[0, 1] += 0.02
    with pytest.warns(FieldWarning, match="moved by up to 0.0133 Å between two steps"):
        driven.dynamics.run(2)


def test_atoms_that_come_or_go_are_refused():
    driven = driven_crystal()
    driven.dynamics.run(2)
    del driven.atoms[0]
    with pytest.raises(RuntimeError, match="added or removed after drive; release"):
        driven.dynamics.run(2)


def rock_salt(*constraints):
    """Its symmetry, which has no polar axis, forbids what a field does."""
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.calc = Springs(atoms, 5.0)
    atoms.set_constraint([constraint(atoms) for constraint in constraints])
    return atoms


@pytest.mark.parametrize("hold", [FixSymmetry, lambda atoms: FixAtoms(range(len(atoms)))])
def test_constraints_that_leave_nothing_of_the_field_are_named(hold):
    for constraints, told in (((hold,), r"constraints of the atoms \(Fix.*\) hold all"), ((), "")):
        dyn = VelocityVerlet(rock_salt(*constraints), 0.1)
        drive(dyn, AMPLITUDE, born_charges={"Na": 1, "Cl": -1})
        with pytest.warns(FieldWarning, match=told) if told else nothing_told():
            dyn.run(2)


@pytest.mark.parametrize("pull", [Hookean(0, 1, 5.0, rt=0.5), ExternalForce(0, 1, 0.5)])
def test_constraints_that_pull_are_no_effect_of_the_field(pull):
    dyn = VelocityVerlet(rock_salt(lambda _: pull), 0.1)
    drive(dyn, AMPLITUDE, born_charges=np.zeros((2, 3, 3)))
    with pytest.warns(FieldWarning, match="check that Z.* are not zero"):
        dyn.run(2)


def test_no_thermal_run_at_a_fixed_symmetry():
    with pytest.raises(ValueError, match=r"FixSymmetry, .* atoms\.set_constraint\(\)"):
        MDSettings(temperature=300).dynamics(rock_salt(FixSymmetry))


def test_logs_stay_in_their_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    driven = driven_crystal(log="run.log")
    for ending in ("traj", "extxyz"):
        driven.dynamics.attach(FieldTrajectory(driven, f"run.{ending}"))
    driven.dynamics.run(2)
    os.chdir("elsewhere")
    driven.dynamics.run(2)
    assert not os.listdir(".")
    assert len((tmp_path / "run.log").read_text().splitlines()) == 6
    for ending in ("traj", "extxyz"):
        assert len(ase.io.read(tmp_path / f"run.{ending}", ":")) == 5


def test_frames_keep_labels_and_charges(tmp_path):
    driven = driven_crystal()
    driven.atoms.info.update(
        charge=np.int64(-1), name="a b", spin=1.5, energy=3.0, time="noon", odd=[1, {}]
    )
    n = len(driven.atoms)
    driven.atoms.arrays["residuenames"] = np.array([""] * n)  # of a PDB file
    driven.atoms.arrays["sublattices"] = np.array(["A"] * n)
    for ending in ("traj", "extxyz", "h5"):
        driven.dynamics.attach(FieldTrajectory(driven, tmp_path / f"run.{ending}"))
    driven.dynamics.run(2)
    for ending in ("traj", "extxyz"):
        for step, frame in enumerate(ase.io.read(tmp_path / f"run.{ending}", ":")):
            own = {name: frame.info[name] for name in ("charge", "name", "spin")}
            assert own == {"charge": -1, "name": "a b", "spin": 1.5}
            assert not {"energy", "odd"} & set(frame.info)
            assert ending == "traj" or frame.arrays["sublattices"].tolist() == ["A"] * n
            assert "residuenames" not in frame.arrays
            assert frame.info["time"] == pytest.approx(step * driven.time / 2)
            assert frame.get_potential_energy() != 3.0


AWKWARD = {
    "empty": "", "lines": "a\nb", "cut": "a\u2028b", "Lattice": "cubic", "virial": 1.0,
    "Properties": "none", "": 1, "a=b": 2, "a b": 3, 5: 4, (1, 2): 5, "born_charges": 2.0,
    "complex": 1j, "field_forces": 7, "nan": float("nan"), "quoted": 'a "b" c', "greek": "Å",
}  # fmt: skip


@pytest.mark.parametrize("ending", ["traj", "extxyz"])
def test_awkward_infos_leave_a_trajectory_that_goes_on(tmp_path, ending):
    path = tmp_path / f"run.{ending}"
    for restored in (False, True):
        driven = driven_crystal()
        driven.atoms.info.update(AWKWARD)
        if restored:
            restore_checkpoint(driven, tmp_path / "run.npz")
        driven.dynamics.attach(FieldTrajectory(driven, path))
        driven.dynamics.run(2)
        save_checkpoint(driven, tmp_path / "run.npz")
    frames = ase.io.read(path, ":")
    np.testing.assert_allclose([f.info["time"] for f in frames], np.arange(5) * driven.time / 4)
    for frame in frames:
        assert (frame.info["quoted"], frame.info["greek"]) == ('a "b" c', "Å")
        assert "born_effective_charges" in frame.calc.results or "born_charges" in frame.arrays


def test_a_dynamics_is_not_what_drive_returned(tmp_path):
    dyn = driven_crystal().dynamics
    for act in (
        lambda: observe(dyn),
        lambda: save_checkpoint(dyn, tmp_path / "run.npz"),
        lambda: FieldLog(dyn, tmp_path / "run.log"),
        lambda: FieldTrajectory(dyn, tmp_path / "run.traj"),
    ):
        with pytest.raises(TypeError, match=r"is a VelocityVerlet; give what drive\(\) returned"):
            act()


def test_classes_are_not_taken_for_objects():
    dyn = Langevin(crystal(), 0.1, temperature_K=300, friction=0.1, fixcm=False)
    with pytest.raises(TypeError, match=r"field is the class SineField; give an object"):
        drive(dyn, type(SINE))
    with pytest.raises(TypeError, match=r"born_charges is the class PolarCrystal; give an obj"):
        drive(dyn, AMPLITUDE, born_charges=PolarCrystal)
