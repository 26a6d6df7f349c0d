"""The options of all commands that begin with force constants, Z* and ε∞ of a crystal."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ase_equivar.cli import inputs
from ase_equivar.cli.option_groups import Command, with_options
from ase_equivar.cli.phonopy_files import BornFile
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL
from ase_equivar.io.output_files import check_folder, check_output
from ase_equivar.structures.symmetry import SYMPREC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIRST = ("structure", "supercell", "calculator", "relax", "born")  # before a command's own options

StructureFile = Annotated[Path, typer.Argument(help="Any structure that ASE reads.")]


@dataclass(frozen=True)
class CrystalOptions:
    """A crystal, its forces, Z* and ε∞, as the user of a command asks for them."""

    structure: Annotated[
        Path,
        typer.Argument(
            help="Any structure that ASE reads, or a phonopy.yaml with force constants."
        ),
    ]
    supercell: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Repetitions of the cell; by default, images are 12 Å apart."),
    ] = None
    calculator: Annotated[
        str | None, typer.Option(help=f"{inputs.FORCES_HELP} By default {DEFAULT_POTENTIAL}.")
    ] = None
    relax: Annotated[
        str,
        typer.Option(
            "--relax",
            help="What to relax with these forces first: none; positions, in the cell given, as "
            "for a measured one; or cell, and positions with it.",
        ),
    ] = "none"
    born: BornFile = None
    model: inputs.Model = "universal"
    dielectric_tensor: inputs.DielectricTensor = None
    refractive_index: inputs.RefractiveIndex = None
    symprec: inputs.Symprec = SYMPREC
    device: inputs.Device = None
    index: inputs.Index = None
    format: inputs.Format = None

    @property
    def potential(self) -> str:
        """Name of the potential that the forces come from."""
        return DEFAULT_POTENTIAL if self.calculator is None else self.calculator

    def epsilon(self) -> NDArray[np.float64] | Literal["corrected"] | None:
        """Return the ε∞ that is given, shape (3, 3); "corrected", or None: the model's."""
        return inputs.given_epsilon(self.dielectric_tensor, self.refractive_index)


def crystal_command(*, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command, whose first parameter is `CrystalOptions`, all of these as options.

    Parameters
    ----------
    without : collection of str
        Options that the command does not have. A command without `born` reads no phonopy.yaml.
    """
    annotations = {"structure": StructureFile} if "born" in without else {}
    return with_options(CrystalOptions, first=FIRST, left_out=without, annotations=annotations)


def check_spectrum_outputs(outputs: list[Path] | None, modes_table: Path | None) -> list[Path]:
    """Refuse names of files for spectra and modes that cannot be written, before any work."""
    checked = [check_output(path, ".csv", ".json") for path in outputs or []]
    if modes_table is not None:
        if modes_table.suffix != ".csv":
            raise ValueError(f"--modes is a .csv file, not {modes_table.name!r}")
        check_folder(modes_table)
    return checked
