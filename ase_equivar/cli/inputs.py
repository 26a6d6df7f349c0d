"""Inputs of the commands: structures, calculators and file names; and reporting of errors."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from ase_equivar.cli.standard_output import files_before_output

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator
    from numpy.typing import NDArray

    from ase_equivar.calculator import EquivarCalculator

logger = logging.getLogger(__name__)

BAD_INPUT, FAILURE = 2, 1

Model = Annotated[str, typer.Option(help="Bundled model, or folder of a saved one.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default CUDA if there is one.")]
DielectricTensor = Annotated[
    str | None,
    typer.Option(
        help="ε∞ to use instead of the model's, e.g. a measured one: a number, or three or nine "
        "numbers in quotes. Or 'corrected': the model's, reduced by the overestimate of PBE "
        "relative to experiment (expected error 8 %)."
    ),
]
RefractiveIndex = Annotated[
    str | None,
    typer.Option(
        help="Instead of --dielectric-tensor: a number, or three along x, y and z in quotes; ε∞ is "
        "its square."
    ),
]
Symprec = Annotated[
    float, typer.Option(help="Distance within which positions count as symmetry-equivalent, Å.")
]
Index = Annotated[
    str | None,
    typer.Option(
        help="Number of the structure in the file, counted from 0, or from the end if negative."
    ),
]
Format = Annotated[str | None, typer.Option(help="ASE's name of the file's format.")]
FORCES_HELP = (
    "Potential for the forces: sevennet-l3i5, sevennet-0, nequix, nequix:FILE, mace, "
    "chgnet, orb or mattersim, if installed; or module:factory, an importable function without "
    "arguments that returns an ASE calculator."
)
Forces = Annotated[str, typer.Option(help=FORCES_HELP)]


def given_epsilon(
    tensor: str | None, index: str | None
) -> NDArray[np.float64] | Literal["corrected"] | None:
    """Return the ε∞ given by options, shape (3, 3), "corrected", or None for the model's."""
    if tensor is None and index is None:
        return None
    from ase_equivar.phonons.born_source import given_dielectric

    n = None if index is None else numbers("--refractive-index", index)
    if tensor is None or tensor == "corrected":
        return given_dielectric(tensor, n)
    return given_dielectric(numbers("--dielectric-tensor", tensor), n)


