"""The command line ``ase-equivar``: which commands there are."""

from __future__ import annotations

import io
import logging
import sys
from typing import Annotated

import typer

from ase_equivar import __version__
from ase_equivar.cli.born import born
from ase_equivar.cli.drift import drift
from ase_equivar.cli.evaluation import calibrate, evaluate, plot
from ase_equivar.cli.finite_field import finite_field
from ase_equivar.cli.hysteresis import hysteresis
from ase_equivar.cli.infrared import infrared
from ase_equivar.cli.inputs import log_to_stderr, user_errors
from ase_equivar.cli.ipi import ipi
from ase_equivar.cli.label import label
from ase_equivar.cli.lammps import lammps
from ase_equivar.cli.own_inputs import spares_its_inputs
from ase_equivar.cli.phonons import phonons
from ase_equivar.cli.piezo import piezo
from ase_equivar.cli.polarization import polarization
from ase_equivar.cli.pulse import pulse
from ase_equivar.cli.raman import raman
from ase_equivar.cli.screen import screen
from ase_equivar.cli.select import select
from ase_equivar.cli.spectrum import spectrum
from ase_equivar.cli.training import combine, finetune, train

__all__ = ["app", "user_errors"]

app = typer.Typer(
    help="Born effective charges, and what follows from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    born,
    phonons,
    infrared,
    raman,
    piezo,
    spectrum,
    polarization,
    screen,
    hysteresis,
    drift,
    pulse,
    finite_field,
    ipi,
    lammps,
    select,
    label,
    train,
    finetune,
    evaluate,
    combine,
    calibrate,
    plot,
):
    app.command()(spares_its_inputs(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ase-equivar {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Log more; tracebacks too.")] = False,
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # ε and Å do not exist in every encoding
            stream.reconfigure(errors="replace")
    if debug:
        context.with_resource(log_to_stderr(logging.DEBUG))
