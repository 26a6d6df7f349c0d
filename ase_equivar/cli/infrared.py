"""The command ``ase-equivar infrared``."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.crystal_options import CrystalOptions, check_spectrum_outputs, crystal_command
from ase_equivar.cli.phonon_input import charges_of, nac_method, phonon_input
from ase_equivar.cli.tables import number, open_console, tensor_table
from ase_equivar.cli.written_files import numbers_first, save_figure, written_files
from ase_equivar.units import THZ_TO_CM, FrequencyUnit

if TYPE_CHECKING:
    from ase_equivar.dielectric.infrared import InfraredModes

DEFAULT_DAMPING = 10.0 / THZ_TO_CM  # THz


@crystal_command()
def infrared(
    crystal: CrystalOptions,
    damping: Annotated[
        list[float] | None,
        typer.Option(
            help="Full width of all modes, in --unit; or repeated, of each mode that is listed, in "
            "that order. By default, that of 10 cm⁻¹."
        ),
    ] = None,
    unit: Annotated[
        FrequencyUnit, typer.Option(help="Of table, picture and CSV.", case_sensitive=False)
    ] = FrequencyUnit.CM,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="May be repeated: .csv (spectrum), .json (everything) or a picture.",
        ),
    ] = None,
    modes_table: Annotated[
        Path | None, typer.Option("--modes", help="All modes at Γ as .csv.")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="none: modes and intensities without the non-analytical correction and without "
            "ε(ω), for sheets and for molecules in a box. gonze and wang agree at Γ."
        ),
    ] = "gonze",
) -> None:
    """Infrared modes, static dielectric tensor, ε(ω), loss and reflectivity.

    Forces come from a universal potential, Z* and ε∞ from the model. A phonopy.yaml brings its own
    force constants, and its own Z* and ε∞ if it has any.
    """
    with inputs.user_errors(), ExitStack() as stack:
        outputs = check_spectrum_outputs(output, modes_table)
        for width in damping or []:
            if not 0 < width < math.inf:
                raise ValueError(f"--damping must be positive, got {width}")
        nac = nac_method(method)
        if nac is None and (wrong := [path for path in outputs if path.suffix != ".json"]):
            raise ValueError(
                f"--method none gives no ε(ω) for {wrong[0].name!r}: give --output a .json, or "
                "--modes a .csv"
            )
        if nac is None and damping:
            raise ValueError("--damping is of ε(ω), which --method none leaves out")
        made = phonon_input(crystal, nac)

        from ase_equivar import dielectric as di
        from ase_equivar import io as files

        console = open_console()
        write = stack.enter_context(written_files(console))
        console.print(escape(made.origin))
        charges = None if nac is not None else charges_of(made, crystal)
        modes = di.infrared_modes(made.phonon, charges)
        console.print(_modes_table(modes, unit))
        if modes_table is not None:
            write(modes_table, lambda path: files.write_modes_csv(path, modes))
        if modes.electronic is None:
            console.print("no ε∞, ε0 and ε(ω): they would depend on the vacuum of the cell")
        unstable = not all(mode.frequency > 0 for mode in modes.active)
        miscounted = _miscounted(modes, damping)
        for path in outputs:
            if path.suffix == ".json" and (modes.electronic is None or unstable or miscounted):
                write(
                    path,
                    lambda path: files.write_infrared_json(
                        path, modes, calculation=made.calculation
                    ),
                    note="written, modes alone",
                )
        if modes.electronic is None:
            return
        if miscounted:
            raise ValueError(miscounted)
        tensors = di.static_dielectric(modes)
        for name, tensor in (
            ("ε∞", tensors.electronic),
            ("ionic part", tensors.ionic),
            ("static ε0", tensors.static),
        ):
            console.print(tensor_table(name, tensor))
        console.print(_ionic_range(modes))
        checks = di.lyddane_sachs_teller(made.phonon, tensors)
        worst = max(abs(check.error) for check in checks)
        console.print(f"Lyddane–Sachs–Teller relation holds within {worst:.1e}")

        console.print(f"sum rule of the oscillators holds within {modes.oscillator_error:.1e}")

        widths = _widths(modes, damping, unit)
        spectrum = di.dielectric_function(modes, widths)

        def write_one(path: Path) -> None:
            if path.suffix == ".csv":
                files.write_spectrum_csv(path, spectrum, unit)
            elif path.suffix == ".json":
                files.write_infrared_json(
                    path,
                    modes,
                    tensors,
                    spectrum,
                    checks,
                    damping=widths,
                    calculation=made.calculation,
                )
            else:
                from ase_equivar.plotting import plot_infrared

                save_figure(path, plot_infrared(modes, spectrum, unit, title=made.title))

        for path in numbers_first(outputs):
            write(path, write_one)


def _ionic_range(modes: InfraredModes) -> str:
    """Return how well the ionic part is known, and which mode that depends on most."""
    from ase_equivar.dielectric import ionic_dielectric_range

    lowest, highest = ionic_dielectric_range(modes)
    softest = min(modes.active, key=lambda mode: mode.frequency, default=None)
    if softest is None:
        return "ionic part: 0, as no mode is polar"
    if math.isinf(highest):
        return (
            f"ionic part, a third of its trace: at least {lowest:.3g}; there is no upper limit, "
            f"because with the accuracy of universal potentials the polar mode at "
            f"{softest.frequency_cm:.0f} cm⁻¹ may be imaginary"
        )
    return (
        f"ionic part, a third of its trace: {lowest:.3g} to {highest:.3g}, where with forces of "
        "SevenNet-l3i5 five DFPT values out of six lie"
    )


def _miscounted(modes: InfraredModes, damping: list[float] | None) -> str:
    """Return what is wrong with the number of dampings, which nobody knows before the modes."""
    n_active = len(modes.active)
    if damping is None or len(damping) in (1, n_active):
        return ""
    return (
        f"--damping is given {len(damping)} times: give it once, or once for each of the "
        f"{n_active} modes listed"
    )


def _widths(modes: InfraredModes, damping: list[float] | None, unit: FrequencyUnit) -> list[float]:
    """Return the damping of each of all modes, THz; those that light does not excite need none."""
    given = damping or [DEFAULT_DAMPING * unit.per_thz]
    n_active = len(modes.active)
    of_active = iter(given if len(given) == n_active else given * n_active)
    return [(next(of_active) if mode.is_active else given[0]) / unit.per_thz for mode in modes]


def _modes_table(modes: InfraredModes, unit: FrequencyUnit) -> Table:
    silent = sum(mode.degeneracy for mode in modes if not mode.is_active)
    table = Table(
        title="Infrared-active modes, transverse",
        caption=f"not listed: {silent} {'mode' if silent == 1 else 'modes'} that light does not "
        "excite",
        box=None,
        padding=(0, 1),
    )
    table.add_column("")
    strengths = () if modes.electronic is None else ("S xx", "S yy", "S zz")
    for name in (unit.label, "degeneracy", "charge (e)", "(D/Å)²/u", *strengths):
        table.add_column(name, justify="right")
    for mode in modes.active:
        table.add_row(
            mode.label,
            f"{mode.frequency * unit.per_thz:.2f}",
            str(mode.degeneracy),
            number(mode.charge),
            number(mode.intensity),
            *(
                number(value) if mode.frequency > 0 else "–"
                for value in mode.strength.diagonal()[: len(strengths)]
            ),
        )
    return table
