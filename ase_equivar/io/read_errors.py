"""Errors of ASE or phonopy on reading a file, with the name of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ase.io.formats import UnknownFileTypeError, filetype

OBSCURE = (NameError, AttributeError, TypeError, LookupError, AssertionError, MemoryError)
"""Errors of a reader that stumbles over a file it does not expect: their texts name variables of
the reader, not what is wrong with the file."""
OBSCURE_TEXT = re.compile(
    r"inhomogeneous|broadcast|values to unpack|cannot reshape|not aligned|buffer|StopIteration"
)
DAMAGED = (
    "the file is incomplete or damaged, has another format, or its program's version or type of "
    "calculation is unknown to"
)


@contextmanager
def reading(path: str | Path, reader: str = "ASE", format: str | None = None) -> Iterator[None]:
    """Convert any error of a reader into a ValueError.

    Parameters
    ----------
    path : str or pathlib.Path
    reader : str
        The package that reads.
    format : str, optional
        ASE's name of the format, if it is not to be recognized from the file.

    Raises
    ------
    ValueError
        If the format is unknown or the file is damaged; the message says which.
    """
    try:
        yield
    except Exception as error:  # readers raise many kinds of errors on a damaged file
        if _is_empty(path):
            told = f"{path} is an empty file"
        elif isinstance(error, UnknownFileTypeError | StopIteration):
            told = (
                f"ASE does not know the format of {path}: give the file the usual ending, or name "
                "the format with --format where the command has this option"
            )
        else:
            taken_for = _format(path, format) if reader == "ASE" else ""
            told = f"{reader} cannot read {path}{taken_for}: {reason(error, reader)}"
        raise ValueError(told) from error


def reason(error: Exception, reader: str = "ASE") -> str:
    """Return what an error of a reader tells about the file that it could not read."""
    if isinstance(error, UnicodeDecodeError):
        return f"its byte {error.start} is not text ({type(error).__name__})"
    explained = isinstance(error, KeyError) and " " in str(error)  # and not the key alone
    is_obscure = isinstance(error, OBSCURE) and not explained
    if is_obscure or not str(error).strip() or OBSCURE_TEXT.search(str(error)):
        return f"{DAMAGED} {reader} ({type(error).__name__})"
    return f"{type(error).__name__}: {error}"


def _is_empty(path: str | Path) -> bool:
    file = Path(path)
    return file.is_file() and not file.stat().st_size


def _format(path: str | Path, given: str | None) -> str:
    """Return "as FORMAT" for the format that ASE takes a file for; "" if it knows none."""
    if given is None:
        try:
            given = filetype(str(path))
        except Exception:  # unknown or damaged
            return ""
    return f" as {given}"
