"""Checkpoints of driven runs, from which an interrupted run continues.

A script that can be started repeatedly until the run is complete::

    driven = drive(dyn, field, log="run.log")
    if Path("run.npz").exists():
        restore_checkpoint(driven, "run.npz")
    dyn.attach(save_checkpoint, 100, driven, "run.npz")
    dyn.run(100_000 - dyn.nsteps)

A checkpoint holds the atoms, the state of the dynamics (thermostats, barostats and what the
integrator keeps from the last step), the state of its random number generator, the time and the
work of the field, the Z* in use, and what a `Recorder` has summed up. Forces are recalculated: the
run continues bit for bit if the calculator gives the same forces for the same positions, as on one
CPU, and has no memory of its own (ASE's LennardJones, for example, keeps a neighbor list whose
order depends on earlier steps).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ase.cell import Cell
from ase.md.md import MolecularDynamics
from numpy.typing import NDArray

from ase_equivar.dynamics.checkpoint_checks import (
    check_same_atoms,
    named_by_constraints,
    numeric_arrays,
    problem_of,
)
from ase_equivar.dynamics.driven import Drive, check_drive
from ase_equivar.dynamics.recorder import Recorder
from ase_equivar.io.output_files import replacing

VERSION = 2  # version 1 had other units of time and frequency in fields
OUTPUT = ("trajectory", "_orig_trajectory", "logfile", "_master")  # files are the script's
NOT_STATE = ("max_steps", "masses", "_masses", *OUTPUT)


def save_checkpoint(driven: Drive, path: str | Path) -> None:
    """Write the state of a driven run between two steps, replacing an earlier checkpoint.

    The file is replaced as a whole: if the run is killed while writing, the earlier one remains.

    Parameters
    ----------
    driven : Drive
        As returned by `ase_equivar.dynamics.drive`.
    path : str or pathlib.Path
        The file, in NumPy's ``.npz`` format. A relative name is looked up each time: give an
        absolute one if the program changes its folder during the run.

    Raises
    ------
    TypeError
        If the run is an optimization.
    """
    check_drive(driven)
    path = Path(path)
    if not isinstance(driven.dynamics, MolecularDynamics):
        raise TypeError(
            "checkpoints are for molecular dynamics; "
            f"{type(driven.dynamics).__name__} has its own restart"
        )
    state = _state(driven)
    arrays: dict[str, Any] = {
        name: value for name, value in state.items() if isinstance(value, np.ndarray)
    }
    plain = {"version": VERSION, "dynamics": type(driven.dynamics).__name__}
    plain |= {name: value for name, value in state.items() if name not in arrays}
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, plain=np.array(json.dumps(plain)), **arrays)


def restore_checkpoint(driven: Drive, path: str | Path) -> None:
    """Restore a driven run to the state of a checkpoint.

    The run must be set up like the one that wrote it: the same kind of dynamics, the same atoms in
    the same order, the same field. Parameters of the dynamics (temperature, time step and so on)
    take their values from the checkpoint; change them afterwards if need be.

    Parameters
    ----------
    driven : Drive
        As returned by `ase_equivar.dynamics.drive`.
    path : str or pathlib.Path
        Written by `save_checkpoint`.

    Raises
    ------
    ValueError
        If the file is not a checkpoint, or belongs to a different run; the message says in what
        they differ.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        plain = json.loads(str(content.pop("plain")))
        version = plain.pop("version")
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy raises many kinds of errors on a damaged file
        raise ValueError(f"{path} is not a checkpoint of a run in a field: {error}") from error
    atoms, dyn = driven.atoms, driven.dynamics
    if version != VERSION:
        raise ValueError(f"{path} has version {version}; this program reads {VERSION}")
    if plain.pop("dynamics", None) != type(dyn).__name__:
        raise ValueError(f"{path} belongs to another dynamics than {type(dyn).__name__}")
    check_same_atoms(content | plain, atoms, path)
    values = content | plain
    for name, present in _state(driven).items():
        if problem := problem_of(name, present, values):
            raise ValueError(f"{path} is damaged: {problem}; start the run again, without it")
    driven.restore_state(_part(values, "drive/"))
    for recorder in _recorders(driven):
        recorder.restore_state(_part(values, f"{type(recorder).__name__}/"))
    atoms.cell[:] = content.pop("atoms/cell")
    for name, value in _part(content, "atoms/").items():
        atoms.arrays[name] = value
    for name, value in _part(values, "dyn/").items():
        if name not in NOT_STATE:  # checkpoints of earlier versions have names of files
            _set(dyn, name, value)


def _state(driven: Drive) -> dict[str, Any]:
    """Return all that a checkpoint holds, arrays and plain data by name."""
    atoms = driven.atoms
    return {
        **numeric_arrays(atoms),
        "atoms/cell": atoms.cell.array,
        "pbc": atoms.pbc,
        "constraints": named_by_constraints(atoms),
        **{f"dyn/{name}": value for name, value in _dynamics_state(driven.dynamics).items()},
        **{f"drive/{name}": value for name, value in driven.state().items()},
        **{
            f"{type(recorder).__name__}/{name}": value
            for recorder in _recorders(driven)
            for name, value in recorder.state().items()
        },
    }


def _recorders(driven: Drive) -> list[Recorder]:
    """Return what sums up this run, one of a kind."""
    return [
        function
        for function, _, args, _ in driven.dynamics.observers
        if isinstance(function, Recorder) and args == (driven,)
    ]


def _part(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def _dynamics_state(dyn: Any) -> dict[str, NDArray[Any] | Any]:
    """Return the numbers, arrays and random states of a dynamics and its parts.

    Keys are attribute names; those of parts of the dynamics read like ``_thermostat/_eta``.
    """
    return dict(_walk(dyn, ""))


def _walk(owner: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in vars(owner).items():
        if name in NOT_STATE:
            continue
        if isinstance(value, np.ndarray) and value.dtype != object:
            yield prefix + name, value.copy()
        elif isinstance(value, Cell):  # Melchionna's, until its second step
            yield prefix + name, value.array.copy()
        elif isinstance(value, np.generic):
            yield prefix + name, value.item()
        elif value is None or isinstance(value, bool | int | float | str):
            yield prefix + name, value
        elif _is_random(value):
            yield prefix + name, {"random state": _plain(_random_state(value))}
        elif type(value).__module__.startswith("ase.md."):
            yield from _walk(value, f"{prefix}{name}/")


def _set(owner: Any, path: str, value: Any) -> None:
    *parts, name = path.split("/")
    for part in parts:
        owner = getattr(owner, part)
    if isinstance(value, dict):
        _set_random_state(getattr(owner, name), value["random state"])
    else:
        setattr(owner, name, value)


def _is_random(value: Any) -> bool:
    """Whether `value` is a NumPy generator or numpy.random, the global generator."""
    return isinstance(value, np.random.Generator | np.random.RandomState) or (
        isinstance(value, ModuleType) and value is np.random
    )


def _random_state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state(legacy=False)


def _set_random_state(generator: Any, state: dict[str, Any]) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
