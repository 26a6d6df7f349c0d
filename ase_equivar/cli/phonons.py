"""The command ``ase-equivar phonons``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.corrected_phonon import (
    Born,
    CrystalFile,
    Forces,
    Relax,
    Supercell,
    corrected_phonon,
)
from ase_equivar.cli.tables import open_console
from ase_equivar.io.output_files import check_output, replacing
from ase_equivar.structures.symmetry import SYMPREC

if TYPE_CHECKING:
    from phonopy import Phonopy

    from ase_equivar.phonons import LoToSplitting, NacMethod


def phonons(
    structure: CrystalFile,
    supercell: Supercell = None,
    calculator: Forces = "sevennet-0",
    relax: Relax = False,
    born: Born = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture of the bands, any matplotlib format.")
    ] = Path("phonons.png"),
    path: Annotated[
        str | None, typer.Option(help="Of the bands, as GXWKGL; by default, that of the lattice.")
    ] = None,
    density: Annotated[Path | None, typer.Option(help="Picture of the density of states.")] = None,
    angular: Annotated[
        Path | None,
        typer.Option(help="Picture of the modes at Γ while q turns from the z axis to x."),
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(help="Of q → 0, Cartesian, as '1 1 0'; may be repeated. By default x, y, z."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Correction away from Γ: gonze (Gonze and Lee) or wang.")
    ] = "gonze",
    model: inputs.Model = "universal",
    symprec: inputs.Symprec = SYMPREC,
    device: inputs.Device = None,
    index: inputs.Index = None,
    format: inputs.Format = None,
) -> None:
    """Phonons with and without the non-analytical correction: bands, TO and LO at Γ.

    Forces come from a universal potential, Z* and ε∞ from the model. A phonopy.yaml brings its own
    force constants, and its own Z* and ε∞ if it has any.
    """
    with inputs.user_errors():
        for picture in (output, density, angular):
            if picture is not None:
                check_output(picture)
        directions = [_direction(text) for text in direction or ("1 0 0", "0 1 0", "0 0 1")]
        made = corrected_phonon(
            structure,
            supercell,
            calculator,
            relax,
            model,
            device,
            _method(method),
            born,
            symprec,
            index,
            format,
        )

        from ase_equivar import phonons as ph
        from ase_equivar import plotting

        splitting = ph.lo_to_splitting(made.phonon, directions)
        _warn_if_static(made.phonon)
        pictures = {output: plotting.plot_bands(ph.bands(made.phonon, path), title=made.title)}
        if density is not None:
            states = ph.density_of_states(made.phonon)
            pictures[density] = plotting.plot_density_of_states(states, title=made.title)
        if angular is not None:
            dispersion = ph.angular_dispersion(made.phonon)
            pictures[angular] = plotting.plot_angular_dispersion(dispersion, title=made.title)
        console = open_console()
        console.print(escape(made.origin))
        console.print(_lo_to_table(splitting))
        for name, figure in pictures.items():
            with replacing(name) as partial:
                figure.savefig(partial)
            console.print(f"written: {escape(str(name))}")


def _warn_if_static(phonon: Phonopy) -> None:
    """Warn when what was given as ε∞ looks like a static dielectric tensor."""
    from ase_equivar.dielectric import infrared_modes, static_dielectric

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about instabilities, which have been warned about
        modes = infrared_modes(phonon)
    if all(mode.frequency > 0 for mode in modes.active):
        static_dielectric(modes)


def _direction(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(word) for word in text.split())
    except ValueError:
        raise ValueError(f"--direction takes three numbers, as '1 1 0', not {text!r}") from None
    return x, y, z


def _method(name: str) -> NacMethod:
    if name == "gonze":
        return "gonze"
    if name == "wang":
        return "wang"
    raise ValueError(f"unknown --method {name!r}; there are gonze and wang")


def _lo_to_table(splitting: LoToSplitting) -> Table:
    table = Table(title="Polar modes at Γ", box=None, padding=(0, 1))
    table.add_column("q → 0 along (Cartesian)")
    for name in ("TO (cm⁻¹)", "LO (cm⁻¹)", "LO − TO (cm⁻¹)", "TO (THz)", "LO (THz)"):
        table.add_column(name, justify="right")
    table.add_column("irrep of TO")
    for modes in splitting:
        direction = " ".join(f"{x:g}" for x in modes.direction.round(3))
        if not modes.pairs:
            table.add_row(direction, "none")
        for pair in modes.pairs:
            table.add_row(
                direction,
                f"{pair.to_cm:.1f}",
                f"{pair.lo_cm:.1f}",
                "–" if pair.splitting_cm is None else f"{pair.splitting_cm:.1f}",
                f"{pair.to:.3f}",
                f"{pair.lo:.3f}",
                pair.label,
            )
    return table
