"""The command ``ase-equivar phonons``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.commands import inputs
from ase_equivar.commands.corrected_phonon import (
    CrystalFile,
    Forces,
    Relax,
    Supercell,
    corrected_phonon,
)
from ase_equivar.commands.tables import open_console

if TYPE_CHECKING:
    from ase_equivar.phonons import LoToSplitting


def phonons(
    structure: CrystalFile,
    supercell: Supercell = None,
    calculator: Forces = "sevennet-0",
    relax: Relax = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture of the bands, any matplotlib format.")
    ] = Path("phonons.png"),
    model: inputs.Model = "universal",
    device: inputs.Device = None,
) -> None:
    """Phonons with and without the non-analytical correction: bands, TO and LO at Γ.

    Forces come from a universal potential, Z* and ε∞ from the model. A phonopy.yaml brings its own
    force constants, and its own Z* and ε∞ if it has any.
    """
    with inputs.user_errors():
        inputs.check_picture(output)
        made = corrected_phonon(structure, supercell, calculator, relax, model, device)

        from ase_equivar.phonons import bands, lo_to_splitting
        from ase_equivar.plotting import plot_bands

        splitting = lo_to_splitting(made.phonon)
        plot_bands(bands(made.phonon), title=made.title).savefig(output)
        console = open_console()
        console.print(escape(made.origin))
        console.print(_lo_to_table(splitting))
        console.print(f"written: {escape(str(output))}")


def _lo_to_table(splitting: LoToSplitting) -> Table:
    table = Table(title="Polar modes at Γ", box=None, padding=(0, 1))
    table.add_column("q → 0 along (Cartesian)")
    for name in ("TO (cm⁻¹)", "LO (cm⁻¹)", "LO − TO (cm⁻¹)", "TO (THz)", "LO (THz)"):
        table.add_column(name, justify="right")
    for modes in splitting:
        direction = " ".join(f"{x:g}" for x in modes.direction.round(3))
        if not modes.pairs:
            table.add_row(direction, "none")
        for pair in modes.pairs:
            table.add_row(
                direction,
                f"{pair.to_cm:.1f}",
                f"{pair.lo_cm:.1f}",
                f"{pair.gap_cm:.1f}",
                f"{pair.to:.3f}",
                f"{pair.lo:.3f}",
            )
    return table
