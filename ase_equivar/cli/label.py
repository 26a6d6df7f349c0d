"""The command ``ase-equivar label``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ase_equivar.cli import inputs
from ase_equivar.cli.tables import open_console

if TYPE_CHECKING:
    from ase_equivar.labelling import Progress


def label(
    structures: Annotated[
        Path, typer.Argument(help="Any file that ASE reads, or part of one: FILE@::10.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File for the labels (.extxyz); extended when the run is resumed.",
        ),
    ],
    pseudopotentials: Annotated[
        Path, typer.Option(help="Folder of norm-conserving UPF files, one for each element.")
    ],
    processes: Annotated[
        int, typer.Option(help="Number of structures calculated at a time, one core each.")
    ] = 1,
    cutoff: Annotated[float, typer.Option(help="Of the plane waves, Ry.")] = 50.0,
    period: Annotated[
        list[float] | None,
        typer.Option(
            help="Period of a k-point mesh to try, Å; repeat the option for each, from coarse to "
            "dense. By default 7.5, 10, 14, 20."
        ),
    ] = None,
    max_violation: Annotated[
        float,
        typer.Option(
            help="Violation of the sum rule to be reached, e per atom: the first mesh below it is "
            "used. If --cpu-limit allows no denser mesh, up to twice as much is accepted; the "
            "violation is written beside each label."
        ),
    ] = 0.02,
    min_gap: Annotated[
        float,
        typer.Option(
            help="Smallest allowed gap, eV; structures with a smaller gap count as metals."
        ),
    ] = 0.1,
    cpu_limit: Annotated[float, typer.Option(help="For one structure, s.")] = 1800.0,
    format: inputs.Format = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Retry structures that failed before.")
    ] = False,
) -> None:
    """Calculate Z*, ε∞, forces and energy from first principles, as labels for `finetune`.

    Runs pw.x and ph.x of Quantum ESPRESSO; for nonmagnetic insulators. It may be interrupted at any
    time: the same command continues where it stopped. Failures are listed in OUTPUT.failures.jsonl.
    """
    with inputs.user_errors():
        from ase_equivar.io.file_selection import split_selection
        from ase_equivar.io.input_files import check_file
        from ase_equivar.io.structure_files import read_images
        from ase_equivar.labelling import Settings, label_all
        from ase_equivar.labelling.journal import journal_of
        from ase_equivar.labelling.run import earlier_results

        file, part = split_selection(structures)
        check_file(file)
        images = read_images(file, part, format)
        settings = Settings(
            pseudopotentials=pseudopotentials,
            cutoff=cutoff,
            periods=tuple(period) if period else Settings.periods,
            max_violation=max_violation,
            min_gap=min_gap,
            cpu_limit=cpu_limit,
        )
        console = open_console()
        progress = None
        for progress in label_all(images, output, settings, processes=processes, retry=retry):
            console.print(escape(_line(progress)), soft_wrap=True)
        if progress is None:
            told = "nothing left to do"
            n_labelled, refused = earlier_results(images, output)
            if refused:
                told += (
                    f"; structures without a label from before: {refused}, for reasons in "
                    f"{journal_of(output)}: --retry tries them again"
                )
            console.print(escape(told), soft_wrap=True)
        else:
            n_labelled = progress.n_labelled
        if not n_labelled:
            raise typer.Exit(inputs.FAILURE)  # nothing to go on with


def _line(progress: Progress) -> str:
    """Return the line printed for a structure."""
    name = f"{progress.frame} {progress.formula}"
    done = progress.n_labelled + progress.n_failed
    rest = f"{done} of {progress.n_all} done, {progress.n_failed} of them without a label"
    if done < progress.n_all:
        rest += f", about {_duration(progress.seconds_left)} left"
    if progress.label is None:
        return f"{name}: no label: {progress.reason} ({rest})"
    found = progress.label
    violation = abs(found.violation).max() / len(found.born_charges)
    return (
        f"{name}: {found.mesh}, sum rule {violation:.4f} e per atom, gap {found.gap:.2f} eV, "
        f"ε∞ {found.dielectric.trace() / 3:.2f}, {found.cpu_seconds:.0f} s ({rest})"
    )


def _duration(seconds: float) -> str:
    """Return a duration as text."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
