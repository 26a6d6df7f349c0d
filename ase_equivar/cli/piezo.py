"""The command ``ase-equivar piezo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ase_equivar.cli import inputs
from ase_equivar.cli.crystal_options import CrystalOptions, crystal_command
from ase_equivar.cli.phonon_input import (
    GIVEN,
    describe_relaxation,
    describe_tensors,
    epsilon_from,
)
from ase_equivar.cli.tables import number, open_console, tensor_table
from ase_equivar.cli.written_files import written_files
from ase_equivar.io.output_files import check_folder
from ase_equivar.structures.voigt import COMPONENTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ase_equivar.dielectric import PiezoelectricTensors

DEFAULT_STEP = 0.002


@crystal_command(without=("supercell", "born"))
def piezo(
    crystal: CrystalOptions,
    clamped: Annotated[
        str | None,
        typer.Option(
            help="Clamped-ion tensor, C/m²: 18 numbers in quotes, the rows of P_x, P_y and P_z "
            "with columns xx, yy, zz, yz, xz, xy. By default, the model's, if it predicts it; "
            "without one, only the ionic part is known."
        ),
    ] = None,
    step: Annotated[
        float, typer.Option(help="Strain of the finite differences; twice of it too.")
    ] = DEFAULT_STEP,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="May be repeated: .csv (e, d, C) or .json (all)."),
    ] = None,
) -> None:
    """Piezoelectric tensors e and d, elastic constants, and ε0 at constant strain and stress.

    Forces and stress come from a universal potential, Z* and ε∞ from the model. The ionic part is
    calculated: strain moves the atoms, which carry Z*. The electrons' part at clamped atoms is
    added where it is known.
    """
    with inputs.user_errors():
        outputs = [check_folder(path) for path in output or []]
        for path in outputs:
            if path.suffix not in (".csv", ".json"):
                raise ValueError(f"--output is a .csv or .json file, not {path.name!r}")

        from ase_equivar import io as files
        from ase_equivar.dielectric import piezoelectric
        from ase_equivar.dielectric.piezoelectricity import piezoelectric_crystal
        from ase_equivar.dielectric.strain_response import check_strain_step
        from ase_equivar.phonons.relax_modes import relax_mode

        mode, epsilon = relax_mode("--relax", crystal.relax), crystal.epsilon()
        check_strain_step(step)
        given = None if clamped is None else inputs.clamped_tensor("--clamped", clamped)
        atoms = inputs.read_structure(crystal.structure, crystal.index, crystal.format)
        piezoelectric_crystal(atoms, symprec=crystal.symprec)
        tensors = piezoelectric(
            atoms,
            inputs.forces_calculator(crystal.potential, crystal.device),
            inputs.equivar_calculator(model=crystal.model, device=crystal.device),
            clamped=given,
            relax=mode,
            dielectric_tensor=epsilon,
            step=step,
            symprec=crystal.symprec,
        )
        calculation = {
            "forces": crystal.potential,
            "relax": mode,
            "born_charges": crystal.model,
            "epsilon_infinity": epsilon_from(crystal.model, epsilon),
        }
        if tensors.clamped is not None:
            calculation["clamped"] = crystal.model if given is None else GIVEN
        console = open_console()
        console.print(escape(describe_relaxation(mode, tensors.atoms)))
        console.print(
            escape(
                f"{describe_tensors(calculation)}, forces: {crystal.potential}, clamped-ion part: "
                f"{calculation.get('clamped', 'not known')}"
            )
        )
        _print(console, tensors)
        with written_files(console) as write:
            for path in outputs:
                if path.suffix == ".csv":
                    write(path, lambda path: files.write_piezoelectric_csv(path, tensors))
                else:
                    write(
                        path,
                        lambda path: files.write_piezoelectric_json(path, tensors, calculation),
                    )


def _print(console: Console, tensors: PiezoelectricTensors) -> None:
    knows_total = tensors.clamped is not None
    console.print(_voigt_table("e, ionic part (C/m²)", tensors.ionic))
    if tensors.clamped is not None:
        console.print(_voigt_table("e, clamped-ion part (C/m²)", tensors.clamped))
        console.print(_voigt_table("e, total (C/m²)", tensors.total))
    if tensors.elastic_relaxed is not None:
        title = "elastic constants at zero field, atoms relaxed (GPa)"
        console.print(_voigt_table(title, tensors.elastic_relaxed))
    console.print(tensor_table("ε0 at constant strain", tensors.dielectric.static))
    try:
        d = tensors.strain_coefficients if knows_total else tensors.ionic_strain_coefficients
        console.print(_voigt_table(f"d, {'total' if knows_total else 'ionic part'} (pC/N)", d))
        if knows_total:
            console.print(tensor_table("ε0 at constant stress", tensors.free_dielectric))
    except ValueError as error:
        console.print(f"no d: {escape(str(error))}")
    if not knows_total:
        console.print(
            "ionic part only: e, d and ε0 at constant stress need the clamped-ion part too "
            "(--clamped), which often has the opposite sign"
        )
    console.print(
        f"uncertainty of the ionic part: {tensors.ionic_step_error:.2g} C/m² by the step, "
        f"{tensors.ionic_asymmetry:.2g} C/m² by symmetry"
    )


def _voigt_table(title: str, rows: NDArray[np.float64]) -> Table:
    table = Table(title=title, box=None, padding=(0, 1))
    for name in ("", *COMPONENTS):
        table.add_column(name, justify="right")
    for name, row in zip("xyz" if len(rows) == 3 else COMPONENTS, rows, strict=True):
        table.add_row(name, *map(number, row))
    return table
