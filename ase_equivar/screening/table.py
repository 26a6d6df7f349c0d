"""The table of a screening: written when it is complete, with a journal until then."""

from __future__ import annotations

import csv
import json
import logging
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ase_equivar.arguments import json_data
from ase_equivar.io.output_files import replacing, write_text
from ase_equivar.io.resumed import differences, digest
from ase_equivar.screening.row import COLUMNS, Row

logger = logging.getLogger(__name__)

DIGITS = 5  # significant
EXAMPLES = 10  # rows with a problem that a summary holds


@dataclass(frozen=True)
class Summary:
    """What a screening came to; its rows are in the table.

    Attributes
    ----------
    n_crystals : int
        Rows of the table.
    n_problems : int
        Rows with a problem.
    n_gaps : int
        Rows with a band gap.
    problems : tuple of Row
        The first ten with a problem.
    """

    n_crystals: int
    n_problems: int
    n_gaps: int
    problems: tuple[Row, ...]


class Journal:
    """The rows found so far, in a file beside the table: what is in it need not be done again.

    Memory holds 16 bytes for each of them. Lines that a kill or a full disk has damaged are left
    out, so that their crystals are done again.

    Parameters
    ----------
    table : pathlib.Path
        The table to be; the journal is called the same with ``.partial`` at the end.
    settings : mapping of str to str
        What the rows depend on: a journal of other settings is refused.

    Raises
    ------
    ValueError
        When the journal is of other settings, saying which, or is none.
    """

    def __init__(self, table: Path, settings: Mapping[str, str]) -> None:
        self._table = table
        self.path = journal_path(table)
        first = json.dumps({"settings": settings}).encode() + b"\n"
        # of what it held at the start: a number for each name and content, and where its line is
        self._keys = np.empty(0, dtype=np.uint64)
        self._places = np.empty(0, dtype=np.int64)
        if self.path.exists() and self._is_begun(settings):
            self._read()
        else:
            write_text(self.path, first.decode())
        self._end = self.path.stat().st_size

    def place(self, name: str, content: str) -> int | None:
        """Return where the row of a structure is, if it was there at the start.

        Parameters
        ----------
        name : str
        content : str
            Of the structure: what goes by its name now need not be what went by it then.
        """
        key = _key(name, content)
        after = int(np.searchsorted(self._keys, key, side="right"))
        # Of several rows, the last counts.
        return int(self._places[after - 1]) if after and self._keys[after - 1] == key else None

    def add(self, rows: Sequence[Row], contents: Sequence[str]) -> list[int]:
        """Keep rows, on the disk before anything else happens, and return where they are."""
        lines = [
            json.dumps({"content": content, **vars(row)}).encode() + b"\n"
            for row, content in zip(rows, contents, strict=True)
        ]
        with open(self.path, "ab") as file:
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        places = [self._end + sum(map(len, lines[:k])) for k in range(len(lines))]
        self._end += sum(map(len, lines))
        return places

    def finish(self, places: Sequence[int]) -> Summary:
        """Write the table, with the rows at these places in this order, and remove the journal."""
        n_problems = n_gaps = 0
        examples: list[Row] = []
        with (
            replacing(self._table) as partial,
            # names of files may be any bytes
            open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
            open(self.path, "rb") as journal,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for place in places:
                journal.seek(place)
                row, _ = _row(json_data("it", journal.readline().decode()))
                writer.writerow([_cell(getattr(row, column)) for column in COLUMNS])
                n_gaps += row.band_gap_eV is not None
                n_problems += bool(row.problem)
                if row.problem and len(examples) < EXAMPLES:
                    examples.append(row)
        self.path.unlink()
        return Summary(len(places), n_problems, n_gaps, tuple(examples))

    def _is_begun(self, settings: Mapping[str, str]) -> bool:
        """Whether the first line is whole; refuse what is no journal, or one of other settings."""
        with open(self.path, "rb") as file:
            first = file.readline()
        if not first.endswith(b"\n"):  # killed while it was made, or never more than that
            if first.strip(b"\0 ") and not first.startswith(b'{"settings"'):
                raise self._no_journal()
            return False
        try:
            then = dict(json_data("it", first.decode())["settings"])
        except (ValueError, TypeError, KeyError):
            raise self._no_journal() from None
        differing = differences(then, settings)
        if differing:
            raise ValueError(
                f"{self.path} is of a screening with other settings: {'; '.join(differing)}. "
                "Give another --output, or remove it to start anew"
            )
        return True

    def _read(self) -> None:
        """Learn which rows there are, and remove damaged lines."""
        keys, places = array("Q"), array("q")
        place = 0
        is_whole = True
        for line, key in self._lines():
            if key is None:
                is_whole = False
                continue
            if place:  # the first line holds the settings
                keys.append(key)
                places.append(place)
            place += len(line)
        if not is_whole:
            with replacing(self.path) as partial, open(partial, "wb") as file:
                lines = self._lines(is_told=True)
                file.writelines(line for line, key in lines if key is not None)
        order = np.argsort(np.asarray(keys), kind="stable")
        self._keys = np.asarray(keys)[order]
        self._places = np.asarray(places)[order]

    def _lines(self, is_told: bool = False) -> Iterator[tuple[bytes, int | None]]:
        """Yield lines, each with the key of its row; None for a damaged one, which is told."""
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                key: int | None = 0
                if number > 1:
                    try:
                        row, content = _row(json_data("it", line.decode()))
                        key = _key(row.name, content) if line.endswith(b"\n") else None
                    except (ValueError, TypeError, KeyError):
                        key = None
                    if key is None and line.strip(b"\0 \r\n") and not is_told:
                        logger.warning(
                            "%s: line %d is damaged or cut off; its crystal is done again",
                            self.path,
                            number,
                        )
                yield line, key

    def _no_journal(self) -> ValueError:
        return ValueError(
            f"{self.path} is no journal of this version's screenings, or its first line is "
            "damaged; remove it to start anew, or give another --output"
        )


def _key(name: str, content: str) -> int:
    """Return 64 bits that stand for a name and a content."""
    return int(digest(name.encode(errors="surrogateescape"), content.encode()), 16)


def _row(entry: Any) -> tuple[Row, str]:
    """Return what a line holds: a row and the content of its structure."""
    if not isinstance(entry, dict):
        raise TypeError("a line is an object")
    content = entry.pop("content")
    row = Row(**entry)
    for column in fields(Row):
        value, kind = getattr(row, column.name), str(column.type)
        if isinstance(value, bool) or not (
            isinstance(value, str if "str" in kind else int | float)
            or ("None" in kind and value is None)
        ):
            raise TypeError(column.name)
    if not isinstance(content, str):
        raise TypeError("content")
    return row, content


def journal_path(table: Path) -> Path:
    """Return where the journal of a table is."""
    return table.with_name(table.name + ".partial")


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
