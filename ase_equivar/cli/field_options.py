"""What the commands of experiments in a field have in common: options, and the first atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_equivar.cli import inputs
from ase_equivar.cli.option_groups import Command, with_options
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL
from ase_equivar.cli.written_files import numbers_first, save_figure, written_files
from ase_equivar.io.numbers_files import write_json
from ase_equivar.io.output_files import check_output

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure
    from rich.console import Console

    from ase_equivar.dynamics.experiments.thermal_run import MDSettings

MOST_ATOMS = 1_000_000  # Z* of more take 16 GB of memory
Vector = tuple[float, float, float]
Structure = Annotated[Path, typer.Argument(help="Any file that ASE reads.")]
Repeat = Annotated[tuple[int, int, int], typer.Option(help="Repetitions of the cell.")]
UpdateInterval = Annotated[int, typer.Option(help="Calculate Z* every N steps only.")]


@dataclass(frozen=True)
class FieldRunOptions:
    """An MD in a field, as the user of a command asks for it."""

    structure: Structure
    repeat: Repeat = (1, 1, 1)
    temperature: Annotated[float, typer.Option(help="In K.")] = 300.0
    timestep: Annotated[float, typer.Option(help="In fs.")] = 1.0
    friction: Annotated[
        float, typer.Option(help="Of the Langevin thermostat, in 1/ps; 0: none.")
    ] = 10.0
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0
    update_interval: UpdateInterval = 1
    folder: Annotated[
        Path | None,
        typer.Option(help="Write log and checkpoints there; a killed run goes on from them."),
    ] = None
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="May be repeated: .json (numbers) or a picture."),
    ] = None
    calculator: inputs.Forces = DEFAULT_POTENTIAL
    model: inputs.Model = "universal"
    device: inputs.Device = None
    index: inputs.Index = None
    format: inputs.Format = None

    def check_outputs(self) -> None:
        """Refuse names of files that cannot be written, before any work."""
        for path in self.output or []:
            check_output(path, ".json")

    def md_settings(self) -> MDSettings:
        """Return the settings of the MD."""
        from ase_equivar.arguments import positive_number
        from ase_equivar.dynamics.experiments.thermal_run import MDSettings
        from ase_equivar.units import PICOSECOND

        positive_number("--friction", self.friction, "1/ps", zero=True)
        return MDSettings(
            temperature=self.temperature,
            timestep=self.timestep,
            friction=self.friction / PICOSECOND,
            seed=self.seed,
            update_interval=self.update_interval,
        )

    def unit_cell(self) -> Atoms:
        """Return the structure as the file has it."""
        return inputs.read_structure(self.structure, self.index, self.format)

    def atoms_with_calculator(self, total_charge: float = 0.0) -> Atoms:
        """Return the repeated cell with forces, and Z* that sum to the charge."""
        return atoms_with_calculator(
            self.unit_cell(), self.repeat, self.calculator, self.model, self.device, total_charge
        )

    def write(self, console: Console, numbers: dict[str, Any], figure: Figure) -> None:
        """Write the numbers as JSON and the picture, as the names of the outputs say."""
        with written_files(console) as write:
            for path in numbers_first(self.output or []):
                if path.suffix == ".json":
                    write(path, lambda path: write_json(path, numbers))
                else:
                    write(path, lambda path: save_figure(path, figure))


def field_command(*, temperature: float, friction: float) -> Callable[[Command], Command]:
    """Give a command, whose first parameter is `FieldRunOptions`, all of these as options.

    Parameters
    ----------
    temperature, friction : float
        Defaults of this command, in K and 1/ps.
    """
    defaults = {"temperature": temperature, "friction": friction}
    return with_options(FieldRunOptions, first=("structure",), defaults=defaults)


def check_strength(option: str, strength: Iterable[float]) -> None:
    """Refuse a field that is none, in the unit of the option, MV/cm."""
    from ase_equivar.arguments import LARGEST_FIELD, finite_real
    from ase_equivar.units import MV_PER_CM

    given = list(strength)
    finite_real(option, given, None, unit="MV/cm", largest=LARGEST_FIELD / MV_PER_CM)
    if not any(given):
        raise ValueError(f"{option} is zero; give the field in MV/cm")


def check_time(option: str, time: float, *, zero: bool = False) -> None:
    """Refuse a time that is none, in the unit of the option, ps."""
    from ase_equivar.arguments import positive_number

    positive_number(option, time, "ps", zero=zero)


def atoms_with_calculator(
    unit_cell: Atoms,
    repeat: tuple[int, int, int],
    calculator: str,
    model: str,
    device: str | None,
    total_charge: float = 0.0,
) -> Atoms:
    """Return the repeated cell with a calculator of forces, and Z* that sum to the charge."""
    if min(repeat) < 1:
        raise ValueError(f"--repeat is {' '.join(map(str, repeat))}; give numbers from 1 on")
    n_atoms = len(unit_cell) * prod(repeat)
    if n_atoms > MOST_ATOMS:
        raise ValueError(
            f"--repeat {' '.join(map(str, repeat))} makes {n_atoms:.3g} atoms, and at most "
            f"{MOST_ATOMS:.0e} are allowed"
        )
    atoms = unit_cell * repeat
    forces = inputs.forces_calculator(calculator, device)
    atoms.calc = inputs.equivar_calculator(
        calculator=forces, model=model, device=device, total_charge=total_charge
    )
    # Refuses elements that the model does not know.
    atoms.calc.get_property("born_effective_charges", atoms)
    return atoms
