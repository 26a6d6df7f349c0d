"""What goes wrong when ASE or phonopy reads a file, in words that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ase.io.formats import UnknownFileTypeError


@contextmanager
def reading(path: str | Path, reader: str = "ASE") -> Iterator[None]:
    """Turn whatever a reader raises while it reads a file into a ValueError.

    Parameters
    ----------
    path : str or pathlib.Path
    reader : str
        The package that reads.

    Raises
    ------
    ValueError
        Saying whether the format is unknown or the file damaged.
    """
    try:
        yield
    except (UnknownFileTypeError, StopIteration) as error:
        raise ValueError(
            f"ASE does not know the format of {path}: name it by --format, if it is one of ASE's"
        ) from error
    except Exception as error:  # its readers raise anything on a damaged file
        raise ValueError(f"{reader} cannot read {path}: {type(error).__name__}: {error}") from error
