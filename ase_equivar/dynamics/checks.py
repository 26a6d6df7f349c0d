"""Checks of the arguments of `ase_equivar.dynamics.drive` before a run."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.constraints import FixAtoms, FixCom
from ase.filters import Filter
from ase.md.bussi import Bussi
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet
from ase.optimize.optimize import BaseDynamics, Optimizer
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real, positive_number
from ase_equivar.calculated_property import all_within
from ase_equivar.dynamics.acting_field import ActingField
from ase_equivar.dynamics.field_calculator import FieldCalculator
from ase_equivar.dynamics.step_clock import is_a, time_step
from ase_equivar.fields.algebra import SAMPLES_PER_PERIOD
from ase_equivar.structures.validation import check_masses_positive
from ase_equivar.warning_types import FieldWarning

FRICTION = {
    "Langevin": ("fr",),
    "LangevinBAOAB": ("gamma",),  # 0 without a thermostat
    "Andersen": ("andersen_prob", "fix_com"),
}
"""Dynamics that bring the cell as a whole to rest, if one of these attributes is not zero."""
LARGEST_VELOCITY = 10.0  # Å/fs; hydrogen of 5 keV
LONGEST_TIME_STEP = 100.0  # fs; ten times the limit of the heaviest atoms
RELATIVE_ROUNDING = 1e-9  # relative, for time steps and tabulated times
NET_CHARGE_LIMIT = 0.01  # |e|, largest element of Σ Z*
ENERGY_OPTIMIZERS = (
    "BFGSLineSearch",
    "LBFGSLineSearch",
    "GoodOldQuasiNewton",
    "GPMin",
    "SciPyOptimizer",
    "SciPyGradientlessOptimizer",
)
ENERGY_OPTIONS = ("use_line_search", "downhill_check", "use_armijo")


def atoms_of(dyn: BaseDynamics) -> Atoms:
    """Return the Atoms of a dynamics, unwrapped from a filter if there is one."""
    atoms = dyn.atoms
    while isinstance(atoms, Filter):
        atoms = atoms.atoms
    if not isinstance(atoms, Atoms):  # ASE calls whatever it moves so
        raise TypeError(
            f"a {type(atoms).__name__} is moved, not one ase.Atoms: give the atoms of each of its "
            "structures an EquivarCalculator with electric_field and polarization_energy=True"
        )
    if atoms.calc is None:
        raise ValueError("the atoms of the dynamics have no calculator; set atoms.calc first")
    return atoms


def check_motion(atoms: Atoms) -> None:
    """Refuse masses, momenta and constraints with which no dynamics can run.

    Raises
    ------
    ValueError
        If a mass is not positive, a velocity not finite or beyond 10 Å/fs, or a constraint is for
        an atom that does not exist.
    """
    check_masses_positive(atoms.get_masses(), atoms.symbols)
    finite_real(
        "the array of velocities",
        atoms.get_velocities() * units.fs,
        None,
        unit="Å/fs",
        largest=LARGEST_VELOCITY,
    )
    for constraint in atoms.constraints:
        if not hasattr(constraint, "get_indices"):
            continue
        for i in np.ravel(constraint.get_indices()):
            if not -len(atoms) <= i < len(atoms):
                raise ValueError(
                    f"the constraint {type(constraint).__name__} is for atom {i}, but there are "
                    f"{len(atoms)} atoms"
                )


def check_calculator(calculator: Any) -> None:
    """Refuse a calculator without forces, or one that already applies a field."""
    name = type(calculator).__name__
    if "forces" not in calculator.implemented_properties:
        raise PropertyNotImplementedError(
            f"the calculator {name} does not give forces, to which those of the field are added; "
            "wrap one that does in an EquivarCalculator: EquivarCalculator(calculator)"
        )
    if isinstance(calculator, FieldCalculator):
        raise ValueError(
            "these atoms are already driven by a field; add the two fields, or release() the "
            "first drive"
        )
    check_no_other_field(calculator)


def check_no_other_field(calculator: Any) -> None:
    """Refuse a calculator that, or one that it wraps or sums, has an electric field of its own."""
    for one in all_within(calculator):
        own = getattr(one, "electric_field", None)
        if own is not None and np.any(own):
            raise ValueError(
                f"the calculator has electric_field={np.asarray(own).tolist()} V/Å of its own, "
                "whose work would not be counted in addition to this field; set it to None"
            )


def check_time_step(dyn: MolecularDynamics, field: ActingField) -> None:
    """Refuse a time step that is zero, too long for atoms, or too long to resolve the field.

    A negative time step is allowed and runs backwards in time.
    """
    step = positive_number(
        "the time step (timestep)", abs(time_step(dyn)), "fs", largest=LONGEST_TIME_STEP
    )
    check_resolution(step, field.longest_step)


def check_resolution(step: float, longest: float) -> None:
    """Refuse a time step (fs) longer than `longest`, which resolves the field."""
    if step > longest * (1 + RELATIVE_ROUNDING):
        raise ValueError(
            f"the time step of {step:.4g} fs is too long for this field: at most "
            f"{longest:.4g} fs resolves it, {SAMPLES_PER_PERIOD} steps in its shortest "
            "period (a table: its shortest interval, or longer where the table is smooth)"
        )


def check_times_ascend(dyn: BaseDynamics) -> None:
    """Refuse to write down a run that goes back in time: what is read or goes on must ascend."""
    if isinstance(dyn, MolecularDynamics) and time_step(dyn) < 0:
        raise ValueError(
            "the time step is negative, and times in logs and trajectories must ascend: reverse "
            "the velocities instead, and give the field as a function of the time that is left"
        )


def check_optimizer(dyn: BaseDynamics, field: ActingField) -> None:
    """Refuse optimizers that need an energy, and fields that change with time in any optimizer."""
    name = type(dyn).__name__
    if not isinstance(dyn, Optimizer):
        raise TypeError(f"drive takes molecular dynamics or an optimizer, not {name}")
    if not field.is_static:
        raise ValueError(
            f"{name} has no time: give three numbers, a ConstantField or a ConstantDisplacement"
        )
    if any(kind.__name__ in ENERGY_OPTIMIZERS for kind in type(dyn).__mro__) or any(
        getattr(dyn, option, False) for option in ENERGY_OPTIONS
    ):
        raise ValueError(
            f"{name}, as set up, needs an energy whose gradient gives the forces, and in a field "
            "there is none; use an optimizer that relies on forces alone: BFGS, LBFGS, FIRE, MDMin"
        )


def check_net_charge(dyn: BaseDynamics, atoms: Atoms, born_charges: NDArray[np.float64]) -> None:
    """Refuse, or warn, if the field would accelerate the cell as a whole indefinitely."""
    net = np.abs(born_charges.sum(axis=0)).max()
    if net <= NET_CHARGE_LIMIT or any(
        isinstance(one, FixCom) or (isinstance(one, FixAtoms) and len(one.get_indices()))
        for one in atoms.constraints
    ):
        return
    name = type(dyn).__name__
    cure = (
        "neutralize Z*, hold the center of mass (ase.constraints.FixCom), or use Langevin, whose "
        "friction ends the acceleration"
    )
    switches = [name for kind, names in FRICTION.items() if is_a(dyn, kind) for name in names]
    if any(np.any(getattr(dyn, switch, 0)) for switch in switches):
        return
    if switches or (isinstance(dyn, (VelocityVerlet, Optimizer)) and not isinstance(dyn, Bussi)):
        raise ValueError(
            f"the Z* sum to {net:.3g} e, so a uniform field accelerates the cell as a whole, and "
            f"{name}, as set up, does not stop it; {cure}"
        )
    warnings.warn(
        f"the Z* sum to {net:.3g} e: {name} may control the kinetic energy, but does not stop the "
        f"cell as a whole from accelerating and taking up ever more of it; {cure}",
        FieldWarning,
        stacklevel=3,
    )
