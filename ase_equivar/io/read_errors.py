"""Errors of ASE or phonopy on reading a file, with the name of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ase.io.formats import UnknownFileTypeError


@contextmanager
def reading(path: str | Path, reader: str = "ASE") -> Iterator[None]:
    """Convert any error of a reader into a ValueError.

    Parameters
    ----------
    path : str or pathlib.Path
    reader : str
        The package that reads.

    Raises
    ------
    ValueError
        If the format is unknown or the file is damaged; the message says which.
    """
    try:
        yield
    except (UnknownFileTypeError, StopIteration) as error:
        raise ValueError(
            f"ASE does not know the format of {path}: name it with --format, if it is one of ASE's"
        ) from error
    except Exception as error:  # its readers raise many kinds of errors on a damaged file
        raise ValueError(f"{reader} cannot read {path}: {type(error).__name__}: {error}") from error
