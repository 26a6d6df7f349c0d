"""The command ``ase-equivar drift``."""

from __future__ import annotations

from typing import Annotated

import typer

from ase_equivar.cli import inputs
from ase_equivar.cli.field_options import (
    FieldRunOptions,
    Vector,
    check_strength,
    check_time,
    field_command,
)
from ase_equivar.cli.tables import open_console
from ase_equivar.structures.formula import empirical_formula


@field_command(temperature=600.0, friction=1.0)
def drift(
    options: FieldRunOptions,
    species: Annotated[str, typer.Option(help="Chemical symbol of the ions.")],
    field: Annotated[Vector, typer.Option(help="x y z in MV/cm.")] = (0.0, 0.0, 10.0),
    duration: Annotated[float, typer.Option(help="In ps.")] = 20.0,
    equilibration: Annotated[float, typer.Option(help="Left out before, in ps.")] = 2.0,
    nominal: Annotated[
        str | None,
        typer.Option(help="Nominal charges for a second run, for comparison: Li=1,P=5,O=-2."),
    ] = None,
    total_charge: Annotated[
        float,
        typer.Option(
            help="Total charge of all atoms, |e|, to which Z* sum: -1 if one Li+ is missing."
        ),
    ] = 0.0,
) -> None:
    """Drift and mobility of ions in a static field, with Born or nominal charges.

    Fields that move ions within picoseconds are far from the linear regime: compare two field
    strengths before calling the ratio a mobility.
    """
    with inputs.user_errors():
        check_strength("--field", field)
        check_time("--duration", duration)
        check_time("--equilibration", equilibration, zero=True)
        options.check_outputs()
        charges: dict[str, dict[str, float] | None] = {"Born charges": None}
        if nominal is not None:
            charges["nominal charges"] = _charges(nominal)
        md_settings = options.md_settings()
        atoms = options.atoms_with_calculator(total_charge)

        import numpy as np

        from ase_equivar.charge_source import read_charges
        from ase_equivar.dynamics.experiments.drift import ion_drift
        from ase_equivar.plotting import plot_ion_drift
        from ase_equivar.units import MV_PER_CM, PICOSECOND

        if nominal is not None:
            read_charges(charges["nominal charges"] or {}, "--nominal")(atoms)
        console = open_console()
        drifts, numbers = {}, {}
        for name, given in charges.items():
            found = ion_drift(
                atoms,
                np.array(field) * MV_PER_CM,
                species,
                duration * PICOSECOND,
                born_charges=given,
                equilibration=equilibration * PICOSECOND,
                md_settings=md_settings,
                folder=options.folder and options.folder / name.replace(" ", "-"),
            )
            drifts[name] = found
            numbers[name] = {
                "charge_e": found.mean_charge,
                "velocity_A_per_ps": (found.velocity * PICOSECOND).tolist(),
                "mobility_cm2_per_Vs": found.mobility,
                "mobility_error_cm2_per_Vs": found.mobility_error,
            }
            console.print(
                f"{name}: {species} {found.mean_charge:+.3f} e along the field, mobility "
                f"{found.mobility_text}"
            )
        formula = empirical_formula(atoms)
        figure = plot_ion_drift(drifts, title=f"{formula}, {options.temperature:g} K")
        options.write(console, numbers, figure)


def _charges(text: str) -> dict[str, float]:
    try:
        pairs = [part.split("=") for part in text.split(",")]
        charges = {symbol.strip(): float(charge) for symbol, charge in pairs}
    except ValueError:
        raise ValueError(f"--nominal is {text!r}; write it as Li=1,P=5,O=-2") from None
    if len(charges) < len(pairs):
        raise ValueError(f"--nominal is {text!r}, with two charges for one element")
    return charges
