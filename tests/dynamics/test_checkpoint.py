"""Runs that go on from a checkpoint: bit for bit as if they had not been stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import ase.io
import h5py
import numpy as np
import pytest
import scipy
from ase import units
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.melchionna import MelchionnaNPT
from ase.md.nose_hoover_chain import IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE
from helpers.paths import REPOSITORY
from helpers.polar_crystal import PolarCrystal, ions

from ase_equivar.dynamics import FieldTrajectory, drive, restore_checkpoint, save_checkpoint
from ase_equivar.fields.waveforms import SineField

SINE = SineField([0.11, -0.07, 0.16], frequency=14.0)
DYNAMICS = {
    "VelocityVerlet": lambda atoms: VelocityVerlet(atoms, 0.1),
    "Langevin": lambda atoms: Langevin(
        atoms, 0.1, temperature_K=300, friction=0.1, fixcm=False, rng=np.random.default_rng(8)
    ),
    "Langevin, old generator": lambda atoms: Langevin(
        atoms, 0.1, temperature_K=300, friction=0.1, fixcm=False, rng=np.random.RandomState(8)
    ),
    "Langevin, generator of the module": lambda atoms: Langevin(
        atoms, 0.1, temperature_K=300, friction=0.1, fixcm=False
    ),
    "LangevinBAOAB": lambda atoms: LangevinBAOAB(
        atoms, 0.1, temperature_K=300, T_tau=5.0, rng=np.random.default_rng(8)
    ),
    "LangevinBAOAB, NPT": lambda atoms: LangevinBAOAB(
        atoms,
        0.1,
        temperature_K=300,
        T_tau=5.0,
        rng=np.random.default_rng(8),
        externalstress=0.01,
        hydrostatic=False,
        P_tau=20.0,
    ),
    "Bussi": lambda atoms: Bussi(
        atoms, 0.1, temperature_K=300, taut=5.0, rng=np.random.default_rng(8)
    ),
    "NoseHooverChainNVT": lambda atoms: NoseHooverChainNVT(
        atoms, 0.1, temperature_K=300, tdamp=5.0
    ),
    "IsotropicMTKNPT": lambda atoms: IsotropicMTKNPT(
        atoms, 0.1, temperature_K=300, pressure_au=0.01, tdamp=5.0, pdamp=20.0
    ),
    "MelchionnaNPT": lambda atoms: MelchionnaNPT(
        atoms, 0.1, temperature_K=300, externalstress=0.01, ttime=5.0, pfactor=50.0
    ),
}


def driven_run(name, **settings):
    atoms = ions()
    atoms.calc = PolarCrystal(quadratic=0.4)
    settings = {"update_interval": 3, "stress_without_field": True, **settings}
    return drive(DYNAMICS[name](atoms), SINE, **settings)


def state(driven):
    return (
        driven.atoms.positions,
        driven.atoms.get_momenta(),
        driven.atoms.cell.array,
        driven.dipole_changes,
        [driven.time, driven.work, driven.refresh_report.max_force_error],
    )


@pytest.mark.parametrize("name", DYNAMICS)
def test_restored_run_continues_bit_for_bit(name, tmp_path):
    path = tmp_path / "run.npz"
    np.random.seed(3)  # noqa: NPY002 (what ASE's thermostats use by default)
    whole = driven_run(name)
    whole.dynamics.attach(lambda: whole.dynamics.nsteps == 23 and save_checkpoint(whole, path))
    whole.dynamics.run(40)
    again = driven_run(name)
    restore_checkpoint(again, path)
    assert again.dynamics.nsteps == 23
    again.dynamics.run(40 - again.dynamics.nsteps)
    # LangevinBAOAB calls scipy.linalg.expm, whose last digit is not always the same in SciPy 1.11
    rounding = (
        1e-12 if name.startswith("LangevinBAOAB") and scipy.__version__.startswith("1.11.") else 0.0
    )
    for one, other in zip(state(whole), state(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=rounding, atol=rounding)
    assert np.abs(whole.atoms.positions - ions().positions).max() > 0.01
    if "NPT" in name:
        assert abs(whole.atoms.get_volume() / ions().get_volume() - 1) > 1e-6


@pytest.mark.parametrize("name", ["LangevinBAOAB, NPT", "MelchionnaNPT"])
@pytest.mark.parametrize(("steps", "done"), [(0, 2), (1, 0), (1, 3)])
def test_checkpoints_of_first_steps(name, steps, done, tmp_path):
    """Barostats whose numbers become matrices in their first steps."""
    saved, again = driven_run(name), driven_run(name)
    saved.dynamics.run(steps)
    save_checkpoint(saved, tmp_path / "run.npz")
    again.dynamics.run(done)
    restore_checkpoint(again, tmp_path / "run.npz")
    for one in (saved, again):
        one.dynamics.run(4)
    for one, other in zip(state(saved), state(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_matrices_are_not_taken_for_numbers(tmp_path):
    driven, path = driven_run("LangevinBAOAB, NPT"), tmp_path / "run.npz"
    driven.dynamics.run(1)
    save_checkpoint(driven, path)
    with np.load(path) as file:
        content = dict(file)
    for name, value in (("dyn/dt", np.ones((3, 3))), ("dyn/gamma_mod", np.full((3, 3), np.nan))):
        plain = json.loads(str(content["plain"]))
        plain.pop(name, None)
        np.savez(path, **content | {"plain": np.array(json.dumps(plain)), name: value})
        with pytest.raises(ValueError, match=f"damaged: .*{name}"):
            restore_checkpoint(driven_run("LangevinBAOAB, NPT"), path)


SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
from ase.md.langevin import Langevin
from helpers.polar_crystal import PolarCrystal, ions
from ase_equivar.dynamics import FieldTrajectory, drive, restore_checkpoint, save_checkpoint
from ase_equivar.fields.waveforms import SineField

folder, pause = Path(sys.argv[1]), float(sys.argv[2])
atoms = ions()
atoms.calc = PolarCrystal(quadratic=0.4)
dyn = Langevin(atoms, 0.1, temperature_K=300, friction=0.1, fixcm=False,
               rng=np.random.default_rng(8))
field = SineField([0.11, -0.07, 0.16], frequency=14.0)
driven = drive(dyn, field, update_interval=3, log=folder / "run.log")
if (folder / "run.npz").exists():
    restore_checkpoint(driven, folder / "run.npz")
    print(dyn.nsteps)
for ending in ("extxyz", "traj"):
    dyn.attach(FieldTrajectory(driven, folder / f"run.{ending}"), 2)
dyn.attach(lambda: time.sleep(pause))
dyn.attach(save_checkpoint, 20, driven, folder / "run.npz")
dyn.run(200 - dyn.nsteps)
np.save(folder / "end.npy", [atoms.positions, atoms.get_momenta()])
"""


