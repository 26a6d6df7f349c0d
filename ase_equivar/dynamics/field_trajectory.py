"""Trajectories of driven runs: structures with Z*, the forces of the field, and observables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io.extxyz
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from ase_equivar.dynamics.driven import Drive
from ase_equivar.dynamics.field_log import check_new
from ase_equivar.dynamics.observables import check_cell, observe
from ase_equivar.io.extxyz import write_extxyz
from ase_equivar.io.frame_texts import complete_frames
from ase_equivar.io.output_files import check_folder, replacing, write_text

FORCES = "field_forces"
ENDINGS = (".extxyz", ".traj", ".h5")


class FieldTrajectory:
    """Writes a structure each time it is called: ``dyn.attach(trajectory, interval=10)``.

    Besides positions, momenta, energy and forces (including those of the field), each structure
    holds ``born_effective_charges``, ``field_forces`` (eV/Å, shape=(N, 3)), and time (fs),
    electric_field (V/Å), work (eV), polarization_change (µC/cm²) and current_density (A/cm²). In an
    extended XYZ file they are the columns and the comment line of each frame, which
    `ase_equivar.read_extxyz` reads; in ``.traj`` files they are results and entries of
    ``atoms.info``; in HDF5 each is a dataset whose first index is time (needs h5py).

    Parameters
    ----------
    driven : Drive
        As returned by `ase_equivar.dynamics.drive`.
    path : str or pathlib.Path
        File to write; its name ends in ``.extxyz``, ``.traj`` or ``.h5``. A new run refuses an
        existing file; a run continued from a checkpoint discards the structures from its present
        time on. Killing a run may damage an HDF5 file.

    Raises
    ------
    ValueError
        If the name has another ending, or the atoms have no periodic cell.
    FileNotFoundError, FileExistsError
        As for `ase_equivar.dynamics.FieldLog`.
    """

    def __init__(self, driven: Drive, path: str | Path) -> None:
        check_cell(driven.atoms)
        self.driven = driven
        self._path = check_folder(path)
        self._begun = False
        if self._path.suffix not in ENDINGS:
            raise ValueError(
                f"the name {self._path.name!r} does not determine the format: end it in "
                f"{', '.join(ENDINGS)}"
            )

    def __call__(self) -> None:
        """Write the present structure."""
        if not self._begun:
            check_new(self.driven, self._path)
            if self._path.exists():
                _DROP[self._path.suffix](self._path, self.driven.time)
            self._begun = True
        _WRITE[self._path.suffix](self._path, _frame(self.driven))


def _frame(driven: Drive) -> Atoms:
    """Return a copy of the atoms with everything to be written."""
    now = observe(driven)
    frame: Atoms = driven.atoms.copy()
    frame.set_constraint()
    frame.arrays[FORCES] = driven.field_forces
    frame.info = {
        "time": now.time,
        "electric_field": now.electric_field,
        "work": now.work,
        "polarization_change": now.polarization_change,
        "current_density": now.current_density,
    }
    frame.calc = SinglePointCalculator(
        frame,
        energy=now.potential_energy,
        forces=driven.atoms.get_forces(),
        born_effective_charges=driven.born_charges,
    )
    return frame


def _write_extxyz(path: Path, frame: Atoms) -> None:
    write_extxyz(path, frame, append=True)


def _drop_extxyz(path: Path, time: float) -> None:
    """Keep the frames before `time`, without an incomplete last frame."""
    kept = []
    for frame in complete_frames(path.read_text(encoding="utf-8"), str(path)):
        info = ase.io.extxyz.key_val_str_to_dict(frame.split("\n", 2)[1])
        if not _is_before(info["time"], time):
            break
        kept.append(frame)
    write_text(path, "".join(kept))


def _write_traj(path: Path, frame: Atoms) -> None:
    frame.info[FORCES] = frame.arrays.pop(FORCES)
    with Trajectory(path, "a") as file:
        file.write(frame)


def _drop_traj(path: Path, time: float) -> None:
    with replacing(path) as partial, Trajectory(path) as old, Trajectory(partial, "w") as new:
        for frame in old:
            if not _is_before(frame.info["time"], time):
                break
            new.write(frame)


def _write_hdf5(path: Path, frame: Atoms) -> None:
    import h5py

    values: dict[str, Any] = {
        **frame.info,
        **frame.calc.results,
        FORCES: frame.arrays[FORCES],
        "positions": frame.positions,
        "momenta": frame.get_momenta(),
        "cell": frame.cell.array,
    }
    with h5py.File(path, "a") as file:
        if "time" not in file:
            file.attrs["numbers"] = frame.numbers
            file.attrs["units"] = "eV, Å, |e|, fs, V/Å, µC/cm², A/cm²; momenta as in ASE"
        for name, value in values.items():
            shape = np.shape(value)
            if name not in file:
                file.create_dataset(name, (0, *shape), maxshape=(None, *shape), dtype="f8")
            file[name].resize(len(file[name]) + 1, axis=0)
            file[name][-1] = value


def _drop_hdf5(path: Path, time: float) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        kept = int(sum(_is_before(one, time) for one in file["time"][:]))
        for name in file:
            file[name].resize(kept, axis=0)


def _is_before(one: float, time: float) -> bool:
    return bool(one < time - 1e-6 * abs(time))


_WRITE: dict[str, Callable[[Path, Atoms], None]] = {
    ".extxyz": _write_extxyz,
    ".traj": _write_traj,
    ".h5": _write_hdf5,
}
_DROP: dict[str, Callable[[Path, float], None]] = {
    ".extxyz": _drop_extxyz,
    ".traj": _drop_traj,
    ".h5": _drop_hdf5,
}
