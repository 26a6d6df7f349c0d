"""The command ``ase-equivar screen``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.markup import escape

from ase_equivar.arguments import positive_number
from ase_equivar.cli import inputs
from ase_equivar.cli.phonon_input import epsilon_from
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL, calculator_identity
from ase_equivar.cli.tables import open_console
from ase_equivar.io.output_files import check_folder
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC

if TYPE_CHECKING:
    from ase_equivar.calculator import EquivarCalculator


def source_calculator(model: str, device: str | None) -> EquivarCalculator:
    """Return the calculator of Z* and ε∞, in a process that calculates crystals.

    Raises
    ------
    ValueError
        If the model does not predict ε∞.
    """
    made = inputs.equivar_calculator(model=model, device=device)
    if "dielectric_tensor" not in made.implemented_properties:
        raise ValueError(f"screening needs ε∞, which the model {model!r} does not predict")
    return made


def screen(
    structures: Annotated[
        list[Path], typer.Argument(help="Files that ASE reads, all their structures; or folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table, .csv or .parquet.")],
    calculator: Annotated[
        str,
        typer.Option(
            help="Forces: sevennet-l3i5, sevennet-0, nequix, nequix:FILE, mace, chgnet, orb or "
            "mattersim, where installed; module:factory, an importable function without arguments "
            "that returns an ASE calculator; or none, for ε∞ and Z* alone."
        ),
    ] = DEFAULT_POTENTIAL,
    relax: Annotated[
        str,
        typer.Option(
            help="What to relax of each crystal first: none; positions, in the cell given; or "
            "cell, and positions with it."
        ),
    ] = "cell",
    dielectric_tensor: Annotated[
        str | None,
        typer.Option(
            help="'corrected': the model's ε∞, reduced by the overestimate of PBE relative to "
            "experiment (expected error 8 %)."
        ),
    ] = None,
    gap_key: Annotated[
        str, typer.Option(help="Name under which structures may carry their band gap, eV.")
    ] = "band_gap",
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler to use instead.")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="For each crystal, s.")] = 3600.0,
    memory_limit: Annotated[
        float, typer.Option(help="For each crystal, GB, together with the models; on Linux.")
    ] = 8.0,
    model: inputs.Model = "universal",
    symprec: inputs.Symprec = SYMPREC,
    device: inputs.Device = None,
) -> None:
    """Dielectric screening: ε∞, ε0, LO–TO gap, Z* and figure of merit of many crystals.

    A bad structure, or one that takes too much time or memory, gets a row with the problem. A run
    that was stopped continues when the same command is given again. The figure of merit is the
    band gap times ε0.
    """
    with inputs.user_errors():
        check_folder(output)
        symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)

        from ase_equivar.inference.model_files import model_digest
        from ase_equivar.phonons.relax_modes import relax_mode
        from ase_equivar.screening import Limits, Recipe, screen

        limits = Limits(time_limit, memory_limit)
        mode = relax_mode("--relax", relax)
        # refused there if it is another text
        epsilon = cast(Literal["corrected"] | None, dielectric_tensor)
        source = partial(source_calculator, model, device)
        forces = None
        if calculator != "none":
            forces = partial(inputs.forces_calculator, calculator, device)
        recipe = Recipe(source, forces, mode, gap_key, symprec, epsilon)
        summary = screen(
            structures,
            output,
            recipe,
            settings={
                "model": f"{Path(model).name} {model_digest(model)}",
                "calculator": calculator_identity(calculator),
                "device": device or "automatic",
            },
            workers=workers,
            scheduler=scheduler,
            limits=limits if os.name == "posix" else None,
        )
        console = open_console()
        for row in summary.problems:
            console.print(escape(f"skipped {row.name}: {row.problem}"))
        n_more = summary.n_problems - len(summary.problems)
        if n_more:
            console.print(f"and {n_more} more, see the column 'problem'")
        count = f"{summary.n_crystals - summary.n_problems} of {summary.n_crystals} crystals"
        relaxed = "" if calculator == "none" else f"relaxed: {mode}; "
        how = f"{relaxed}ε∞: {epsilon_from('model', epsilon)}"
        console.print(escape(f"{count}, {how}; written: {output}"))
