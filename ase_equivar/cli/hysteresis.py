"""The command ``ase-equivar hysteresis``."""

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


@field_command(temperature=300.0, friction=10.0)
def hysteresis(
    options: FieldRunOptions,
    amplitude: Annotated[Vector, typer.Option(help="Amplitude of the field, x y z in MV/cm.")] = (
        0.0,
        0.0,
        20.0,
    ),
    period: Annotated[float, typer.Option(help="Period of the triangular wave, ps.")] = 20.0,
    periods: Annotated[
        int, typer.Option(help="Number of periods to record, after a first one.")
    ] = 2,
) -> None:
    """Ferroelectric hysteresis loop P(E), remanent polarization and coercive field.

    Molecular dynamics at fixed cell in a triangular wave. Such a small crystal switches as a whole
    within picoseconds: its coercive field is far above that of domain walls in a sample.
    """
    with inputs.user_errors():
        check_strength("--amplitude", amplitude)
        check_time("--period", period)
        options.check_outputs()
        md_settings = options.md_settings()
        atoms = options.atoms_with_calculator()

        import numpy as np
        from ase import units

        from ase_equivar.dynamics.experiments.hysteresis_loop import hysteresis as run
        from ase_equivar.plotting import plot_hysteresis
        from ase_equivar.units import MV_PER_CM, PICOSECOND

        loop = run(
            atoms,
            np.array(amplitude) * MV_PER_CM,
            period * PICOSECOND,
            periods=periods,
            md_settings=md_settings,
            folder=options.folder,
        )
        coercive = loop.coercive_field / MV_PER_CM
        numbers = {
            "remanent_polarization_uC_per_cm2": loop.remanent_polarization,
            "coercive_field_MV_per_cm": coercive if np.isfinite(coercive) else None,
            "loss_J_per_cm3": loop.loss / (units.J / 1e24),
            "field_MV_per_cm": (loop.field / MV_PER_CM).tolist(),
            "polarization_uC_per_cm2": loop.polarization.tolist(),
        }
        console = open_console()
        console.print(
            f"remanent polarization {numbers['remanent_polarization_uC_per_cm2']:.4g} µC/cm²\n"
            f"coercive field        {coercive:.4g} MV/cm\n"
            f"loss per period       {numbers['loss_J_per_cm3']:.4g} J/cm³"
        )
        formula = empirical_formula(atoms)
        title = f"{formula}, {options.temperature:g} K, one period in {period:g} ps"
        options.write(console, numbers, plot_hysteresis(loop, title=title))
