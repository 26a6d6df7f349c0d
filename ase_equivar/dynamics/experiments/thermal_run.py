"""Runs of given length at a given temperature in a field, on which the experiments are built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.constraints import (
    FixAtoms,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedMode,
    FixedPlane,
    FixScaled,
    FixSymmetry,
)
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from numpy.typing import ArrayLike

from ase_equivar.arguments import (
    LARGEST_TEMPERATURE,
    positive_number,
    store_checked,
    whole_number,
)
from ase_equivar.charge_source import ChargeSource
from ase_equivar.dynamics.checkpoint import restore_checkpoint, save_checkpoint
from ase_equivar.dynamics.checks import LONGEST_TIME_STEP, check_motion
from ase_equivar.dynamics.driving import drive
from ase_equivar.dynamics.experiments.run_folder import (
    describe_start,
    locked_run_folder,
    open_run_folder,
)
from ase_equivar.dynamics.field_log import TIME_ROUNDING, FieldLog, read_field_log
from ase_equivar.dynamics.observables import FieldRun, observe
from ase_equivar.dynamics.recorder import Recorder
from ase_equivar.fields.algebra import Field
from ase_equivar.fields.forces import check_field
from ase_equivar.fields.text import field_text
from ase_equivar.fields.waveforms import ConstantField
from ase_equivar.progress_bar import with_progress
from ase_equivar.structures.validation import check_structure

MOST_STEPS = 10**9  # years of computing with any force field
LARGEST_FRICTION = 1.0  # 1/fs; a Langevin thermostat with more hardly lets atoms move
PROGRESS_FROM = 500  # steps; shorter runs need no progress bar
CHECKPOINT_INTERVAL = 200  # steps
HELD = (FixAtoms, FixCartesian, FixScaled, FixedLine, FixedMode, FixedPlane)
"""Constraints that hold atoms in space; FixCom, which moves all atoms alike, would undo them."""


@dataclass(frozen=True)
class MDSettings:
    """Settings of molecular dynamics in a field: temperature, time step, friction.

    Parameters
    ----------
    temperature : float
        K. Atoms without momenta are given velocities of this temperature.
    timestep : float
        fs.
    friction : float
        Friction of the Langevin thermostat, 1/fs; the center of mass is fixed, unless constraints
        fix some atoms. 0 means velocity Verlet without a thermostat.
    seed : int
        Seed of the random numbers.
    update_interval : int
        Calculate Z* at every `update_interval`-th step only; see `drive`.
    """

    temperature: float = 300.0
    timestep: float = 1.0
    friction: float = 0.01
    seed: int = 0
    update_interval: int = 1

    def __post_init__(self) -> None:
        checked = {
            "temperature": positive_number(
                "temperature", self.temperature, "K", largest=LARGEST_TEMPERATURE, zero=True
            ),
            "timestep": positive_number("timestep", self.timestep, "fs", largest=LONGEST_TIME_STEP),
            "friction": positive_number(
                "friction", self.friction, "1/fs", largest=LARGEST_FRICTION, zero=True
            ),
            "seed": whole_number("seed", self.seed),
            "update_interval": whole_number("update_interval", self.update_interval, at_least=1),
        }
        store_checked(self, **checked)

    def dynamics(self, atoms: Atoms) -> MolecularDynamics:
        """Return the dynamics of `atoms`, which get velocities, and FixCom if there is friction.

        FixCom is not added if constraints fix some atoms.
        """
        if self.temperature and any(isinstance(one, FixSymmetry) for one in atoms.constraints):
            raise ValueError(
                "the atoms have the constraint FixSymmetry, which no thermal motion keeps: remove "
                "it with atoms.set_constraint()"
            )
        rng = np.random.default_rng(self.seed)
        is_held = any(isinstance(constraint, HELD) for constraint in atoms.constraints)
        if self.temperature and not atoms.get_momenta().any():
            # renamed in ASE 3.29; the new name does not exist in earlier versions
            widths = np.sqrt(atoms.get_masses() * units.kB * self.temperature)
            atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * widths[:, None])
            if not is_held:
                Stationary(atoms)
        if not self.friction:
            return VelocityVerlet(atoms, self.timestep * units.fs)
        if not is_held and not any(isinstance(one, FixCom) for one in atoms.constraints):
            atoms.set_constraint([*atoms.constraints, FixCom()])
        return Langevin(
            atoms,
            self.timestep * units.fs,
            temperature_K=self.temperature,
            friction=self.friction / units.fs,
            fixcm=False,  # FixCom does this and samples the right ensemble
            rng=rng,
        )


def field_run(
    atoms: Atoms,
    field: Field | ArrayLike,
    steps: int,
    md_settings: MDSettings,
    *,
    interval: int = 1,
    born_charges: ChargeSource | None = None,
    recorder: Recorder | None = None,
    folder: str | Path | None = None,
    description: str = "run in a field",
) -> FieldRun:
    """Run a copy of `atoms` in a field, and observe it every `interval` steps.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that provides forces and ``born_effective_charges``; not modified.
    field : callable or array_like
        E(t) in V/Å, time in fs, or three numbers; see `drive`.
    steps : int
        Number of time steps.
    md_settings : MDSettings
        Temperature and time step.
    interval : int
        Observe at the start and after every `interval` steps.
    born_charges : calculator, callable, array_like or mapping, optional
        Source of Z*, if not the calculator: see `ase_equivar.charge_source.ChargeSource`.
    recorder : Recorder, optional
        Sees every step, also of a part of the run that an earlier call has made.
    folder : str or pathlib.Path, optional
        Folder for a log and checkpoints. An interrupted run continues when called again with the
        same arguments; other arguments (atoms, constraints, calculator, charges, settings) are
        refused.
    description : str
        Label of the progress bar of a long run.

    Returns
    -------
    FieldRun

    Raises
    ------
    ValueError
        If a number is out of range, or the folder holds another run; and as for `drive`.
    BlockingIOError
        If another process is using the folder.
    """
    steps = whole_number("steps", steps, at_least=1)
    interval = whole_number("interval", interval, at_least=1)
    check_structure(atoms)
    check_motion(atoms)
    if atoms.calc is None:
        raise ValueError("the atoms have no calculator; set atoms.calc first")
    where = None if folder is None else Path(folder).absolute()
    with locked_run_folder(where):
        return _field_run(
            atoms, field, steps, md_settings, interval, born_charges, recorder, where, description
        )


def _field_run(
    atoms: Atoms,
    field: Field | ArrayLike,
    steps: int,
    md_settings: MDSettings,
    interval: int,
    born_charges: ChargeSource | None,
    recorder: Recorder | None,
    folder: Path | None,
    description: str,
) -> FieldRun:
    """See `field_run`; the folder is locked."""
    waveform = field if callable(field) else ConstantField(check_field(field))
    moving = atoms.copy()
    moving.calc = atoms.calc
    dyn = md_settings.dynamics(moving)
    driven = drive(
        dyn, waveform, update_interval=md_settings.update_interval, born_charges=born_charges
    )
    if recorder is not None:  # first, so that checkpoints hold the step at which they are made
        dyn.attach(recorder, 1, driven)
    rows = []
    if folder is None:
        dyn.attach(lambda: rows.append(observe(driven)), interval=interval)
    else:
        settings = {"steps": steps, "interval": interval, "md_settings": asdict(md_settings)}
        settings["field"] = field_text(waveform)
        if recorder is not None:  # not in folders of earlier versions
            settings["recorder"] = type(recorder).__name__
        checkpoint = open_run_folder(folder, settings | describe_start(driven))
        log = checkpoint.with_suffix(".log")
        if checkpoint.exists():
            restore_checkpoint(driven, checkpoint)
            _check_log(log, driven.time, -(-dyn.nsteps // interval))
        else:
            log.unlink(missing_ok=True)  # killed before its first checkpoint
        dyn.attach(FieldLog(driven, log), interval=interval)
        dyn.attach(save_checkpoint, CHECKPOINT_INTERVAL, driven, checkpoint)
    left = steps - dyn.nsteps
    for _ in with_progress(
        dyn.irun(left), description, total=left + 1, shown=left >= PROGRESS_FROM
    ):
        pass
    if folder is not None:
        save_checkpoint(driven, checkpoint)
    driven.release()
    return FieldRun.of(rows) if folder is None else read_field_log(log)


def _check_log(log: Path, time: float, expected: int) -> None:
    """Refuse to go on from a checkpoint with a log that lacks a part of the run before it."""
    start_again = f"remove {log.parent} and run again, or name another folder"
    if not log.is_file():
        raise ValueError(
            f"{log} is missing, the log of the run until the checkpoint at {time:g} fs; "
            f"{start_again}"
        )
    found = int((read_field_log(log).times < time - TIME_ROUNDING).sum()) if expected else 0
    if found != expected:
        raise ValueError(
            f"{log} has {found} lines before the checkpoint at {time:g} fs, not {expected}: a part "
            f"of it is lost; {start_again}"
        )


def steps_in(name: str, duration: float, md_settings: MDSettings) -> int:
    """Return the number of time steps in a duration (fs), or refuse it."""
    timestep = md_settings.timestep
    time = positive_number(name, duration, "fs")
    if not timestep <= time <= MOST_STEPS * timestep:
        raise ValueError(
            f"{name} is {duration} fs; give at least one time step ({timestep:.4g} fs) and at most"
            f" {MOST_STEPS:.0e} of them"
        )
    return round(time / timestep)
