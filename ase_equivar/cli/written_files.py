"""The output files of a command: one that cannot be written does not cost the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.markup import escape

from ase_equivar.io.output_files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERS = (".json", ".csv", ".yaml", ".cif", ".vasp", ".extxyz")


class Write(Protocol):
    """Writes one file, and says so."""

    def __call__(
        self, path: Path, writer: Callable[[Path], object], *, note: str = "written"
    ) -> None:
        """Call `writer` with the path; `note` is said before its name."""


@contextmanager
def written_files(console: Console) -> Iterator[Write]:
    """Yield what writes one file after the other, whatever becomes of those before.

    Raises
    ------
    OSError
        At the end, if some could not be written.
    """
    failures: list[str] = []

    def write(path: Path, writer: Callable[[Path], object], *, note: str = "written") -> None:
        try:
            writer(path)
        except OSError as error:
            failures.append(f"{path} ({error.strerror or error})")
        else:
            console.print(f"{note}: {escape(str(path))}")

    try:
        yield write
    except Exception:  # whatever ends the command: what failed before is told beside it
        for failure in failures:
            console.print(f"not written: {escape(failure)}", soft_wrap=True)
        raise
    if failures:
        raise OSError(f"could not be written: {', '.join(failures)}")


def numbers_first(paths: Iterable[Path]) -> list[Path]:
    """Order files: pictures, from which no other program goes on, come last."""
    return sorted(paths, key=lambda path: path.suffix not in NUMBERS)


def save_figure(path: Path, figure: Figure) -> None:
    """Save a picture, completely or not at all."""
    with replacing(path) as partial:
        figure.savefig(partial)