def start(folder, pause):
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}"}
    command = [sys.executable, "-c", SCRIPT, str(folder), str(pause)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that was not killed."""
    folder = tmp_path_factory.mktemp("whole")
    assert start(folder, 0).communicate(timeout=120) == ("", None)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "pause", "possible"),
    [(51, 0.02, range(40, 200)), (5, 0.1, range(1))],
    ids=["between checkpoints", "before the first after the start"],
)
def test_killed_run_leaves_the_same_files_as_one_that_was_not(
    tmp_path, whole, lines, pause, possible
):
    killed = tmp_path / "killed"
    run = start(killed, pause)
    log = killed / "run.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and len(log.read_text().splitlines()) > lines):
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    run.stdout.close()
    assert not (killed / "end.npy").exists()
    with (killed / "run.extxyz").open("a") as file:
        file.write("3\nLattice=torn")
    with log.open("a") as file:
        file.write("   0.01234")

    resumed = start(killed, 0)
    printed, _ = resumed.communicate(timeout=120)
    assert int(printed) in possible
    for name in ("end.npy", "run.log", "run.extxyz"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    one, other = (ase.io.read(folder / "run.traj", ":") for folder in (whole, killed))
    assert len(one) == 101
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.positions, second.positions)


@pytest.mark.parametrize("steps", [0, 5])
def test_hdf5_goes_on_where_the_checkpoint_is(tmp_path, steps):
    path, checkpoint = tmp_path / "run.h5", tmp_path / "run.npz"
    first = driven_run("VelocityVerlet")
    first.dynamics.attach(FieldTrajectory(first, path))
    first.dynamics.run(steps)
    save_checkpoint(first, checkpoint)
    first.dynamics.run(7)
    second = driven_run("VelocityVerlet")
    restore_checkpoint(second, checkpoint)
    second.dynamics.attach(FieldTrajectory(second, path))
    second.dynamics.run(3)
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["time"], 0.1 * np.arange(steps + 4) / units.fs)
        assert file["positions"].shape == (steps + 4, 3, 3)


def test_functions_are_told_from_each_other_by_what_they_were(tmp_path):
    path = tmp_path / "run.npz"

    def driven(field):
        atoms = ions()
        atoms.calc = PolarCrystal(quadratic=0.4)
        return drive(VelocityVerlet(atoms, 0.1), field)

    first = driven(lambda time: SINE(time) if time < 20.5 else 1 / 0)  # never asked for later times
    first.dynamics.run(20)
    save_checkpoint(first, path)
    again = driven(lambda time: SINE(time))
    restore_checkpoint(again, path)
    again.dynamics.run(5)
    save_checkpoint(again, path)
    restore_checkpoint(driven(lambda time: SINE(time)), path)
    with pytest.raises(
        ValueError, match=r"belongs to another field: at .* fs it was .* V/Å, and this"
    ):
        restore_checkpoint(driven(lambda time: 1.01 * SINE(time)), path)
    with pytest.raises(
        ValueError, match=r"of the checkpoint is a function, but this run has .*SineF"
    ):
        restore_checkpoint(driven(SINE), path)


def test_texts_and_gaps_in_arrays_of_the_atoms_do_not_spoil_a_checkpoint(tmp_path):
    """Texts that ASE has read are Python objects, and missing labels are NaN."""
    file, path = tmp_path / "atoms.xyz", tmp_path / "run.npz"
    atoms = ions()
    atoms.set_array("site", np.array(["a", "bc", "d"]))
    atoms.set_array("label", np.array([1.0, np.nan, 3.0]))
    ase.io.write(file, atoms, format="extxyz")

    def driven():
        read = ase.io.read(file, format="extxyz")
        assert read.arrays["site"].dtype == object
        read.calc = PolarCrystal(quadratic=0.4)
        return drive(VelocityVerlet(read, 0.1), SINE)

    first, whole = driven(), driven()
    whole.dynamics.run(6)
    first.dynamics.run(4)
    save_checkpoint(first, path)
    again = driven()
    restore_checkpoint(again, path)
    again.dynamics.run(2)
    np.testing.assert_array_equal(again.atoms.positions, whole.atoms.positions)
    assert list(again.atoms.arrays["site"]) == ["a", "bc", "d"]
    np.testing.assert_array_equal(again.atoms.arrays["label"], [1.0, np.nan, 3.0])
    with np.load(path) as content:
        values = dict(content)
    values["atoms/momenta"][1, 1] = np.nan
    np.savez(path, **values)
    with pytest.raises(ValueError, match="numbers that are not finite in atoms/momenta"):
        restore_checkpoint(driven(), path)


@pytest.mark.parametrize(("before", "after"), [(1, 5), (5, 1)])
def test_another_update_interval_goes_on(tmp_path, before, after):
    driven = driven_run("VelocityVerlet", update_interval=before)
    driven.dynamics.run(7)
    save_checkpoint(driven, tmp_path / "run.npz")
    other = driven_run("VelocityVerlet", update_interval=after)
    restore_checkpoint(other, tmp_path / "run.npz")
    other.dynamics.run(7)
    assert other.time == pytest.approx(2 * driven.time)


def test_checkpoints_of_other_runs_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    driven = driven_run("VelocityVerlet")
    save_checkpoint(driven, path)
    with pytest.raises(ValueError, match="belongs to another dynamics than Bussi"):
        restore_checkpoint(driven_run("Bussi"), path)
    other = ions()
    other.symbols[0] = "Zr"
    other.calc = PolarCrystal()
    with pytest.raises(ValueError, match="belongs to other atoms than BOZr"):
        restore_checkpoint(drive(VelocityVerlet(other, 0.1), SINE), path)
    same = ions()
    same.calc = PolarCrystal()
    with pytest.raises(
        ValueError, match=r"of the checkpoint is .*SineField.*, but this run has .*Constant"
    ):
        restore_checkpoint(drive(VelocityVerlet(same, 0.1), [0, 0, 0.1]), path)
    heavier = ions()
    heavier.set_masses([40.0, 16.0, 91.0])
    heavier.calc = PolarCrystal()
    told = "other masses: atom 0 had .* u, and has 40 u"
    with pytest.raises(ValueError, match=told):
        restore_checkpoint(drive(VelocityVerlet(heavier, 0.1), SINE), path)
    path.write_text("nothing")
    with pytest.raises(ValueError, match="not a checkpoint of a run in a field"):
        restore_checkpoint(driven, path)
    with pytest.raises(FileNotFoundError):
        restore_checkpoint(driven, tmp_path / "none.npz")
    atoms = ions()
    atoms.calc = PolarCrystal()
    with pytest.raises(TypeError, match="FIRE has its own restart"):
        save_checkpoint(drive(FIRE(atoms), [0, 0, 0.1]), path)