def numbers(name: str, text: str) -> list[float]:
    """Return the numbers of an option's text, separated by blanks or commas."""
    try:
        return [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        word = ", or the word corrected" if name == "--dielectric-tensor" else ""
        raise ValueError(f"{name} takes numbers{word}, not {text!r}") from None


def clamped_tensor(name: str, text: str) -> NDArray[np.float64]:
    """Return the clamped-ion piezoelectric tensor of an option, C/m², shape (3, 6)."""
    from ase_equivar.dielectric.piezoelectric_tensors import clamped_array

    given = numbers(name, text)
    if len(given) != 18:
        raise ValueError(
            f"{name} takes 18 numbers, three rows of xx, yy, zz, yz, xz, xy, not {len(given)}"
        )
    return clamped_array(name, [given[:6], given[6:12], given[12:]])


@contextlib.contextmanager
def log_to_stderr(level: int) -> Iterator[None]:
    """Show log messages of the package from this level on within the context."""
    package, handler = logging.getLogger("ase_equivar"), logging.StreamHandler()
    before = package.level
    package.addHandler(handler)
    package.setLevel(min(level, before) if before else level)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(before)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Report errors of the user, and warnings, as single lines on stderr."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, UserWarning):
            console.print(f"[yellow]warning:[/] {escape(str(message))}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            with files_before_output():
                yield
        except KeyboardInterrupt:
            console.print("interrupted")
            raise
        except (ValueError, OSError, ImportError, RuntimeError, ArithmeticError) as error:
            # A typer.Exit is also a RuntimeError, but not an error to report; typer itself ends
            # where nobody reads on, without a word.
            if isinstance(error, typer.Exit | BrokenPipeError):
                raise
            logger.debug("the command failed", exc_info=True)
            console.print(f"[red]error:[/] {escape(' '.join(str(error).split()))}")
            # NotImplementedError, a RuntimeError, is of a calculator without a property
            is_bad_input = isinstance(error, NotImplementedError) or not isinstance(
                error, RuntimeError | ArithmeticError
            )
            raise typer.Exit(BAD_INPUT if is_bad_input else FAILURE) from None


def read_structure(
    path: Path, index: str | None = None, format: str | None = None, *, choice: str = "--index"
) -> Atoms:
    """Return one structure of a file, by default the last, without its results.

    If there are several, its number is reported on stderr, and by what `choice` to take another.
    """
    from ase_equivar.io.input_files import check_file
    from ase_equivar.io.label_files.reading import structure_of_program
    from ase_equivar.io.structure_files import read_image

    check_file(path)
    try:
        frame = read_image(path, "-1" if index is None else index, format)
    except ValueError:
        # ASE does not read some outputs with Z*, such as those of ph.x and most of CASTEP.
        atoms = structure_of_program(path) if index is None and format is None else None
        if atoms is None:
            raise
        atoms.calc = None
        return atoms
    atoms = frame.atoms
    assert atoms is not None
    if frame.total > 1:
        last = f", the last one; {choice} takes another" if index is None else ""
        typer.echo(
            f"{path}: structure {frame.number} (counted from 0) of {frame.total}{last}", err=True
        )
    # The results in the file (such as forces of a DFT run) are not wanted here.
    atoms.calc = None
    return atoms


def refuse_selection(path: Path, index: str | None, format: str | None) -> None:
    """Refuse to choose among the structures of a phonopy.yaml, which holds one crystal."""
    if index is not None or format is not None:
        raise ValueError(f"--index and --format do not go with {path.name}, a phonopy.yaml")


def read_frames(path: Path, index: str = ":", format: str | None = None) -> Iterator[Atoms]:
    """Yield the structures of a file one by one, by default all of them."""
    from ase_equivar.structures.validation import check_full_occupancy

    for atoms in _frames(path, index, format):
        check_full_occupancy(atoms)
        yield atoms


def _frames(path: Path, index: str, format: str | None) -> Iterator[Atoms]:
    import ase.io

    from ase_equivar.io.compressed_files import read_text
    from ase_equivar.io.file_selection import frame_index
    from ase_equivar.io.formats import file_format
    from ase_equivar.io.structure_files import is_compressed_extxyz

    frame_index(index)  # refuses what is none, before the file is looked at
    found = False
    with _reading(path, format):
        format = file_format(path, format)
        source: Any = path
        if format in (None, "extxyz") and is_compressed_extxyz(path.name):
            # ASE would restart from its beginning for each frame
            source, format = io.StringIO(read_text(path)), "extxyz"
        # ASE would read another file: what is before an @ in the name
        for atoms in ase.io.iread(source, index, format=format, do_not_split_by_at_sign=True):
            found = True
            yield atoms
        if not found and index == ":":
            raise ValueError("there is no structure in it")
    if not found:
        raise ValueError(f"{path} has no frame that --index {index} takes")


@contextlib.contextmanager
def _reading(path: Path, format: str | None) -> Iterator[None]:
    from ase_equivar.io.input_files import check_file
    from ase_equivar.io.read_errors import reading

    check_file(path)
    with reading(path, format=format):
        yield


def equivar_calculator(**arguments: Any) -> EquivarCalculator:
    """Return the calculator that predicts Z* and ε∞."""
    from ase_equivar.calculator import EquivarCalculator

    return EquivarCalculator(**arguments)


def forces_calculator(name: str, device: str | None) -> BaseCalculator:
    """Return the potential of that name, or the calculator from a function at that path."""
    from ase_equivar.cli.potentials import NEQUIX_FILE, imported_potential, named_potential

    if ":" in name and not name.startswith(NEQUIX_FILE):
        return imported_potential(name)
    return named_potential(name, device)
