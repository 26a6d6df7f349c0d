"""The table of a screening: CSV that grows while it goes on, or Parquet at its end."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, Protocol

from ase_equivar.extras import install_hint
from ase_equivar.io.output_files import replacing, write_text
from ase_equivar.screening.row import COLUMNS, Row

DIGITS = 5  # significant, in CSV
GROUP = 8192  # rows of Parquet that are written together; a few megabytes
SUFFIXES = (".csv", ".parquet")


class Output(Protocol):
    """Takes the rows of a table in their order."""

    path: Path
    """The file that is written; at last, it is the table."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows."""


def check_table(table: Path, is_going_on: bool) -> None:
    """Refuse a table that cannot be written, or exists already.

    Parameters
    ----------
    table : pathlib.Path
    is_going_on : bool
        Whether there is a journal, so that an incomplete table may be there.

    Raises
    ------
    ValueError
        If its ending is not that of a format.
    ImportError
        If it is to be Parquet and pyarrow is missing.
    FileExistsError
    """
    if table.suffix not in SUFFIXES:
        raise ValueError(f"the table is a {' or '.join(SUFFIXES)} file, not {table.name!r}")
    if table.suffix == ".parquet":
        _pyarrow()
    if table.exists() and not (is_going_on and _is_begun(table)):
        raise FileExistsError(f"{table} exists already; give another --output or remove it")


@contextmanager
def opened(table: Path) -> Iterator[Output]:
    """Open a table, anew, for its rows.

    CSV can be read at any time, and keeps its rows when the process is killed. Parquet cannot be
    read before it is complete, so that it appears at the end.

    Parameters
    ----------
    table : pathlib.Path
    """
    if table.suffix == ".parquet":
        with replacing(table) as partial:
            parquet = _Parquet(partial)
            try:
                yield parquet
            finally:
                parquet.close()
        return
    write_text(table, "")
    # names of files may be any bytes
    with open(table, "a", newline="", encoding="utf-8", errors="surrogateescape") as file:
        yield _Csv(table, file)
        file.flush()
        os.fsync(file.fileno())


class _Csv:
    """Each call ends with whole lines in the file."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self.path = path
        self._file = file
        self._writer = csv.writer(file)
        self._writer.writerow(COLUMNS)
        file.flush()

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._writer.writerow([_cell(getattr(row, column)) for column in COLUMNS])
        self._file.flush()


class _Parquet:
    """Text, whole numbers and floats, without rounding; null where there is no answer."""

    def __init__(self, path: Path) -> None:
        arrow = _pyarrow()
        kinds = {"str": arrow.string(), "int": arrow.int64(), "float": arrow.float64()}
        self.path = path
        self._schema = arrow.schema(
            [(field.name, kinds[str(field.type).split(" ")[0]]) for field in fields(Row)]
        )
        self._writer = arrow.parquet.ParquetWriter(path, self._schema)
        self._waiting: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        self._waiting += rows
        if len(self._waiting) >= GROUP:
            self._write_group()

    def close(self) -> None:
        if self._waiting:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        columns = {name: [_text(getattr(row, name)) for row in self._waiting] for name in COLUMNS}
        self._writer.write_table(_pyarrow().Table.from_pydict(columns, schema=self._schema))
        self._waiting = []


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(f"Parquet needs pyarrow; {install_hint('parquet')}") from error
    return pyarrow


def _is_begun(table: Path) -> bool:
    """Whether this is a CSV of screenings, or the beginning of one."""
    first = ",".join(COLUMNS).encode()
    with open(table, "rb") as file:
        found = file.read(len(first))
    return table.suffix == ".csv" and first.startswith(found)


def _text(value: str | float | None) -> str | float | None:
    """Replace bytes in the names of files that are no text."""
    if not isinstance(value, str):
        return value
    return value.encode(errors="surrogateescape").decode(errors="replace")


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
