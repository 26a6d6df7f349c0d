"""Runs of LAMMPS in a field beyond the plain crystal, a program for `mpiexec`.

Slabs with a charge, boxes that change, thermostats with pair potentials, atoms that are lost.

python lammps_limits.py JSON, with a list of [CASE, SETTINGS]; see `lammps_runs`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.fields import ConstantDisplacement
from ase_equivar.warning_types import FieldWarning
from helpers.given_charges import GivenCharges
from helpers.lammps_runs import (
    FIELD,
    FORMAL_CHARGES,
    SYMBOLS,
    TIMESTEP,
    crystal,
    lammps_with,
    run_cases,
    unwrapped,
)

CHARGE = 0.5  # e, of the slab
HELD = 3  # the atom of the slab that keeps the field from accelerating all of it


def slab() -> Atoms:
    """Two cells of the sheared crystal, and no periodicity along z."""
    atoms = crystal((2, 1, 1))
    atoms.positions[:, 2] += 4.0
    atoms.cell[2] = [0.0, 0.0, 12.0]
    atoms.pbc = [True, True, False]
    momenta = atoms.get_momenta()
    momenta[HELD] = 0.0
    atoms.set_momenta(momenta)
    return atoms


def double_precision(total_charge: float = 0.0) -> EquivarCalculator:
    """Return a calculator whose Z* can be compared closely."""
    return EquivarCalculator(dtype="float64", device="cpu", total_charge=total_charge)


def charges_in(lmp: Any) -> NDArray[np.float64]:
    """Return the Z* that LAMMPS has of all atoms, in their order."""
    return np.array(lmp.gather("d2_field_born", 1, 9)).reshape(-1, 3, 3)


def charged_slab_run(folder: str) -> dict[str, Any]:
    """Run the slab, of which an atom is held, and write Z* to a dump."""
    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(slab(), boundary="p p f")
    lmp.commands_list(
        [f"group held id {HELD + 1}", "group free subtract all held", "unfix move",
         "fix move free nve"]
    )  # fmt: skip
    fix = field_fix(lmp, FIELD, SYMBOLS, calculator=double_precision(CHARGE))
    lmp.commands_list(
        [
            f"dump born all custom 8 {folder}/born.dump id d2_field_born[*]",
            "dump_modify born sort id format float %.17g",
            "run 8",
        ]
    )
    return {
        "positions": unwrapped(lmp, slab()).tolist(),
        "born_charges": charges_in(lmp).tolist(),
        "work": fix.work,
    }


def deformed_run() -> dict[str, Any]:
    """Stretch and shear the box; return Z* of the last step, and box and positions that it had.

    LAMMPS changes the box after the forces of a step.
    """
    from ase_equivar.engines.lammps import field_fix
    from ase_equivar.engines.lammps_atoms import box_of

    lmp = lammps_with(crystal((2, 1, 1)))
    seen: dict[str, Any] = {}

    def field(time: float) -> NDArray[np.float64]:
        seen["cell"] = box_of(lmp).tolist()
        seen["positions"] = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3).tolist()
        return FIELD(time)

    calculator = double_precision()
    fix = field_fix(lmp, field, SYMBOLS, calculator=calculator, stress_without_field=True)
    lmp.command("fix box all deform 1 y scale 1.06 xz delta 0.3 remap x")
    lmp.command("run 8")
    return {
        **seen,
        "born_charges": charges_in(lmp).tolist(),
        "dipole": np.sum(list(fix.dipole_changes.values()), axis=0).tolist(),
        "polarization_change": fix.polarization_change.tolist(),
    }


def oblique_run(flip: str) -> dict[str, Any]:
    """Shear a box beyond the half of its edge; return the account of the run, and the shear."""
    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(crystal((2, 1, 1)))
    lmp.commands_list(
        [
            "change_box all triclinic",
            f"fix box all deform 1 xy delta 6.0 remap x flip {flip}",
        ]
    )
    calculator = GivenCharges(FORMAL_CHARGES)
    fix = field_fix(lmp, FIELD, SYMBOLS, calculator=calculator, stress_without_field=True)
    lmp.command("run 40")
    return {
        "shear": lmp.get_thermo("xy"),
        "work": fix.work,
        "polarization_change": fix.polarization_change.tolist(),
        "displacements": {k: np.asarray(v).tolist() for k, v in fix.displacements.items()},
    }


def rearranged_runs() -> dict[str, Any]:
    """Move or remove atoms between two runs; return the warnings, errors and accounts."""
    from ase_equivar.engines.lammps import field_fix

    constant_d = ConstantDisplacement([30.0, -20.0, 40.0], [0.0, 0.0, 0.0], 3 * np.eye(3))
    told: dict[str, Any] = {}
    for name, field, command in (
        ("moved", FIELD, "displace_atoms ti move 0 0 0.05"),
        ("shifted", FIELD, "displace_atoms all move 0.3 0.4 0.5"),
        ("left", FIELD, "reset_timestep 100"),
        ("removed", FIELD, "delete_atoms group ti compress no"),
        ("moved at constant D", constant_d, "displace_atoms ti move 0 0 0.05"),
        ("left at constant D", constant_d, "reset_timestep 100"),
    ):
        lmp = lammps_with(crystal((2, 1, 1)))
        lmp.command(f"group ti type {SYMBOLS.index('Ti') + 1}")
        calculator = GivenCharges(FORMAL_CHARGES)
        fix = field_fix(lmp, field, SYMBOLS, calculator=calculator)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            lmp.command("run 5")
            lmp.command(command)
            try:
                for _ in range(2):
                    lmp.command("run 5")
                error = ""
            except RuntimeError as found:
                error = str(found)
        ours = [str(one.message) for one in caught if issubclass(one.category, FieldWarning)]
        told[name] = {"warnings": [one for one in ours if "between two runs" in one]}
        told[name] |= {"error": error, "work": fix.work}
    return told


def thermostatted_run() -> dict[str, Any]:
    """Run with a pair potential and a thermostat; return the work, and LAMMPS' conserved energy."""
    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(crystal((2, 1, 1)))
    lmp.commands_list(
        [
            "unfix move",
            "pair_style lj/cut 5.0",
            "pair_coeff * * 0.01 2.0",
            "pair_modify shift yes",
            "timestep 0.0002",
            "fix move all nvt temp 300 300 0.02",
        ]
    )
    fix = field_fix(lmp, FIELD, SYMBOLS, calculator=double_precision())
    lmp.command("thermo_style custom step etotal econserve f_field[1]")
    conserved = []
    for steps in (0, 20, 20):
        lmp.command(f"run {steps}")
        conserved.append(lmp.last_thermo()["Econserve"])
    return {"work": fix.work, "conserved": conserved}


