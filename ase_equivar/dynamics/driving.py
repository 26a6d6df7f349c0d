"""ASE dynamics in an electric field: forces at the right time, and the work of the field.

``drive`` adds the forces Z*ᵀE(t) to an existing dynamics::

    dyn = VelocityVerlet(atoms, 1.0 * units.fs)
    driven = drive(dyn, SineField([0, 0, 0.02], frequency=3))
    dyn.run(1000)
    balance = atoms.get_total_energy() - driven.work  # constant but for O(dt²)

**Time within a step.** From t to t + dt, ASE's integrators request forces at t, before the atoms
move, and at t + dt, afterwards; some (LangevinBAOAB, Melchionna's NPT) reuse those at t from the
previous step. The field is evaluated at the time of each request, so the integrators remain of
second order in dt. Other integrators work too if they either request forces before the atoms move
(then those at t and t + dt), or only afterwards (then those at t + dt).

**Work.** W = ∫ Σ F_field·dr. Each step contributes the mean of the field's forces at its two ends
times the displacement. For velocity Verlet and harmonic forces, E_total − W then differs from its
initial value by exactly dt²/8 · Σ [F(t)² − F(0)²]/m: it oscillates with the square of the time
step, without drift. This holds for any Z*, including Z* that do not derive from a polarization
(`ase_equivar.dynamics.closed_loops`), for which W depends on the path.

**A run in parts.** ``dyn.run`` may be called repeatedly. For a new dynamics, pass the time as
`start_time` and set ``work`` to the work done before.

**Constant D.** With a `ConstantDisplacement` the field is (ε0 ε∞)⁻¹ (D − P), where P is the initial
polarization plus the sum of Z* dr since, or the change of P itself from a polar model
(``source="polarization"``): D is held instead of E, as in an open circuit. Then the total energy
and ``driven.field_energy`` are conserved together, and so is E_total − W.

**Energy and stress** are those without field. Therefore optimizers that use the energy are refused,
and so is the stress, unless ``stress_without_field=True``: a barostat then lacks the field's
contribution to the stress (converse piezoelectricity). W, the change of polarization and the
displacements then count motion relative to the cell only, Δs·h with fractional coordinates s and
cell h, because a deformation of the cell displaces each periodic image of an atom differently.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from ase.md.md import MolecularDynamics
from ase.optimize.optimize import BaseDynamics
from numpy.typing import ArrayLike

from ase_equivar.arguments import finite_number, refuse_class, whole_number
from ase_equivar.charge_source import ChargeSource
from ase_equivar.dynamics.acting_field import acting_field
from ase_equivar.dynamics.charge_refresh import BornCharges
from ase_equivar.dynamics.checks import (
    atoms_of,
    check_calculator,
    check_motion,
    check_net_charge,
    check_optimizer,
    check_time_step,
    check_times_ascend,
)
from ase_equivar.dynamics.dipole_path import DipolePath
from ase_equivar.dynamics.driven import Drive
from ase_equivar.dynamics.field_calculator import FieldCalculator
from ase_equivar.dynamics.field_log import FieldLog
from ase_equivar.dynamics.observables import check_cell
from ase_equivar.dynamics.step_clock import StepClock, is_a
from ase_equivar.fields.algebra import Field, Waveform
from ase_equivar.fields.applied import AppliedField
from ase_equivar.fields.displacement import ConstantDisplacement
from ase_equivar.fields.spatial import SpatialField
from ase_equivar.io.output_files import check_folder
from ase_equivar.structures.validation import check_structure
from ase_equivar.warning_types import FieldWarning


def drive(
    dyn: BaseDynamics,
    field: Field | ArrayLike | SpatialField | ConstantDisplacement | AppliedField,
    *,
    update_interval: int = 1,
    max_displacement: float | None = None,
    born_charges: ChargeSource | None = None,
    start_time: float | None = None,
    stress_without_field: bool = False,
    log: str | Path | None = None,
    log_interval: int = 1,
) -> Drive:
    """Add the forces of an electric field to a dynamics, which is then run as usual.

    Parameters
    ----------
    dyn : ase.md.md.MolecularDynamics or ase.optimize.optimize.Optimizer
        Dynamics of Atoms whose calculator provides forces and, unless `born_charges` are given,
        ``born_effective_charges`` (|e|, row = field, column = displacement).
    field : callable, array_like, SpatialField, ConstantDisplacement or AppliedField
        E(t), time in fs → three numbers in V/Å; see `ase_equivar.fields`. Three numbers are short
        for a ConstantField. A `SpatialField` depends on position as well. With a
        `ConstantDisplacement`, D is held, and E follows the polarization. An `AppliedField` is the
        field outside a slab. An optimizer has no time and requires a static field.
    update_interval : int
        Calculate Z* at every `update_interval`-th geometry only; ``refresh_report`` gives the
        resulting errors of the forces.
    max_displacement : float, optional
        With `update_interval` above 1: recalculate Z* as soon as an atom has moved further than
        this since they were last calculated, Å.
    born_charges : calculator, callable, array_like or mapping, optional
        Source of Z*, if not the calculator of the atoms: see
        `ase_equivar.charge_source.ChargeSource`.
    start_time : float, optional
        Time of the field at the present state, fs. Default: that of `dyn`.
    stress_without_field : bool
        Allow barostats to use the calculator's stress, which lacks the field's contribution.
    log : str or pathlib.Path, optional
        File for a `FieldLog`.
    log_interval : int
        Number of steps between lines of the log.

    Returns
    -------
    Drive
        Gives the work of the field; ``release()`` removes the field.

    Raises
    ------
    ValueError
        If the field is not one of the forms above, an argument, mass or velocity is out of range, a
        constraint is for an atom that does not exist, the time step is 0,
        above 100 fs or too long for the field, the cell is charged and nothing would stop its
        acceleration, the calculator already has a field, or a log is requested for atoms without a
        periodic cell or for a run backward in time.
    FileNotFoundError
        If the folder of the log does not exist.
    TypeError
        If `dyn` is not an ASE dynamics, or is one that replaces calculators, SwitchLangevin.
    ase.calculators.calculator.PropertyNotImplementedError
        If the calculator does not provide Z*, forces, or an ε∞ that is needed and not given.

    Warns
    -----
    FieldWarning
        If the field exerts no force or was zero throughout a run, or if a thermostat cannot stop a
        charged cell. Later, if atoms were moved between steps, or forces are asked for at other
        positions than the run's while a field that changes with time stands still.
    """
    if not isinstance(dyn, BaseDynamics):
        raise TypeError(f"drive needs an ASE dynamics, not a {type(dyn).__name__}")
    if is_a(dyn, "SwitchLangevin"):
        raise TypeError(
            "SwitchLangevin sets the weights of the atoms' calculator in its run, and in a field "
            "another takes its place: drive takes ASE's other dynamics"
        )
    refuse_class("field", field)
    log_interval = whole_number("log_interval", log_interval, at_least=1)
    if start_time is not None:
        start_time = finite_number("start_time", start_time, unit="fs")
    atoms = atoms_of(dyn)
    check_structure(atoms)
    check_motion(atoms)
    wrapped = atoms.calc
    check_calculator(wrapped)
    source = wrapped if born_charges is None else born_charges
    charges = BornCharges(source, update_interval, max_displacement)
    path = DipolePath(atoms)
    acting = acting_field(field, atoms, path, (source, wrapped))
    if acting.follows_path and stress_without_field:
        raise ValueError(
            "stress_without_field is for barostats, but a constant D requires a constant cell: "
            "leave it out"
        )
    if isinstance(dyn, MolecularDynamics):
        check_time_step(dyn, acting)
    else:
        check_optimizer(dyn, acting)
    clock = StepClock(dyn, start_time)
    calculator = FieldCalculator(
        wrapped, charges, acting, clock, path, stress_without_field=stress_without_field
    )
    now = calculator.field_on(atoms, clock.time)
    if isinstance(field, Waveform) and field.is_zero:
        warnings.warn("the field is zero at all times", FieldWarning, stacklevel=2)
    check_net_charge(dyn, atoms, charges(atoms, now))
    if log is not None:
        check_cell(atoms)
        check_times_ascend(dyn)
        check_folder(log)
    driven = Drive(dyn, atoms, calculator, clock, charges, acting, path)
    if log is not None:
        dyn.attach(FieldLog(driven, log), interval=log_interval)
    return driven
