"""Sessions of LAMMPS with commands that do not go together with a field, a program for `mpiexec`.

python lammps_sessions.py JSON, with a list of [CASE, SETTINGS]; see `lammps_runs`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from helpers.given_charges import GivenCharges
from helpers.lammps_runs import FIELD, FORMAL_CHARGES, SYMBOLS, crystal, lammps_with, run_cases

STRONG = [0.0, 0.0, 0.5]  # V/Å


def error_of(run: Any, *given: Any, **settings: Any) -> str:
    """Return the message of the error that a call raises, or nothing."""
    try:
        run(*given, **settings)
    except Exception as error:  # LAMMPS' own have no class
        return str(error)
    return ""


def at_rest() -> Any:
    """Return LAMMPS with one cell of the crystal, of which barium is a group."""
    atoms = crystal((1, 1, 1))
    atoms.set_momenta(np.zeros((len(atoms), 3)))
    lmp = lammps_with(atoms)
    lmp.command("group held type 1")
    return lmp


def with_field(lmp: Any, field: Any = STRONG, **settings: Any) -> Any:
    """Add a field to LAMMPS with formal charges as Z*."""
    from ase_equivar.engines.lammps import field_fix

    calculator = GivenCharges(FORMAL_CHARGES)
    return field_fix(lmp, field, SYMBOLS, calculator=calculator, **settings)


def held_runs() -> dict[str, Any]:
    """Hold barium before the field, which is refused, and after it."""
    told: dict[str, Any] = {}
    for style in ("setforce 0 0 0", "planeforce 0 0 1", "aveforce 0 0 0", "lineforce 1 0 0"):
        lmp = at_rest()
        lmp.command(f"fix hold held {style}")
        told[style] = error_of(with_field, lmp)
    lmp.command("unfix hold")
    with_field(lmp)
    lmp.command("fix hold held setforce 0 0 0")
    before = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    lmp.command("run 20")
    moved = np.abs(np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3) - before).max(axis=1)
    return {"told": told, "moved": moved.tolist()}


def ended_runs(folder: str) -> dict[str, Any]:
    """Remove a field that has a log, run without, and add it again."""
    lmp = at_rest()
    with_field(lmp, log=f"{folder}/first.log")
    lmp.command("run 2")
    told = {"reset": error_of(lmp.command, "reset_timestep 0")}
    told["energy"] = error_of(lmp.command, "fix_modify field energy no")
    lmp.command("unfix field")
    left = [one for one in lmp.available_ids("fix") if one.startswith("field")]
    left += [one for one in lmp.available_ids("compute") if one.startswith("field")]
    lmp.commands_string("reset_timestep 0\nrun 2")
    with_field(lmp, log=f"{folder}/second.log")
    lmp.commands_list(["run 3", "unfix field", "minimize 0 0 1 1"])
    return {"told": told, "left": left, "steps": lmp.extract_global("ntimestep")}


def failed_beginning(folder: str) -> dict[str, Any]:
    """Add a field in vain, and look at what stays in LAMMPS."""
    lmp = at_rest()
    lmp.command("compute field_ke all ke")
    log = f"{folder}/third.log"
    told = [error_of(with_field, lmp, log=log)]
    lmp.command("uncompute field_ke")

    def failing(*_: object) -> None:
        raise ArithmeticError("no callback today")

    working, lmp.set_fix_external_callback = lmp.set_fix_external_callback, failing
    told.append(error_of(with_field, lmp, log=log))
    left = lmp.available_ids("fix")
    lmp.set_fix_external_callback = working
    with_field(lmp, log=log)
    lmp.command("run 1")
    return {"told": told, "fixes": left}


def two_fields(folder: str) -> dict[str, Any]:
    """Give one of two fields a log."""
    lmp = at_rest()
    with_field(lmp, log=f"{folder}/one.log")
    beside = error_of(with_field, lmp, identifier="second")
    lmp = at_rest()
    with_field(lmp)
    late = error_of(with_field, lmp, identifier="second", log=f"{folder}/two.log")
    with_field(lmp, identifier="second")
    lmp.command("run 1")
    return {"beside": beside, "late": late}


def counted_images() -> dict[str, Any]:
    """Let all atoms cross the face of the box at which LAMMPS' counts of images start again."""
    accounts = []
    for first in (0, 511):
        lmp = lammps_with(crystal((1, 1, 1)))
        lmp.command("unfix springs")
        lmp.command(f"set group all image {first} 0 0")
        lmp.command("velocity all set 20.0 0.0 0.0")
        fix = with_field(lmp, FIELD)
        lmp.command("run 300")
        accounts.append({k: np.asarray(v).tolist() for k, v in fix.displacements.items()})
    return {"few": accounts[0], "many": accounts[1]}


