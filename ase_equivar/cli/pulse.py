"""The command ``ase-equivar pulse``."""

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

CENTER = 3.5  # center in standard deviations of the envelope: 0.2 % of the maximum at the start


@field_command(temperature=0.0, friction=0.0)
def pulse(
    options: FieldRunOptions,
    amplitude: Annotated[Vector, typer.Option(help="Amplitude of the pulse, x y z in MV/cm.")] = (
        0.0,
        0.0,
        1.0,
    ),
    frequency: Annotated[
        float, typer.Option(help="Frequency of the carrier, THz; 0 means a half-cycle pulse.")
    ] = 1.0,
    width: Annotated[
        float, typer.Option(help="Standard deviation of the envelope of the field, fs.")
    ] = 200.0,
    duration: Annotated[float, typer.Option(help="Of the run, in ps.")] = 10.0,
) -> None:
    """Response to a terahertz pulse: absorbed energy, polarization over time, susceptibility.

    By default the atoms start at rest, without a thermostat. With friction the modes are damped,
    and a weak pulse gives the susceptibility of the ions at the frequencies it contains.
    """
    with inputs.user_errors():
        check_strength("--amplitude", amplitude)
        check_time("--duration", duration)
        options.check_outputs()
        md_settings = options.md_settings()
        if not width > 0:
            raise ValueError(f"--width must be positive, got {width}")
        atoms = options.atoms_with_calculator()

        import numpy as np

        from ase_equivar.dynamics.experiments.pulse import pulse_response
        from ase_equivar.fields import GaussianPulse
        from ase_equivar.plotting import plot_pulse_response
        from ase_equivar.units import MV_PER_CM, PICOSECOND

        shape = GaussianPulse(
            np.array(amplitude) * MV_PER_CM,
            center=CENTER * width,
            width=width,
            frequency=frequency,
        )
        found = pulse_response(
            atoms, shape, duration * PICOSECOND, md_settings=md_settings, folder=options.folder
        )
        console = open_console()
        console.print(
            f"absorbed energy {found.absorbed:.4g} eV, {1000 * found.absorbed / len(atoms):.4g} "
            f"meV per atom\npolarization remaining at the end: {found.remaining:.1%} of the largest"
        )
        numbers = {
            "absorbed_eV": found.absorbed,
            "remaining": found.remaining,
            "frequencies_THz": found.frequencies.tolist(),
            "susceptibility_real": found.susceptibility.real.tolist(),
            "susceptibility_imaginary": found.susceptibility.imag.tolist(),
        }
        formula = empirical_formula(atoms)
        title = f"{formula}, pulse of {frequency:g} THz"
        options.write(console, numbers, plot_pulse_response(found, title=title))
