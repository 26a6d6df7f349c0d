"""The folder of a run, with a description of the run so that runs are never confused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase.io.jsonio import encode

from ase_equivar.arguments import json_data
from ase_equivar.dynamics.driven import Drive
from ase_equivar.dynamics.field_calculator import FieldCalculator
from ase_equivar.io.lock import locked
from ase_equivar.io.output_files import make_folder, remove_partial, write_text

DESCRIPTION, CHECKPOINT = "run.json", "run.npz"
# Tolerances within which two runs are the same: they cover the last digits of a file and single
# precision on another machine. In the units of `describe_start`; energies per atom.
TOLERANCES = {
    "cell": 1e-6,
    "masses": 1e-6,
    "positions": 1e-6,
    "momenta": 1e-6,
    "energy": 1e-4,
    "forces": 1e-3,
    "forces_when_displaced": 1e-3,
    "born_charges": 1e-3,
}
DISPLACEMENT = 0.02  # Å, root mean square in each direction


def describe_start(driven: Drive) -> dict[str, Any]:
    """Return the initial atoms of a run and what acts on them, as plain data.

    Energy (eV per atom), forces (eV/Å) and Z* (|e|) identify calculators, models, fixed charges and
    fields given as functions, independent of their names. At rest all forces may be zero, whatever
    the calculator: those of slightly displaced atoms are not.
    """
    atoms = driven.atoms
    displaced = atoms.copy()
    displaced.positions += np.random.default_rng(0).normal(0, DISPLACEMENT, (len(atoms), 3))
    calculator: FieldCalculator = atoms.calc
    return {
        "numbers": atoms.numbers.tolist(),
        "periodic": atoms.pbc.tolist(),
        "constraints": [_constraint(one) for one in atoms.constraints],
        "cell": atoms.cell.array.tolist(),
        "masses": atoms.get_masses().tolist(),
        "positions": atoms.positions.tolist(),
        "momenta": atoms.get_momenta().tolist(),
        "energy": atoms.get_potential_energy() / len(atoms),
        "forces": atoms.get_forces(apply_constraint=False).tolist(),
        "born_charges": driven.born_charges.tolist(),
        "forces_when_displaced": calculator.calculator.get_property("forces", displaced).tolist(),
    }


@contextmanager
def locked_run_folder(folder: Path | None) -> Iterator[None]:
    """Create a folder for a run and lock it against other processes; does nothing without a folder.

    Raises
    ------
    BlockingIOError
        If another process is using it.
    """
    if folder is None:
        yield
        return
    make_folder(folder)
    with locked(folder / "run.lock", f"the run in {folder}"):
        for name in (DESCRIPTION, CHECKPOINT):
            remove_partial(folder / name)
        yield


def open_run_folder(folder: Path, description: Mapping[str, Any]) -> Path:
    """Write the description of a run to its folder, or compare it; return the checkpoint's path.

    Raises
    ------
    ValueError
        If the folder holds another run, or its description is damaged; the message says in what
        they differ.
    """
    about = folder / DESCRIPTION
    if about.exists():
        try:
            before = json_data("it", about.read_text(encoding="utf-8"))
            if not isinstance(before, dict):
                raise ValueError("it should be an object")
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{about} is not the description of a run ({error}); name another folder"
            ) from error
        differing = _differences(before, description)
        if differing:
            raise ValueError(
                f"{folder} holds another run, which differs in {', '.join(differing)} (see "
                f"{about.name}); name another folder"
            )
    else:
        write_text(about, json.dumps(description, indent=1))
    return folder / CHECKPOINT


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [name for name in {**now, **before} if not _same(name, before.get(name), now.get(name))]


def _same(name: str, before: Any, now: Any) -> bool:
    if name not in TOLERANCES or before is None or now is None:
        return bool(before == json.loads(json.dumps(now)))
    return np.shape(before) == np.shape(now) and np.allclose(
        before, now, rtol=0, atol=TOLERANCES[name]
    )


def _constraint(constraint: Any) -> str:
    name = type(constraint).__name__
    return encode(constraint.todict()) if hasattr(constraint, "todict") else name
