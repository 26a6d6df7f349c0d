"""No command writes into a file that it reads, that its run keeps, or that it writes itself."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ase_equivar.cli.inputs import user_errors
from ase_equivar.io.file_selection import split_selection

OUTPUTS = ("output", "density", "angular", "modes_table", "log")
"""Parameters of commands that name files to be written; every other one may name a file to read."""


def spares_its_inputs(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command refuse an output that is one of its inputs, before it does anything."""

    @functools.wraps(command)
    def checked(**options: Any) -> None:
        with user_errors():
            check_outputs(options)
        command(**options)

    return checked


def check_outputs(options: dict[str, Any]) -> None:
    """Raise a ValueError if one of the `OUTPUTS` is a file to be read, a run's own, or two."""
    read = [file for name in options if name not in OUTPUTS for file in _files(options[name])]
    written: set[str] = set()
    for name in OUTPUTS:
        for output in _named(options.get(name)):
            if (where := os.path.realpath(output)) in written:
                raise ValueError(f"{output} is the name of two outputs; give each another one")
            written.add(where)
        for output in _files(options.get(name)):
            if any(os.path.samefile(output, file) for file in read):
                raise ValueError(f"{output} is a file to be read; give the output another name")
        for output in map(Path, _named(options.get(name))):
            if _is_of_run(output, options.get("folder")):
                raise ValueError(
                    f"{output} has the name of a file that --folder keeps the run in; give the "
                    "output another name"
                )


def _is_of_run(output: Path, folder: Path | None) -> bool:
    """Say whether an output has the name of a file that a run keeps in its folder, or below."""
    if folder is None or not output.name.startswith("run."):
        return False
    return folder.resolve() in output.resolve().parents


def _named(value: Any) -> Iterator[str | Path]:
    """Yield the names that the value of an option holds."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, str | Path):
            yield one


def _files(value: Any) -> Iterator[Path]:
    """Yield the existing files that the value of an option names: a file, or those of a model.

    FILE@::5 is part of FILE.
    """
    for one in _named(value):
        yield from filter(Path.is_file, {Path(one), Path(split_selection(one)[0])})
        if (Path(one) / "config.json").is_file():
            yield from filter(Path.is_file, Path(one).iterdir())