def with_a_fast_atom(atoms: Atoms) -> Atoms:
    """Return the atoms, of which the first goes down by half an Å in each step."""
    velocities = atoms.get_velocities()
    velocities[0] = [0.0, 0.0, -0.5 / (TIMESTEP * units.fs)]
    atoms.set_velocities(velocities)
    return atoms


def lost_run() -> dict[str, Any]:
    """Lose an atom; return the error."""
    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(with_a_fast_atom(slab()), boundary="p p f")
    lmp.command("thermo_modify lost ignore")
    field_fix(lmp, FIELD, SYMBOLS, calculator=double_precision())
    try:
        lmp.command("run 40")
    except RuntimeError as error:
        return {"error": str(error)}
    return {"error": ""}


def stale_run() -> dict[str, Any]:
    """Let an atom outrun the neighbor lists; with several processes, all are ended."""
    from ase_equivar.engines.lammps import field_fix

    lmp = lammps_with(with_a_fast_atom(crystal()))
    lmp.command("neigh_modify delay 1000 every 1000 check no")
    # of several processes, each asks for the Z* of its own atoms, which only models give
    several = lmp.extract_setting("world_size") > 1
    calculator = double_precision() if several else GivenCharges(FORMAL_CHARGES)
    field_fix(lmp, FIELD, SYMBOLS, calculator=calculator)
    lmp.command("run 6")
    return {"step": lmp.extract_global("ntimestep")}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run_cases(
        lost_run,
        stale_run,
        charged_slab_run,
        deformed_run,
        oblique_run,
        rearranged_runs,
        thermostatted_run,
    )
