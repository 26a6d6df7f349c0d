"""The command ``ase-equivar ipi``."""

from __future__ import annotations

from typing import Annotated

import typer

from ase_equivar.cli import inputs
from ase_equivar.cli.field_options import Repeat, Structure, atoms_with_calculator
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL
from ase_equivar.cli.tables import open_console


def ipi(
    structure: Structure,
    unix: Annotated[
        str | None, typer.Option(help="Name of a UNIX socket: <address> in i-PI's input.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where i-PI runs.")] = "localhost",
    port: Annotated[
        int, typer.Option(help="Port on which i-PI listens: <port> of its input.")
    ] = 31415,
    stress: Annotated[
        bool | None,
        typer.Option(
            "--stress/--no-stress",
            help="Send the virial [default: where the calculator gives it, in crystals].",
            show_default=False,
        ),
    ] = None,
    repeat: Repeat = (1, 1, 1),
    calculator: inputs.Forces = DEFAULT_POTENTIAL,
    model: inputs.Model = "universal",
    device: inputs.Device = None,
    index: inputs.Index = None,
    format: inputs.Format = None,
) -> None:
    """Serve forces and Z* to i-PI, for its driven dynamics and path integrals.

    The structure must have the atoms of i-PI's input in the same order. Several clients share the
    replicas. In i-PI's input: <bec mode="driver"/> within <driven_dynamics>.
    """
    with inputs.user_errors():
        unit_cell = inputs.read_structure(structure, index, format)
        atoms = atoms_with_calculator(unit_cell, repeat, calculator, model, device)

        from ase_equivar.engines.ipi import run_ipi_client

        served = run_ipi_client(atoms, unixsocket=unix, host=host, port=port, with_stress=stress)
        open_console().print(f"i-PI has ended; structures calculated: {served}")
