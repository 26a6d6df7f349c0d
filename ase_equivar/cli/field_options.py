"""What the commands of experiments in a field have in common: options, and the first atoms."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ase_equivar.cli import inputs
from ase_equivar.io.output_files import check_output, replacing, write_text

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure
    from rich.console import Console

    from ase_equivar.dynamics.experiments.thermal_run import MDSettings

Structure = Annotated[Path, typer.Argument(help="Any file that ASE reads.")]
Repeat = Annotated[tuple[int, int, int], typer.Option(help="Repetitions of the cell.")]
Forces = inputs.Forces
Temperature = Annotated[float, typer.Option(help="In K.")]
Timestep = Annotated[float, typer.Option(help="In fs.")]
Friction = Annotated[float, typer.Option(help="Of the Langevin thermostat, in 1/ps; 0: none.")]
Seed = Annotated[int, typer.Option(help="Of the random numbers.")]
UpdateInterval = Annotated[int, typer.Option(help="Calculate Z* every N steps only.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="Write log and checkpoints there; a killed run goes on from them."),
]
Output = Annotated[
    list[Path] | None,
    typer.Option("--output", "-o", help="May be repeated: .json (numbers) or a picture."),
]


def check_not_zero(option: str, strength: Iterable[float]) -> None:
    """Refuse a field of zero in the unit of the option, MV/cm."""
    if not any(strength):
        raise ValueError(f"{option} is zero; give the field in MV/cm")


def check_outputs(outputs: list[Path] | None) -> list[Path]:
    """Refuse names of files that cannot be written, before any work."""
    return [check_output(path, ".json") for path in outputs or []]


def charged_atoms(
    structure: Path,
    repeat: tuple[int, int, int],
    calculator: str,
    model: str,
    device: str | None,
    total_charge: float = 0.0,
    *,
    index: str | None,
    format: str | None,
) -> Atoms:
    """Return the structure with a calculator that gives forces, and Z* that sum to the charge."""
    if min(repeat) < 1:
        raise ValueError(f"--repeat is {' '.join(map(str, repeat))}; give numbers from 1 on")
    atoms = inputs.read_structure(structure, index, format) * repeat
    forces = inputs.forces_calculator(calculator, device)
    atoms.calc = inputs.equivar_calculator(
        calculator=forces, model=model, device=device, total_charge=total_charge
    )
    # Refuses elements that the model does not know.
    atoms.calc.get_property("born_effective_charges", atoms)
    return atoms


def md_settings(
    temperature: float, timestep: float, friction: float, seed: int, update_interval: int
) -> MDSettings:
    """Return the settings of the MD that these options ask for."""
    from ase_equivar.dynamics.experiments.thermal_run import MDSettings
    from ase_equivar.units import PICOSECOND

    return MDSettings(
        temperature=temperature,
        timestep=timestep,
        friction=friction / PICOSECOND,
        seed=seed,
        update_interval=update_interval,
    )


def write_outputs(
    outputs: list[Path], console: Console, numbers: dict[str, Any], figure: Figure
) -> None:
    """Write the numbers as JSON and the picture, as the names say."""
    for path in outputs:
        if path.suffix == ".json":
            write_text(path, json.dumps(numbers, indent=1) + "\n")
        else:
            with replacing(path) as partial:
                figure.savefig(partial)
        console.print(f"written: {escape(str(path))}")