def hidden_minimizations(folder: str) -> dict[str, Any]:
    """Minimize from files whose names the text of the command does not have."""
    Path(f"{folder}/min.in").write_text("minimize 0 0 5 5\n")
    told = {}
    for name, commands in {
        "variable": f"variable f string {folder}/min.in\ninclude ${{f}}",
        "condition": f"if '1 > 0' then 'include {folder}/min.in'",
        "quoted": '"minimize" 0 0 5 5',
    }.items():
        lmp = at_rest()
        fix = with_field(lmp)
        lmp.command("run 2")
        told[name] = [error_of(lmp.commands_string, commands), fix.work]
        lmp.command("run 2")
        told[name].append(error_of(lmp.command, "run 2"))
    return told


def after_an_error(folder: str) -> dict[str, Any]:
    """Give several commands, of which the first fails because of the field."""
    told = {}
    for name in ("commands_list", "commands_string", "file"):
        lmp = at_rest()

        def failing(time: float) -> list[float]:
            if time > 3.5:
                raise ArithmeticError("no field today")
            return STRONG

        with_field(lmp, failing)
        written = Path(f"{folder}/{name}.data")
        commands = ["run 10", f"write_data {written}", "no_such_command"]
        Path(f"{folder}/in.{name}").write_text("\n".join(commands))
        given = {
            "commands_list": commands,
            "commands_string": "\n".join(commands),
            "file": f"{folder}/in.{name}",
        }[name]
        told[name] = [error_of(getattr(lmp, name), given), written.exists()]
    return told


def fields_that_are_none() -> dict[str, Any]:
    """Give functions that are no field of time."""
    lmp = at_rest()
    two = error_of(with_field, lmp, lambda positions, time: positions)
    with_field(lmp, lambda time: time)
    return {"two": two, "scalar": error_of(lmp.command, "run 1")}


def groups() -> dict[str, Any]:
    """Warn that a field on some atoms accelerates all."""
    lmp = at_rest()
    with_field(lmp, group="held")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        lmp.command("run 1")
    return {"told": [str(one.message) for one in found]}


def ghosts() -> dict[str, Any]:
    """Ask for more ghosts than Z* need, for less, and in another mode; for two processes."""
    from ase_equivar import EquivarCalculator
    from ase_equivar.engines.lammps import field_fix
    from ase_equivar.engines.lammps_info import ghost_cutoff

    cutoffs = {}
    told = {}
    for given in ("12.0", "3.0"):
        lmp = lammps_with(crystal((4, 1, 1)))
        lmp.command(f"comm_modify cutoff {given}")
        field_fix(lmp, FIELD, SYMBOLS, calculator=EquivarCalculator(device="cpu"))
        cutoffs[given] = ghost_cutoff(lmp, lmp.get_mpi_comm())
    far = lammps_with(crystal((4, 1, 1)))
    far.commands_list(["pair_style zero 9.0", "pair_coeff * *", "run 0"])
    field_fix(far, FIELD, SYMBOLS, calculator=EquivarCalculator(device="cpu"))
    far.commands_list(["pair_style zero 2.0", "pair_coeff * *", "run 0"])
    cutoffs["of a potential"] = ghost_cutoff(far, far.get_mpi_comm())
    for command in ("comm_modify mode multi", "comm_modify cutoff ${far}", "comm_modify cutoff 6"):
        told[command] = error_of(lmp.command, command)
    return {"cutoffs": cutoffs, "told": told}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run_cases(
        held_runs,
        ended_runs,
        failed_beginning,
        two_fields,
        counted_images,
        hidden_minimizations,
        after_an_error,
        fields_that_are_none,
        groups,
        ghosts,
    )
