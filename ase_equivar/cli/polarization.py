"""The command ``ase-equivar polarization``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.tables import number, open_console


def polarization(
    start: Annotated[Path, typer.Argument(help="Nonpolar structure; any file that ASE reads.")],
    end: Annotated[
        Path, typer.Argument(help="The same atoms, displaced; elements in the same order.")
    ],
    points: Annotated[
        int, typer.Option(help="Structures on the way at which Z* are predicted: odd, 5 or more.")
    ] = 9,
    model: inputs.Model = "universal",
    device: inputs.Device = None,
    index: inputs.Index = None,
    format: inputs.Format = None,
) -> None:
    """Polarization of a structure relative to another one, from Z* along the way between them.

    The spontaneous polarization of a ferroelectric, say, from its high-symmetry structure. It is
    the change on that way; other branches differ by the quanta that are printed with it. Where the
    cells differ, one of the two must be nonpolar; it may be the second one.
    """
    with inputs.user_errors():
        first, last = (inputs.read_structure(path, index, format) for path in (start, end))
        calc = inputs.equivar_calculator(model=model, device=device)

        from ase_equivar.dielectric import polarization_change

        found = polarization_change(first, last, calc, n_points=points)
        table = Table(title="Change of polarization (µC/cm²)", box=None, padding=(0, 1))
        for name in ("", "x", "y", "z"):
            table.add_column(name, justify="right")
        table.add_row("change", *map(number, found.change))
        for name, quantum in zip("abc", found.quanta, strict=True):
            table.add_row(f"quantum along {name}", *map(number, quantum))
        console = open_console()
        console.print(table)
        console.print(f"uncertainty of the integral: {found.quadrature_error:.2g} µC/cm²")
