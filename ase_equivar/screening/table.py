"""The table of a screening: written when it is complete, with a journal until then."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from ase_equivar.io.output_files import replacing, write_text
from ase_equivar.screening.row import COLUMNS, Row

DIGITS = 5  # significant


class Journal:
    """The rows found so far, in a file beside the table: what is in it need not be done again.

    Parameters
    ----------
    table : pathlib.Path
        The table to be; the journal is called the same with ``.partial`` at the end.
    settings : str
        What the rows depend on: a journal of other settings is refused.

    Raises
    ------
    ValueError
        When the journal is of other settings.
    """

    def __init__(self, table: Path, settings: str) -> None:
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

    def _read(self, settings: str) -> str:
        kept = ""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines):
            if not line.endswith("\n"):
                break
            content = json.loads(line)
            if number == 0:
                if content.get("settings") != settings:
                    raise ValueError(
                        f"{self.path} is of a screening with other settings; remove it, or give "
                        "another --output"
                    )
            else:
                name = content["name"]
                self.contents[name] = content.pop("content", "")
                self.rows[name] = Row(**content)
            kept += line
        return kept


def journal_path(table: Path) -> Path:
    """Return where the journal of a table is."""
    return table.with_name(table.name + ".partial")


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
