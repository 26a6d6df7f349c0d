"""The command ``ase-equivar select``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ase_equivar.arguments import whole_number
from ase_equivar.cli import inputs
from ase_equivar.cli.tables import open_console


def select(
    trajectory: Annotated[
        Path, typer.Argument(help="Candidate structures: any file that ASE reads.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File for the chosen structures (.extxyz), the best first."
        ),
    ],
    number: Annotated[int, typer.Option(help="How many to choose.")] = 30,
    model: inputs.Model = "universal",
    known: Annotated[
        list[str] | None,
        typer.Option(
            help="Structures of this material on which the model was trained, FILE or FILE@::5; "
            "may be repeated."
        ),
    ] = None,
    index: Annotated[
        str, typer.Option(help="Frames to choose from, in ASE's slice notation.")
    ] = ":",
    device: inputs.Device = None,
    format: inputs.Format = None,
) -> None:
    """Select structures to label: those that are uncertain and differ from each other.

    Structures are grouped around the nearest known or chosen one in the feature space of the
    network, and each step chooses the farthest structure of the largest group; distances are
    multiplied by the uncertainty. The output has all that the candidates have, and
    `selected_frame` and `selected_reason`. It is the input of `label`, whose output is the input
    of `finetune`.
    """
    with inputs.user_errors():
        if output.suffix not in (".extxyz", ".xyz"):
            raise ValueError(f"{output} should end in .extxyz")
        from ase_equivar.io.output_files import check_folder, replacing

        check_folder(output)
        whole_number("--number", number, at_least=1)
        import ase.io

        from ase_equivar.io.extxyz_entries import leave_out_unwritable
        from ase_equivar.io.file_selection import split_selection
        from ase_equivar.io.input_files import check_file
        from ase_equivar.io.structure_files import read_images, read_numbered
        from ase_equivar.training.selection import choose

        for file in (str(trajectory), *(split_selection(one)[0] for one in known or ())):
            check_file(file)
        images = read_numbered(trajectory, index, format)
        if not images:
            raise ValueError(f"{trajectory} has no frame that --index {index} takes")
        numbers = list(images)
        of_known = [atoms for one in known or () for atoms in read_images(*split_selection(one))]
        choices = choose(
            model, list(images.values()), number, of_known, device=device, progress=True
        )
        if not choices:
            raise RuntimeError(
                f"none of the {len(images)} structures is worth a label: they are copies of known "
                f"ones, or the model is sure of them; {output} is not written"
            )
        console = open_console()
        frames = []
        for choice in choices:
            frame = numbers[choice.index]
            reason = choice.reason(numbers)
            console.print(escape(f"frame {frame}: {reason}"), soft_wrap=True)
            atoms = images[frame].copy()
            atoms.calc = images[frame].calc  # results: labels and forces that are there already
            atoms.info.update(selected_frame=frame, selected_reason=reason)
            frames.append(atoms)
        leave_out_unwritable(frames)
        with replacing(output) as partial:
            ase.io.write(partial, frames, format="extxyz")
        if len(choices) < number:
            console.print(
                f"the other {len(images) - len(choices)} structures are duplicates of these or of "
                "known ones"
            )
        console.print(f"written: {escape(str(output))}")
