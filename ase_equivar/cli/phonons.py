"""The command ``ase-equivar phonons``."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.crystal_options import CrystalOptions, crystal_command
from ase_equivar.cli.own_inputs import check_outputs
from ase_equivar.cli.phonon_input import nac_method, phonon_input
from ase_equivar.cli.tables import open_console
from ase_equivar.cli.written_files import numbers_first, save_figure, written_files
from ase_equivar.io.output_files import check_output, replacing
from ase_equivar.units import THZ_TO_CM

CELLS = (".cif", ".vasp", ".extxyz")

if TYPE_CHECKING:
    from phonopy import Phonopy

    from ase_equivar.phonons import LoToSplitting


@crystal_command()
def phonons(
    crystal: CrystalOptions,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="May be repeated: a picture or .csv of the bands, .json (everything), .yaml (for "
            "phonopy, with force constants, Z* and ε∞), .cif, .vasp or .extxyz (the unit cell, "
            "relaxed if --relax says so). By default phonons.png.",
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Of the bands, as GXWKGL; by default, that of the lattice.")
    ] = None,
    density: Annotated[
        Path | None, typer.Option(help="Density of states: a picture or .csv.")
    ] = None,
    angular: Annotated[
        Path | None,
        typer.Option(help="Picture of the modes at Γ while q turns from the z axis to x."),
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(help="Of q → 0, Cartesian, as '1 1 0'; may be repeated. By default x, y, z."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="Correction away from Γ: gonze (Gonze and Lee) or wang; or none, without any "
            "correction, for sheets and for molecules in a box."
        ),
    ] = "gonze",
) -> None:
    """Phonons with and without the non-analytical correction: bands, TO and LO at Γ.

    Forces come from a universal potential, Z* and ε∞ from the model. A phonopy.yaml brings its own
    force constants, and its own Z* and ε∞ if it has any.
    """
    with inputs.user_errors():
        outputs = output or [Path("phonons.png")]
        # once more, with the default
        check_outputs({"output": outputs, "density": density, "angular": angular})
        for path_ in outputs:
            check_output(path_, ".csv", ".json", ".yaml", *CELLS)
        if density is not None:
            check_output(density, ".csv")
        if angular is not None:
            if method == "none":
                raise ValueError("--angular shows the correction, which --method none leaves out")
            check_output(angular)
        if direction and method == "none":
            raise ValueError("--direction is of the correction, which --method none leaves out")
        directions = [_direction(text) for text in direction or ("1 0 0", "0 1 0", "0 0 1")]
        made = phonon_input(crystal, nac_method(method), band_path=path)

        from ase_equivar import phonons as ph
        from ase_equivar import plotting
        from ase_equivar.io import phonon_files as files

        splitting = None
        if made.phonon.nac_params is not None:
            splitting = ph.lo_to_splitting(made.phonon, directions)
            _warn_if_static(made.phonon)
        segments = ph.bands(made.phonon, path)
        states = None
        if density is not None or any(name.suffix == ".json" for name in outputs):
            states = ph.density_of_states(made.phonon)
        console = open_console()
        console.print(escape(made.origin))
        if splitting is None:
            frequencies = made.phonon.run_qpoints([[0.0, 0.0, 0.0]]).frequencies[0] * THZ_TO_CM
            console.print("modes at Γ (cm⁻¹): " + " ".join(f"{one:.1f}" for one in frequencies))
        else:
            console.print(_lo_to_table(splitting))

        def write_one(name: Path) -> None:
            if name.suffix == ".csv":
                files.write_bands_csv(name, segments)
            elif name.suffix == ".yaml":
                files.write_phonopy_yaml(name, made.phonon)
            elif name.suffix == ".json":
                files.write_phonons_json(
                    name,
                    made.phonon,
                    calculation=made.calculation,
                    splitting=splitting,
                    segments=segments,
                    density=states,
                )
            elif name.suffix in CELLS:
                _write_cell(name, made.phonon)
            else:
                save_figure(name, plotting.plot_bands(segments, title=made.title))

        def write_density(path: Path) -> None:
            assert states is not None
            if path.suffix == ".csv":
                files.write_density_csv(path, states)
            else:
                save_figure(path, plotting.plot_density_of_states(states, title=made.title))

        def write_angular(path: Path) -> None:
            dispersion = ph.angular_dispersion(made.phonon)
            save_figure(path, plotting.plot_angular_dispersion(dispersion, title=made.title))

        with written_files(console) as write:
            for name in numbers_first(outputs):
                write(name, write_one)
            if density is not None and states is not None:
                write(density, write_density)
            if angular is not None:
                write(angular, write_angular)


def _write_cell(path: Path, phonon: Phonopy) -> None:
    """Write the unit cell, in the order of atoms of the structure given."""
    from ase_equivar.phonons.cells import to_ase

    with replacing(path) as partial:
        to_ase(phonon.unitcell).write(partial)


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
    if not math.isfinite(x + y + z) or x == y == z == 0:
        raise ValueError(f"--direction {text!r} is none: give three finite numbers, not all zero")
    return x, y, z


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
