"""The command ``ase-equivar hysteresis``."""

from __future__ import annotations

from typing import Annotated

import typer

from ase_equivar.cli import field_options as options
from ase_equivar.cli import inputs
from ase_equivar.cli.tables import open_console
from ase_equivar.structures.formula import empirical_formula


def hysteresis(
    structure: options.Structure,
    amplitude: Annotated[
        tuple[float, float, float], typer.Option(help="The largest field, x y z in MV/cm.")
    ] = (0.0, 0.0, 20.0),
    period: Annotated[float, typer.Option(help="Of the triangular wave, in ps.")] = 20.0,
    periods: Annotated[int, typer.Option(help="How many to record, after a first one.")] = 2,
    repeat: options.Repeat = (1, 1, 1),
    temperature: options.Temperature = 300.0,
    timestep: options.Timestep = 1.0,
    friction: options.Friction = 10.0,
    seed: options.Seed = 0,
    update_interval: options.UpdateInterval = 1,
    folder: options.Folder = None,
    output: options.Output = None,
    calculator: options.Forces = "sevennet-0",
    model: inputs.Model = "universal",
    device: inputs.Device = None,
    index: inputs.Index = None,
    format: inputs.Format = None,
) -> None:
    """Ferroelectric hysteresis loop P(E), remanent polarization and coercive field.

    Molecular dynamics at fixed cell in a triangular wave. So small a crystal switches as a whole,
    in picoseconds: its coercive field is far above that of domain walls in a sample.
    """
    with inputs.user_errors():
        options.check_not_zero("--amplitude", amplitude)
        outputs = options.check_outputs(output)
        md_settings = options.md_settings(temperature, timestep, friction, seed, update_interval)
        atoms = options.charged_atoms(
            structure, repeat, calculator, model, device, index=index, format=format
        )

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
            folder=folder,
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
        title = f"{formula}, {temperature:g} K, one period in {period:g} ps"
        options.write_outputs(outputs, console, numbers, plot_hysteresis(loop, title=title))
