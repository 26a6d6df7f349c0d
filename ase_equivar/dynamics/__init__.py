"""Molecular dynamics in electric fields.

A typical calculation::

    dyn = VelocityVerlet(atoms, 1.0 * units.fs)
    driven = drive(dyn, SineField([0, 0, 0.02], frequency=3))   # ase_equivar.fields
    dyn.run(1000)
    balance = atoms.get_total_energy() - driven.work

Ready-made experiments (hysteresis, drift of ions, response to a pulse, ε in finite fields) are in
`ase_equivar.dynamics.experiments`; see docs/howto/dynamics.md.
"""

from ase_equivar.dynamics.charge_refresh import RefreshReport
from ase_equivar.dynamics.checkpoint import restore_checkpoint, save_checkpoint
from ase_equivar.dynamics.closed_loops import LoopWork, loop_residual, loop_work
from ase_equivar.dynamics.driven import Drive
from ase_equivar.dynamics.driving import drive
from ase_equivar.dynamics.field_log import FieldLog, read_field_log
from ase_equivar.dynamics.field_trajectory import FieldTrajectory
from ase_equivar.dynamics.observables import FieldRun, Observables, observe
from ase_equivar.warning_types import FieldWarning

__all__ = [
    "Drive",
    "FieldLog",
    "FieldRun",
    "FieldTrajectory",
    "FieldWarning",
    "LoopWork",
    "Observables",
    "RefreshReport",
    "drive",
    "loop_residual",
    "loop_work",
    "observe",
    "read_field_log",
    "restore_checkpoint",
    "save_checkpoint",
]
