"""The table of a screening: written when it is complete, with a journal until then."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ase_equivar.arguments import json_data
from ase_equivar.io.output_files import replacing, write_text
from ase_equivar.io.resumed import differences
from ase_equivar.screening.row import COLUMNS, Row

logger = logging.getLogger(__name__)

DIGITS = 5  # significant


class Journal:
    """The rows found so far, in a file beside the table: what is in it need not be done again.

    Lines that a kill or a full disk has damaged are left out, so that their crystals are done
    again.

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
        self.rows: dict[str, Row] = {}
        self.contents: dict[str, str] = {}
        complete = self._read(settings) if self.path.exists() else ""
        if not complete:
            complete = json.dumps({"settings": settings}) + "\n"
        # Without what a kill may have left of the last line.
        write_text(self.path, complete)

    def add(self, row: Row, content: str) -> None:
        """Keep a row, on the disk before anything else happens.

        `content` is the `fingerprint` of the structure: what goes by its name later need not be it.
        """
        self.rows[row.name] = row
        self.contents[row.name] = content
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"content": content, **vars(row)}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self, names: list[str]) -> None:
        """Write the table in this order, and remove the journal."""
        with (
            replacing(self._table) as partial,
            open(partial, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(
                [_cell(getattr(self.rows[name], column)) for column in COLUMNS] for name in names
            )
        self.path.unlink()

    def _read(self, settings: Mapping[str, str]) -> str:
        """Take up the rows, and return the lines that are whole."""
        first, *lines = self.path.read_bytes().split(b"\n")
        if not lines:  # killed while it was made, or never more than that
            if first.strip(b"\0 ") and not first.startswith(b'{"settings"'):
                raise self._no_journal()
            return ""
        self._check_settings(first, settings)
        kept = first.decode() + "\n"
        for number, line in enumerate(lines, start=2):
            try:
                row, content = _row(json_data("it", line.decode()))
            except (ValueError, TypeError, KeyError):
                if line.strip(b"\0 \r"):
                    logger.warning(
                        "%s: line %d is damaged or cut off; its crystal is done again",
                        self.path,
                        number,
                    )
                continue
            self.rows[row.name], self.contents[row.name] = row, content
            kept += line.decode() + "\n"
        return kept

    def _check_settings(self, line: bytes, settings: Mapping[str, str]) -> None:
        try:
            then = dict(json_data("it", line.decode())["settings"])
        except (ValueError, TypeError, KeyError):
            raise self._no_journal() from None
        differing = differences(then, settings)
        if differing:
            raise ValueError(
                f"{self.path} is of a screening with other settings: {'; '.join(differing)}. "
                "Give another --output, or remove it to start anew"
            )

    def _no_journal(self) -> ValueError:
        return ValueError(
            f"{self.path} is no journal of this version's screenings, or its first line is "
            "damaged; remove it to start anew, or give another --output"
        )


def _row(entry: Any) -> tuple[Row, str]:
    """Return what a line holds: a row and the fingerprint of its structure."""
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
