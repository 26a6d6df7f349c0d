"""Trajectories of driven runs: structures with Z*, the forces of the field, and observables."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ase.io.extxyz
import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from ase_equivar.ase_properties import FIELD_FORCES
from ase_equivar.dynamics.checks import check_times_ascend
from ase_equivar.dynamics.driven import Drive, check_drive
from ase_equivar.dynamics.field_log import TIME_ROUNDING, check_new, end_of_earlier, warn_if_lost
from ase_equivar.dynamics.observables import check_cell, observe
from ase_equivar.io.extxyz import write_extxyz
from ase_equivar.io.extxyz_entries import LAYOUT, unwritable_arrays
from ase_equivar.io.frame_texts import complete_frames
from ase_equivar.io.output_files import check_folder, replacing, write_text
from ase_equivar.io.read_errors import reading
from ase_equivar.warning_types import InputWarning

ENDINGS = (".extxyz", ".traj", ".h5")
NOT_KEPT = {*all_properties, *LAYOUT, FIELD_FORCES}
OBSERVED = ("time", "electric_field", "work", "polarization_change", "current_density")


class FieldTrajectory:
    """Writes a structure each time it is called: ``dyn.attach(trajectory, interval=10)``.

    Besides positions, momenta, energy and forces (including those of the field; without what
    constraints add or hold back, and constraints are not written), each structure
    holds ``born_effective_charges``, ``field_forces`` (eV/Å, shape=(N, 3)), and time (fs),
    electric_field (V/Å), work (eV), polarization_change (µC/cm²) and current_density (A/cm²). In an
    extended XYZ file they are the columns and the comment line of each frame, which
    `ase_equivar.read_extxyz` reads; in ``.traj`` files they are results and entries of
    ``atoms.info``; in HDF5 each is a dataset whose first index is time (needs h5py). Numbers and
    one-line texts in ``atoms.info``, such as a label or a charge, are kept too, except in HDF5 and
    under names of results; in extended XYZ, so are arrays of the atoms, but for texts with blanks.

    Parameters
    ----------
    driven : Drive
        As returned by `ase_equivar.dynamics.drive`.
    path : str or pathlib.Path
        File to write; its name ends in ``.extxyz``, ``.traj`` or ``.h5``. A new run refuses an
        existing file; a run continued from a checkpoint discards the structures after it, and
        from its present time on. Killing a run may damage an HDF5 file.

    Raises
    ------
    ValueError
        If the name has another ending, the atoms have no periodic cell, or the time step is
        negative.
    FileNotFoundError, FileExistsError
        As for `ase_equivar.dynamics.FieldLog`.

    Warns
    -----
    InputWarning
        At the first structure, if extended XYZ cannot hold arrays of the atoms; or as for
        `FieldLog`.
    """

    def __init__(self, driven: Drive, path: str | Path) -> None:
        check_drive(driven)
        check_cell(driven.atoms)
        check_times_ascend(driven.dynamics)
        self.driven = driven
        self._path = check_folder(path).absolute()
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
                try:
                    with reading(self._path, "h5py" if self._path.suffix == ".h5" else "ASE"):
                        times = _DROP[self._path.suffix](self._path, end_of_earlier(self.driven))
                except ValueError as error:
                    raise ValueError(
                        f"{error}. The run goes on at {self.driven.time:g} fs: restore the file, "
                        "or move it away to begin a new one"
                    ) from error
                warn_if_lost(self.driven, self._path, times)
            _warn_of_arrays_left_out(self.driven.atoms, self._path)
            self._begun = True
        _WRITE[self._path.suffix](self._path, _frame(self.driven))


def _warn_of_arrays_left_out(atoms: Atoms, path: Path) -> None:
    names = unwritable_arrays(atoms.arrays)
    if names and path.suffix == ".extxyz":  # the others keep none
        warnings.warn(
            f"{path.name} will lack {', '.join(f'arrays[{name!r}]' for name in names)} of the "
            "atoms: their names, or texts with blanks in them, would spoil the file",
            InputWarning,
            stacklevel=3,
        )


def _frame(driven: Drive) -> Atoms:
    """Return a copy of the atoms with everything to be written."""
    now = observe(driven)
    frame: Atoms = driven.atoms.copy()
    frame.set_constraint()
    for name in unwritable_arrays(frame.arrays):
        del frame.arrays[name]
    frame.arrays[FIELD_FORCES] = driven.field_forces
    frame.info = {
        **_kept(driven.atoms.info),
        **{name: getattr(now, name) for name in OBSERVED},
    }
    frame.calc = SinglePointCalculator(
        frame,
        energy=driven.atoms.calc.get_potential_energy(driven.atoms),
        forces=driven.atoms.get_forces(apply_constraint=False),
        born_effective_charges=driven.born_charges,
    )
    return frame


def _kept(info: dict[Any, Any]) -> dict[str, Any]:
    """Return the numbers and texts that each format gives back, such as a label or a charge."""
    return {
        name: value
        for name, value in info.items()
        if isinstance(name, str)
        and name.isidentifier()
        and name not in NOT_KEPT
        and (
            isinstance(value, int | float | np.integer | np.floating | np.bool_)
            or (isinstance(value, str) and value and value.isprintable())
        )
    }


def _write_extxyz(path: Path, frame: Atoms) -> None:
    write_extxyz(path, frame, append=True)


def _drop_extxyz(path: Path, time: float) -> list[float]:
    """Keep the frames before `time`, without an incomplete last frame; return their times."""
    frames = complete_frames(path.read_text(encoding="utf-8"), str(path))
    if not frames:
        raise ValueError("it holds no whole frame")
    infos = (ase.io.extxyz.key_val_str_to_dict(frame.split("\n", 2)[1]) for frame in frames)
    times = _times_before(time, (info["time"] for info in infos))
    write_text(path, "".join(frames[: len(times)]))
    return times


def _write_traj(path: Path, frame: Atoms) -> None:
    frame.info[FIELD_FORCES] = frame.arrays.pop(FIELD_FORCES)
    with Trajectory(path, "a") as file:
        file.write(frame)


def _drop_traj(path: Path, time: float) -> list[float]:
    with Trajectory(path) as old:
        times = _times_before(time, (frame.info["time"] for frame in old))
        with replacing(path) as partial, Trajectory(partial, "w") as new:
            for index in range(len(times)):
                frame = old[index]
                if not np.isfinite(frame.positions).all():
                    raise ValueError(f"its positions are not finite at {times[index]:g} fs")
                new.write(frame)
    return times


def _write_hdf5(path: Path, frame: Atoms) -> None:
    import h5py

    values: dict[str, Any] = {
        **{name: frame.info[name] for name in OBSERVED},
        **frame.calc.results,
        FIELD_FORCES: frame.arrays[FIELD_FORCES],
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
                file.create_dataset(
                    name, (0, *shape), maxshape=(None, *shape), dtype="f8", fletcher32=True
                )
            file[name].resize(len(file[name]) + 1, axis=0)
            file[name][-1] = value


def _drop_hdf5(path: Path, time: float) -> list[float]:
    import h5py

    with h5py.File(path, "r") as file:
        times = _times_before(time, file["time"][:])
        for name, values in file.items():
            if len(values) < len(times) or not np.isfinite(values[: len(times)]).all():
                raise ValueError(f"its {name} lacks numbers before {time:g} fs")
    with h5py.File(path, "a") as file:
        for name in file:
            file[name].resize(len(times), axis=0)
    return times


def _times_before(time: float, times: Iterable[float]) -> list[float]:
    """Return the first times, up to the present one, of frames; ValueError if they are wrong."""
    kept: list[float] = []
    for one in map(float, times):
        if not np.isfinite(one) or (kept and one <= kept[-1] and _is_before(kept[-1], time)):
            raise ValueError(f"time {one:g} fs follows on {kept[-1] if kept else 'nothing'}")
        if not _is_before(one, time):
            break
        kept.append(one)
    return kept


def _is_before(one: float, time: float) -> bool:
    return one < time - TIME_ROUNDING


_WRITE: dict[str, Callable[[Path, Atoms], None]] = {
    ".extxyz": _write_extxyz,
    ".traj": _write_traj,
    ".h5": _write_hdf5,
}
_DROP: dict[str, Callable[[Path, float], list[float]]] = {
    ".extxyz": _drop_extxyz,
    ".traj": _drop_traj,
    ".h5": _drop_hdf5,
}
