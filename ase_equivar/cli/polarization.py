"""The command ``ase-equivar polarization``: of two structures, or along a trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.tables import number, open_console
from ase_equivar.io.file_selection import frame_index, split_selection
from ase_equivar.io.output_files import check_folder

if TYPE_CHECKING:
    from ase import Atoms

    from ase_equivar.calculator import EquivarCalculator


def polarization(
    start: Annotated[
        Path,
        typer.Argument(
            help="Nonpolar structure, FILE or FILE@0, or a trajectory; any file that ASE reads."
        ),
    ],
    end: Annotated[
        Path | None, typer.Argument(help="The same atoms, displaced; elements in the same order.")
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(
            help="Number of structures on the path at which Z* are predicted: odd, 5 or more; by "
            "default 9. For two structures."
        ),
    ] = None,
    clamped: Annotated[
        str | None,
        typer.Option(
            help="Clamped-ion piezoelectric tensor of the first structure, C/m², for cells that "
            "differ: 18 numbers in quotes, as of the command piezo. Without it, this part is "
            "left out."
        ),
    ] = None,
    model: inputs.Model = "universal",
    device: inputs.Device = None,
    index: inputs.Index = None,
    format: inputs.Format = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="For a trajectory: .csv file to write.")
    ] = None,
) -> None:
    """Polarization of a structure relative to another one, from Z* along the path between them.

    For example, the spontaneous polarization of a ferroelectric relative to its high-symmetry
    structure. The result is the change along this path; other branches differ by the quanta that
    are printed with it. If the cells differ, one of the two structures (either one) must be
    nonpolar. If the crystal is turned, the result is in the Cartesian axes of the second
    structure, or of the first one if only that is polar.

    Without a second structure: the change along a trajectory, frame by frame and without an
    integral, from a polar model (--model universal-polar), which predicts P itself.
    """
    with inputs.user_errors():
        if end is None:
            if points is not None:
                raise ValueError(
                    "--points is for the path between two structures; a trajectory needs no "
                    "integral: leave it out, or give a second structure"
                )
            if clamped is not None:
                raise ValueError("--clamped is for two structures whose cells differ")
            if output is not None and check_folder(output).suffix != ".csv":
                raise ValueError(f"the name {output.name!r} should end in .csv")
            calc = inputs.equivar_calculator(model=model, device=device)
            if "polarization" not in calc.implemented_properties:
                raise ValueError(
                    f"the model {model!r} gives Z* and no polarization; take a polar one, --model "
                    "universal-polar, or give a second structure to integrate Z* to"
                )
            _trajectory(start, ":" if index is None else index, format, calc, output)
            return
        if output is not None:
            raise ValueError("--output is for a trajectory; leave it out with two structures")
        tensor = None if clamped is None else inputs.clamped_tensor("--clamped", clamped)
        from ase_equivar.dielectric import polarization_change
        from ase_equivar.dielectric.polarization import check_points

        n_points = 9 if points is None else check_points("--points", points)
        first, last = (_structure(path, index, format) for path in (start, end))
        calc = inputs.equivar_calculator(model=model, device=device)
        found = polarization_change(
            first,
            last,
            calc,
            n_points=n_points,
            clamped_piezoelectric=tensor,
        )
        table = Table(title="Change of polarization (µC/cm²)", box=None, padding=(0, 1))
        for name in ("", "x", "y", "z"):
            table.add_column(name, justify="right")
        table.add_row("change", *map(number, found.change))
        for name, quantum in zip("abc", found.quanta, strict=True):
            table.add_row(f"quantum along {name}", *map(number, quantum))
        console = open_console()
        console.print(table)
        console.print(f"uncertainty of the integral: {found.quadrature_error:.2g} µC/cm²")


def _structure(file: Path, index: str | None, format: str | None) -> Atoms:
    """Read one of two structures: FILE@3 is number 3 of FILE, whatever the index of both."""
    path, selection = split_selection(file)
    if selection == ":" or file.exists():
        return inputs.read_structure(file, index, format, choice=f"{file}@0")
    return inputs.read_structure(Path(path), selection, format)


def _trajectory(
    path: Path, index: str, format: str | None, calc: EquivarCalculator, output: Path | None
) -> None:
    """Print or write the change of polarization of each frame, by its number in the file."""
    from ase_equivar.dielectric import trajectory_polarization
    from ase_equivar.io.numbers_files import write_csv

    changes = trajectory_polarization(inputs.read_frames(path, index, format), calc)
    if len(changes) == 1:
        of_it = f"{path.name} has" if index == ":" else f"--index {index} takes"
        raise ValueError(
            f"{of_it} one frame, and a polarization is a change: give a trajectory, or a second "
            "structure"
        )
    numbers = _numbers_in_file(path, index, format, len(changes))
    rows = zip(numbers, changes.tolist(), strict=False)  # not strict: a run may still write it
    console = open_console()
    if output is not None:
        header = ["frame", *(f"polarization_change_{axis}_uC_per_cm2" for axis in "xyz")]
        write_csv(output, header, [[n, *row] for n, row in rows])
        console.print(f"written: {escape(str(output))}")
        return
    table = Table(title="Change of polarization (µC/cm²)", box=None, padding=(0, 1))
    for name in ("frame", "x", "y", "z"):
        table.add_column(name, justify="right")
    for n, row in rows:
        table.add_row(str(n), *map(number, row))
    console.print(table)


def _numbers_in_file(path: Path, index: str, format: str | None, n_used: int) -> range:
    """Return the numbers of the frames that an index takes, from 0."""
    if index == ":":
        return range(n_used)
    chosen = frame_index(index)
    assert isinstance(chosen, slice)  # a single frame has been refused
    total = sum(1 for _ in inputs.read_frames(path, format=format))
    return range(total)[chosen]
