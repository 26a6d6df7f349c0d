"""The command ``ase-equivar lammps``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_equivar.cli import inputs
from ase_equivar.cli.field_options import UpdateInterval, Vector, check_strength
from ase_equivar.cli.tables import open_console
from ase_equivar.io.input_files import check_file

if TYPE_CHECKING:
    from ase_equivar.engines.lammps_field import FieldFix


def lammps(
    input_file: Annotated[
        Path, typer.Argument(metavar="IN.FILE", help="LAMMPS input file, in units metal or real.")
    ],
    elements: Annotated[
        str, typer.Option(help="Chemical symbol of each atom type of LAMMPS, in order: Ba,O,Ti.")
    ],
    field: Annotated[Vector | None, typer.Option(help="x y z in MV/cm.")] = None,
    frequency: Annotated[
        float, typer.Option(help="Frequency of a sine field, THz; 0 means a constant field.")
    ] = 0.0,
    waveform: Annotated[
        Path | None,
        typer.Option(help="Instead of --field: JSON file with a waveform, as written by to_json."),
    ] = None,
    displacement: Annotated[
        Vector | None,
        typer.Option(
            help="Instead of --field: hold D constant, x y z in µC/cm²; needs --dielectric-tensor."
        ),
    ] = None,
    polarization: Annotated[
        Vector, typer.Option(help="With --displacement: initial polarization, µC/cm².")
    ] = (0.0, 0.0, 0.0),
    dielectric_tensor: Annotated[
        str | None, typer.Option(help="ε∞: a number, or three or nine numbers in quotes.")
    ] = None,
    group: Annotated[
        str, typer.Option(help="LAMMPS group of the atoms on which the field acts.")
    ] = "all",
    log: Annotated[
        Path | None,
        typer.Option(help="Log of the field; an existing one is continued after a restart."),
    ] = None,
    log_interval: Annotated[
        int, typer.Option(help="Number of steps between lines of the log.")
    ] = 1,
    total_charge: Annotated[
        float, typer.Option(help="Total charge of all atoms, |e|, to which Z* sum.")
    ] = 0.0,
    update_interval: UpdateInterval = 1,
    stress_without_field: Annotated[
        bool,
        typer.Option(
            "--stress-without-field", help="Allow barostats to use the pressure without the field."
        ),
    ] = False,
    model: inputs.Model = "universal",
    device: inputs.Device = None,
) -> None:
    """Run a LAMMPS input with an electric field, starting with its first run.

    Fixes that hold atoms (setforce and so on) are defined again after the field.

    On several processes: mpiexec -n 4 ase-equivar lammps in.batio3 --elements Ba,O,Ti --field 0 0 2
    """
    from ase_equivar.engines.lammps_input import (
        all_processes_end_together,
        is_first_process,
        run_input,
    )

    with inputs.user_errors(), all_processes_end_together():
        given = _field(field, frequency, waveform, displacement, polarization, dielectric_tensor)
        symbols = [symbol.strip() for symbol in elements.split(",")]

        def add_field(lmp: Any) -> FieldFix:
            from ase_equivar.calculator import EquivarCalculator
            from ase_equivar.engines.lammps import field_fix

            calculator = EquivarCalculator(model=model, device=device, total_charge=total_charge)
            return field_fix(
                lmp,
                given,
                symbols,
                calculator=calculator,
                group=group,
                update_interval=update_interval,
                stress_without_field=stress_without_field,
                log=log,
                log_interval=log_interval,
            )

        fix = run_input(input_file, add_field)
        if is_first_process():
            change = " ".join(f"{one:.4g}" for one in fix.polarization_change)
            open_console().print(
                f"work of the field {fix.work:.6g} eV, change of polarization {change} µC/cm²"
            )


def _field(
    field: Vector | None,
    frequency: float,
    waveform: Path | None,
    displacement: Vector | None,
    polarization: Vector,
    dielectric_tensor: str | None,
) -> Any:
    """Return the field specified by the options."""
    import numpy as np

    from ase_equivar.fields import (
        ConstantDisplacement,
        ConstantField,
        SineField,
        waveform_from_json,
    )
    from ase_equivar.units import MV_PER_CM

    if sum(one is not None for one in (field, waveform, displacement)) != 1:
        raise ValueError("give one of --field, --waveform and --displacement")
    if frequency and field is None:
        raise ValueError("--frequency goes with --field")
    if displacement is not None:
        epsilon = inputs.given_epsilon(dielectric_tensor, None)
        if epsilon is None or isinstance(epsilon, str):
            raise ValueError("--displacement needs --dielectric-tensor, ε∞, in numbers")
        return ConstantDisplacement(displacement, polarization, epsilon)
    if dielectric_tensor is not None or any(polarization):
        raise ValueError("--dielectric-tensor and --polarization go with --displacement")
    if waveform is not None:
        return waveform_from_json(check_file(waveform).read_text(encoding="utf-8"))
    assert field is not None
    check_strength("--field", field)
    amplitude = np.array(field) * MV_PER_CM
    return SineField(amplitude, frequency=frequency) if frequency else ConstantField(amplitude)
