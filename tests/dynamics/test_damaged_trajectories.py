"""Runs that go on with a damaged log or trajectory: refused or told of, never silently wrong."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet
from helpers.polar_crystal import PolarCrystal, ions

from ase_equivar.dynamics import (
    Drive,
    FieldLog,
    FieldTrajectory,
    drive,
    restore_checkpoint,
    save_checkpoint,
)
from ase_equivar.warning_types import InputWarning

NAMES = ["run.extxyz", "run.traj", "run.h5", "run.log"]


def driven_in(folder: Path, start_time: float = 0.0) -> Drive:
    atoms = ions()
    atoms.calc = PolarCrystal()
    dyn = VelocityVerlet(atoms, 0.5 * units.fs)
    driven = drive(dyn, [0.1, 0.2, -0.1], start_time=start_time)
    if (folder / "run.npz").exists():
        restore_checkpoint(driven, folder / "run.npz")
    return driven


def record(driven: Drive, path: Path) -> None:
    kind = FieldLog if path.suffix == ".log" else FieldTrajectory
    driven.dynamics.attach(kind(driven, path), interval=2)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Killed 6 steps after its checkpoint at step 20."""
    folder = tmp_path_factory.mktemp("run")
    driven = driven_in(folder)
    for name in NAMES:
        record(driven, folder / name)
    driven.dynamics.run(20)
    save_checkpoint(driven, folder / "run.npz")
    driven.dynamics.run(6)
    return folder


def times(path: Path) -> list[float]:
    if path.suffix == ".log":
        return [float(line.split()[0]) for line in path.read_text().splitlines()[1:]]
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return list(file["time"])
    return [frame.info["time"] for frame in ase.io.read(path, ":")]


def go_on(interrupted: Path, tmp_path: Path, name: str, damage: Callable[[Path], object]) -> Path:
    folder = Path(shutil.copytree(interrupted, tmp_path / "run"))
    damage(folder / name)
    driven = driven_in(folder)
    record(driven, folder / name)
    driven.dynamics.run(4)
    return folder / name


@pytest.mark.parametrize("name", NAMES)
def test_whole_files_go_on_without_a_gap(interrupted, tmp_path, name, recwarn):
    path = go_on(interrupted, tmp_path, name, lambda path: None)
    np.testing.assert_allclose(times(path), np.arange(0, 12.1, 1.0), atol=1e-9)
    assert not recwarn.list


@pytest.mark.parametrize("name", NAMES)
def test_long_runs_lose_no_frame(tmp_path, name, recwarn):
    """After 10 ns, a millionth of the time is twenty steps."""
    start = 1e7
    driven = driven_in(tmp_path, start)
    record(driven, tmp_path / name)
    driven.dynamics.run(20)
    save_checkpoint(driven, tmp_path / "run.npz")
    driven = driven_in(tmp_path, start)
    record(driven, tmp_path / name)
    driven.dynamics.run(4)
    np.testing.assert_allclose(times(tmp_path / name), start + np.arange(0, 12.1, 1.0), atol=1e-5)
    assert not recwarn.list


def cut(fraction: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])


def zeros(fraction: float, size: int = 256) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        whole = path.read_bytes()
        start = int(fraction * len(whole))
        path.write_bytes(whole[:start] + bytes(size) + whole[start + size :])

    return damage


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(cut(part), id=f"cut {part}") for part in (0.0, 0.01, 0.2, 0.5)),
        *(pytest.param(zeros(part), id=f"zeros {part}") for part in (0.0, 0.2)),
        pytest.param(zeros(0.0, 10**7), id="all zeros"),
        pytest.param(lambda path: path.write_bytes(b"hello\nworld\n" * 40), id="text"),
    ],
)
def test_damaged_files(interrupted, tmp_path, name, damage):
    """Refused as they lie there, or told to have lost what came before the checkpoint."""
    damaged = tmp_path / name
    shutil.copy(interrupted / name, damaged)
    damage(damaged)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            path = go_on(interrupted, tmp_path, name, damage)
        except ValueError as error:
            text = str(error)
        else:
            text = ""
    if text:  # refused, and left as it lies there
        assert name in text
        assert (tmp_path / "run" / name).read_bytes() == damaged.read_bytes()
    elif told:
        assert [one.category for one in told] == [InputWarning]
        assert "has lost what was in between" in str(told[0].message)
        assert (np.diff(times(path)) > 0).all()
    else:  # space between the data of an HDF5 file was hit
        whole = go_on(interrupted, tmp_path / "whole", name, lambda path: None)
        assert name == "run.h5"
        for key, values in h5_content(whole).items():
            np.testing.assert_array_equal(h5_content(path)[key], values)


def test_numbers_that_are_lost_in_an_hdf5_file_are_noticed(interrupted, tmp_path):
    """Wherever they are: data have checksums."""
    size = (interrupted / "run.h5").stat().st_size
    whole = h5_content(interrupted / "run.h5")
    for start in np.linspace(0, size - 64, 40):
        path = tmp_path / "run.h5"
        shutil.copy(interrupted / "run.h5", path)
        zeros(start / size, 64)(path)
        try:
            found = h5_content(path)
        except (OSError, RuntimeError, KeyError, ValueError):
            continue
        for name, values in whole.items():
            np.testing.assert_array_equal(found[name], values)


def h5_content(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: values[:] for name, values in file.items()}
