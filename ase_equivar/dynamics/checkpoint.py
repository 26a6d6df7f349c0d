"""Checkpoints of driven runs, from which a killed run continues as if nothing had happened.

A script that is started again and again until it is done::

    driven = drive(dyn, field, log="run.log")
    if Path("run.npz").exists():
        restore_checkpoint(driven, "run.npz")
    dyn.attach(save_checkpoint, 100, driven, "run.npz")
    dyn.run(100_000 - dyn.nsteps)

A checkpoint holds the atoms, the state of the dynamics (thermostats, barostats and what an
integrator remembers of the last step), its random numbers, the time and the work of the field, and
the Z* that were kept. Forces are calculated anew: the run continues bit for bit if the calculator
gives the same forces for the same positions, as on one CPU, and remembers nothing itself (ASE's
LennardJones keeps a list of neighbors, with a skin, in an order that depends on the past).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ase.md.md import MolecularDynamics
from numpy.typing import NDArray

from ase_equivar.dynamics.driven import Drive
from ase_equivar.io.output_files import replacing

VERSION = 2  # 1 had fields with other units of time and frequency
NOT_STATE = ("max_steps", "masses", "_masses")


def save_checkpoint(driven: Drive, path: str | Path) -> None:
    """Write the state of a driven run between two steps, in place of an earlier one.

    The file is replaced as a whole: a run that is killed while it writes leaves the earlier one.

    Parameters
    ----------
    driven : Drive
        From `ase_equivar.dynamics.drive`.
    path : str or pathlib.Path
        Of the file, a ``.npz`` of NumPy.

    Raises
    ------
    TypeError
        If the run is that of an optimizer.
    """
    path = Path(path)
    atoms, dyn = driven.atoms, driven.dynamics
    if not isinstance(dyn, MolecularDynamics):
        raise TypeError(
            f"checkpoints are of molecular dynamics; {type(dyn).__name__} has a restart of its own"
        )
    arrays = {f"atoms/{name}": value for name, value in atoms.arrays.items()}
    arrays["atoms/cell"] = atoms.cell.array
    plain: dict[str, Any] = {"version": VERSION, "dynamics": type(dyn).__name__}
    for name, value in _dynamics_state(dyn).items():
        (arrays if isinstance(value, np.ndarray) else plain)[f"dyn/{name}"] = value
    for name, value in driven.state().items():
        (arrays if isinstance(value, np.ndarray) else plain)[f"drive/{name}"] = value
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, plain=np.array(json.dumps(plain)), **arrays)


def restore_checkpoint(driven: Drive, path: str | Path) -> None:
    """Bring a driven run to the state of a checkpoint.

    The run has to be set up as the one that wrote it: the same kind of dynamics, the same atoms
    in the same order, the same field. Numbers that the dynamics holds (temperature, time step and
    so on) become those of the checkpoint; whoever wants to change one does it afterwards.

    Parameters
    ----------
    driven : Drive
        From `ase_equivar.dynamics.drive`.
    path : str or pathlib.Path
        That `save_checkpoint` has written.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or one of another kind of run, saying in what they differ.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        plain = json.loads(str(content.pop("plain")))
        version = plain.pop("version")
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy raises anything on a damaged file
        raise ValueError(f"{path} is no checkpoint of a run in a field: {error}") from error
    atoms, dyn = driven.atoms, driven.dynamics
    if version != VERSION:
        raise ValueError(f"{path} has version {version}; this program reads {VERSION}")
    if plain.pop("dynamics") != type(dyn).__name__:
        raise ValueError(f"{path} is of another dynamics than {type(dyn).__name__}")
    if not np.array_equal(content["atoms/numbers"], atoms.numbers):
        raise ValueError(f"{path} is of other atoms than {atoms.get_chemical_formula()}")
    values = content | plain
    driven.restore_state(_part(values, "drive/"))
    atoms.cell[:] = content.pop("atoms/cell")
    for name, value in _part(content, "atoms/").items():
        atoms.arrays[name] = value
    for name, value in _part(values, "dyn/").items():
        _set(dyn, name, value)


def _part(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def _dynamics_state(dyn: Any) -> dict[str, NDArray[Any] | Any]:
    """Return numbers, arrays and random states of a dynamics and of the parts that ASE gives it.

    Names of attributes, those of parts as ``_thermostat/_eta``.
    """
    return dict(_walk(dyn, ""))


def _walk(owner: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in vars(owner).items():
        if name in NOT_STATE:
            continue
        if isinstance(value, np.ndarray) and value.dtype != object:
            yield prefix + name, value.copy()
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
    """Whether it is a generator of NumPy, or its module, which stands for the global one."""
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
