"""The command ``ase-equivar spectrum``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, get_args

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.tables import open_console, tensor_table
from ase_equivar.cli.written_files import numbers_first, save_figure, written_files
from ase_equivar.io.output_files import check_output
from ase_equivar.units import FrequencyUnit

if TYPE_CHECKING:
    from ase import Atoms


VELOCITIES = ("vel", "velo", "velocity", "velocities")


def spectrum(
    trajectory: Annotated[Path, typer.Argument(help="Trajectory: any file that ASE reads.")],
    timestep: Annotated[
        float, typer.Option(help="Between the frames of the file, as it was written, fs.")
    ],
    correlation_time: Annotated[
        float, typer.Option(help="Correlation time, fs; its inverse is the frequency resolution.")
    ] = 2000.0,
    temperature: Annotated[
        float | None,
        typer.Option(help="Temperature, K; by default the kinetic temperature of the trajectory."),
    ] = None,
    window: Annotated[str, typer.Option(help="hann or gaussian.")] = "hann",
    quantum_correction: Annotated[
        str, typer.Option(help="Quantum correction of n α: harmonic, standard or schofield.")
    ] = "harmonic",
    blocks: Annotated[
        int, typer.Option(help="Number of blocks for the estimate of the uncertainty.")
    ] = 5,
    unit: Annotated[
        FrequencyUnit, typer.Option(help="Of picture and CSV.", case_sensitive=False)
    ] = FrequencyUnit.CM,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", help="Output file: .csv, .json or a picture; may be repeated."
        ),
    ] = None,
    model: inputs.Model = "universal",
    device: inputs.Device = None,
    index: Annotated[
        str,
        typer.Option(
            help="Frames to use, as a Python slice: 1000: leaves out the first 1000, ::2 every "
            "other one."
        ),
    ] = ":",
    format: inputs.Format = None,
) -> None:
    """Infrared spectrum, ε(ω) and ionic conductivity from a molecular-dynamics run.

    From the fluctuations of the current J = Σ Z*·v at equilibrium, without field. The model
    predicts Z* of every frame, and ε∞ of the first one. If the file has no velocities, they are
    taken from the displacements between frames.
    """
    with inputs.user_errors():
        from ase_equivar import dielectric as di
        from ase_equivar import io as files
        from ase_equivar.arguments import LARGEST_TEMPERATURE, known_word, positive_number
        from ase_equivar.dielectric.current import split
        from ase_equivar.dielectric.fluctuations import QuantumCorrection, Window, count_lags
        from ase_equivar.dielectric.velocities import LOST
        from ase_equivar.structures.metals import refuse_metal

        outputs = [check_output(path, ".csv", ".json") for path in output or []]
        kind: Window = known_word("--window", window, get_args(Window))
        correction: QuantumCorrection = known_word(
            "--quantum-correction", quantum_correction, get_args(QuantumCorrection)
        )
        if temperature is not None:  # before any prediction
            positive_number("--temperature", temperature, "K", largest=LARGEST_TEMPERATURE)
        survey = _survey(inputs.read_frames(trajectory, index, format))
        if (every := _step(index)) > 1:
            timestep = positive_number("--timestep", timestep, "fs") * every
            open_console().print(f"one of {every} frames: {timestep:g} fs between them")
        frames = inputs.read_frames(trajectory, index, format)
        n_frames = survey.n_frames
        if not survey.moving:
            # The unit of such a column is unknown; displacements have a known unit.
            unread = f" (its columns {', '.join(survey.unread)} are not)" if survey.unread else ""
            console = open_console()
            console.print(
                escape(
                    f"{trajectory} has no velocities that ASE reads{unread}: taken from the "
                    "displacements between frames"
                )
            )
            frames = di.with_velocities(frames, timestep)
            n_frames = max(n_frames - LOST, 0)
        if n_frames < 2:
            more = "" if survey.moving else f" besides the {LOST} at its ends"
            raise ValueError(
                f"a spectrum needs two frames or more{more}; {trajectory} has {survey.n_frames}"
            )
        lags = count_lags(timestep, n_frames, correlation_time)
        split(n_frames, blocks, 2 * lags, "this correlation_time")  # before any prediction
        calc = inputs.equivar_calculator(model=model, device=device)
        if "dielectric_tensor" not in calc.implemented_properties:
            raise ValueError(f"a spectrum needs ε∞, which the model {model!r} does not predict")
        first = next(frames)
        refuse_metal(first)
        electronic = calc.get_property("dielectric_tensor", first)
        current = di.trajectory_current(chain([first], frames), calc, timestep)
        found = di.current_spectrum(
            current,
            electronic,
            correlation_time=correlation_time,
            temperature=temperature,
            window=kind,
            n_blocks=blocks,
        )
        conductivity = di.ionic_conductivity(
            current, correlation_time=correlation_time, temperature=temperature, n_blocks=blocks
        )
        console = open_console()
        console.print(
            f"{len(current.current)} frames, {found.temperature:.0f} K, {kind} window of "
            f"{found.correlation_time:.0f} fs, {blocks} blocks"
        )
        console.print(tensor_table("ε∞ of the first frame", electronic))
        table = Table(title="Conductivity at frequency 0 (S/m)", box=None, padding=(0, 1))
        for name in ("", "a third of the trace", "standard error"):
            table.add_column(name, justify="right")
        for name, estimate in (
            ("Green–Kubo", conductivity.green_kubo),
            ("Einstein", conductivity.einstein),
        ):
            table.add_row(name, f"{estimate.isotropic:.4g}", f"{estimate.isotropic_error:.2g}")
        console.print(table)

        def write_one(path: Path) -> None:
            if path.suffix == ".csv":
                files.write_current_csv(path, found, unit, correction=correction)
            elif path.suffix == ".json":
                files.write_current_json(path, found, conductivity, correction=correction)
            else:
                from ase_equivar.plotting import plot_current_spectrum

                figure = plot_current_spectrum(
                    found, unit, correction=correction, title=trajectory.name
                )
                save_figure(path, figure)

        with written_files(console) as write:
            for path in numbers_first(outputs):
                write(path, write_one)


class _Survey(NamedTuple):
    """Contents of a trajectory: `unread` are columns with velocities that ASE does not read."""

    n_frames: int
    moving: bool
    unread: list[str]


def _survey(frames: Iterable[Atoms]) -> _Survey:
    """Read a trajectory once before anything is predicted."""
    n_frames, moving, unread = 0, False, set()
    for atoms in frames:
        n_frames += 1
        moving |= bool(atoms.get_momenta().any())
        unread |= {name for name in atoms.arrays if name.lower() in VELOCITIES}
    return _Survey(n_frames, moving, sorted(unread))


def _step(index: str) -> int:
    """Return how many frames of the file a slice takes from one to the next."""
    from ase_equivar.io.file_selection import frame_index

    chosen = frame_index(index)
    return abs(chosen.step or 1) if isinstance(chosen, slice) else 1
