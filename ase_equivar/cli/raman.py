"""The command ``ase-equivar raman``."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.crystal_options import CrystalOptions, check_spectrum_outputs, crystal_command
from ase_equivar.cli.phonon_input import phonon_input
from ase_equivar.cli.tables import open_console
from ase_equivar.cli.written_files import numbers_first, save_figure, written_files
from ase_equivar.units import THZ_TO_CM, FrequencyUnit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ase_equivar.dielectric import RamanModes, RamanSpectrum

DEFAULT_DAMPING = 10.0 / THZ_TO_CM  # THz
SHOWN = 1e-6  # of the largest intensity: what a table of a polarized spectrum leaves out


class Light(TypedDict):
    """What two functions take in the same way."""

    wavelength: float
    temperature: float


@crystal_command()
def raman(
    crystal: CrystalOptions,
    geometry: Annotated[
        list[str] | None,
        typer.Option(
            help="Polarized spectrum in Porto's notation, as 'z(xx)-z', beside that of a powder; "
            "may be repeated. Its q decides which modes are longitudinal."
        ),
    ] = None,
    wavelength: Annotated[float, typer.Option(help="Of the laser, nm.")] = 532.0,
    temperature: Annotated[float, typer.Option(help="K.")] = 300.0,
    step: Annotated[
        float, typer.Option(help="Displacement for the derivative of ε∞, Å; twice of it too.")
    ] = 0.01,
    damping: Annotated[
        float | None,
        typer.Option(help="Full width of all modes, in --unit. By default, that of 10 cm⁻¹."),
    ] = None,
    unit: Annotated[
        FrequencyUnit, typer.Option(help="Of table, picture and CSV.", case_sensitive=False)
    ] = FrequencyUnit.CM,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="May be repeated: .csv (spectra), .json (everything) or a picture, which shows "
            "the infrared absorption too.",
        ),
    ] = None,
    modes_table: Annotated[
        Path | None, typer.Option("--modes", help="All modes and Raman tensors as .csv.")
    ] = None,
) -> None:
    """Raman tensors, activities and spectra, of a powder and in polarized geometries.

    Forces come from a universal potential, Z* and ε∞ from the model; Raman tensors are derivatives
    of its ε∞, also where another ε∞ is given, which only longitudinal modes and the infrared
    absorption depend on. A phonopy.yaml brings its own force constants, and its own Z* and ε∞ if it
    has any.
    """
    with inputs.user_errors(), ExitStack() as stack:
        outputs = check_spectrum_outputs(output, modes_table)
        if damping is not None and not 0 < damping < math.inf:
            raise ValueError(f"--damping must be positive, got {damping}")

        from ase_equivar import dielectric as di
        from ase_equivar import io as files
        from ase_equivar.dielectric.raman_derivative import check_step, require_dielectric
        from ase_equivar.dielectric.raman_intensity import check_light, shift_grid

        check_light(wavelength, temperature)
        check_step(step)
        geometries = [di.ScatteringGeometry.porto(text) for text in geometry or []]
        model = crystal.model
        tensors = inputs.equivar_calculator(model=model, device=crystal.device)
        require_dielectric(tensors)
        made = phonon_input(crystal)
        console = open_console()
        write = stack.enter_context(written_files(console))
        console.print(escape(made.origin))
        modes = di.raman_modes(made.phonon, tensors, step=step)
        derivative = modes.derivative
        console.print(
            f"Raman tensors: ε∞ of {model}, {derivative.n_calculations} structures, displaced by "
            f"{step:g} and {2 * step:g} Å"
        )
        light: Light = {"wavelength": wavelength, "temperature": temperature}
        stable = all(mode.frequency > 0 for mode in modes.active)
        powder = di.raman_intensities(modes, **light) if stable else None
        calculation = {**made.calculation, "raman_tensors": model}
        console.print(_modes_table(modes, powder, unit))
        console.print(escape(_own_doubt(modes, model)))
        if modes_table is not None:
            write(modes_table, lambda path: files.write_raman_modes_csv(path, modes))
        for path in outputs:
            if not stable and path.suffix == ".json":
                write(
                    path,
                    lambda path: files.write_raman_json(path, modes, calculation=calculation),
                    note="written, modes alone",
                )
        modes.require_stable()

        width = DEFAULT_DAMPING if damping is None else damping / unit.per_thz
        along = [
            di.raman_modes(made.phonon, derivative, direction=one.direction) for one in geometries
        ]
        grid = shift_grid([modes, *along], width, width)
        spectra = [di.raman_spectrum(modes, width, frequencies=grid, **light)]
        for one, found in zip(geometries, along, strict=True):
            spectra.append(di.raman_spectrum(found, width, one, frequencies=grid, **light))
            console.print(_polarized_table(spectra[-1], unit))

        def write_one(path: Path) -> None:
            if path.suffix == ".csv":
                files.write_raman_spectrum_csv(path, spectra, unit)
            elif path.suffix == ".json":
                files.write_raman_json(path, modes, spectra, calculation=calculation)
            else:
                from ase_equivar.plotting import plot_raman

                infrared = di.dielectric_function(di.infrared_modes(made.phonon), width, grid)
                save_figure(path, plot_raman(modes, spectra, infrared, unit, title=made.title))

        for path in numbers_first(outputs):
            write(path, write_one)


def _modes_table(
    modes: RamanModes, intensities: NDArray[np.float64] | None, unit: FrequencyUnit
) -> Table:
    silent = sum(mode.degeneracy for mode in modes if not mode.is_active)
    table = Table(
        title="Raman-active modes, transverse",
        caption=f"not listed: {silent} {'mode' if silent == 1 else 'modes'} that do not scatter",
        box=None,
        padding=(0, 1),
    )
    table.add_column("")
    columns = (unit.label, "degeneracy", "Å⁴/u", "depolarization", "10⁻³⁰ cm²/sr")
    for name in (*columns, "step error", "expected error"):
        table.add_column(name, justify="right")
    for index, mode in enumerate(modes):
        if mode.is_active:
            table.add_row(
                mode.label,
                f"{mode.frequency * unit.per_thz:.2f}",
                str(mode.degeneracy),
                f"{mode.activity:.4g}",
                f"{mode.depolarization:.3f}",
                "–" if intensities is None else f"{intensities[index]:.3g}",
                f"{mode.step_error:.2%}",
                "–" if mode.expected_error is None else f"{mode.expected_error:.0%}",
            )
    return table


def _polarized_table(spectrum: RamanSpectrum, unit: FrequencyUnit) -> Table:
    q = spectrum.modes.direction
    along = "q = 0" if q is None else f"q along {', '.join(f'{part:.3g}' for part in q)}"
    table = Table(title=f"{spectrum.name}, {along}", box=None, padding=(0, 1))
    table.add_column("")
    for name in (unit.label, "degeneracy", "10⁻³⁰ cm²/sr"):
        table.add_column(name, justify="right")
    for mode, intensity in zip(spectrum.modes, spectrum.intensities, strict=True):
        if intensity > SHOWN * spectrum.intensities.max():
            frequency = f"{mode.frequency * unit.per_thz:.2f}"
            table.add_row(mode.label, frequency, str(mode.degeneracy), f"{intensity:.3g}")
    return table


def _own_doubt(modes: RamanModes, model: str) -> str:
    if not modes.active:
        return "no mode scatters"
    if modes.expected_error is None:
        return f"{model} gives no estimate of the error of its Raman tensors"
    return f"{model} itself expects an error of its Raman tensors of {modes.expected_error:.0%}"
