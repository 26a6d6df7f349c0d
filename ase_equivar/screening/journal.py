"""The journal of a screening, which holds its rows until the table is complete."""

from __future__ import annotations

import json
import logging
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ase_equivar.arguments import json_data
from ase_equivar.io.output_files import replacing, write_text
from ase_equivar.io.resumed import differences, digest
from ase_equivar.screening.row import Row

logger = logging.getLogger(__name__)


class Journal:
    """All rows calculated so far, in a file beside the table.

    It takes 16 bytes of memory for each of them. Lines that were damaged by a kill or a full disk
    are ignored, and their crystals are calculated again.

    Parameters
    ----------
    path : pathlib.Path
        See `journal_path`.
    settings : mapping of str to str
        What the rows depend on. A journal with other settings is refused.
    is_tried_again : callable
        Says of a row whether its crystal is to be calculated again.

    Raises
    ------
    ValueError
        When the file was written with other settings, which are named, or is not a journal.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, str],
        is_tried_again: Callable[[Row], bool] = lambda _: False,
    ) -> None:
        self.path, self._is_tried_again = path, is_tried_again
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
            Digest of the structure, which may have been replaced by another of the same name.
        """
        key = _key(name, content)
        after = int(np.searchsorted(self._keys, key, side="right"))
        # Of several rows, the last counts.
        return int(self._places[after - 1]) if after and self._keys[after - 1] == key else None

    def add(self, rows: Sequence[Row], contents: Sequence[str]) -> list[int]:
        """Write rows to the disk, synchronously, and return their places."""
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

    def rows(self, places: Iterable[int]) -> list[Row]:
        """Return the rows at these places, whose lines were checked at the start or are new."""
        found = []
        with open(self.path, "rb") as file:
            for place in places:
                file.seek(place)
                entry = json.loads(file.readline())
                del entry["content"]
                found.append(Row(**entry))
        return found

    def remove(self) -> None:
        """Remove it: the table is complete."""
        self.path.unlink()

    def _is_begun(self, settings: Mapping[str, str]) -> bool:
        """Whether the first line is complete; refuse another file, or other settings."""
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
                "Give another --output, or remove it and the table to start anew"
            )
        return True

    def _read(self) -> None:
        """Read which rows there are, and remove the lines of others."""
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
        """Yield lines, each with the key of its row.

        It is None for one that is damaged, with a warning, or whose crystal is tried again.
        """
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1:  # the settings
                    yield line, 0
                    continue
                is_damaged = not line.endswith(b"\n")
                key = None
                try:
                    row, content = _row(json_data("it", line.decode()))
                    if not is_damaged and not self._is_tried_again(row):
                        key = _key(row.name, content)
                except (ValueError, TypeError, KeyError):
                    is_damaged = True
                if is_damaged and line.strip(b"\0 \r\n") and not is_told:
                    logger.warning(
                        "%s: line %d is damaged or cut off; its crystal is calculated again",
                        self.path,
                        number,
                    )
                yield line, key

    def _no_journal(self) -> ValueError:
        return ValueError(
            f"{self.path} is not a journal of screenings with this version, or its first line is "
            "damaged; remove it to start anew, or give another --output"
        )


def _key(name: str, content: str) -> int:
    """Return 64 bits that stand for a name and a content."""
    return int(digest(name.encode(errors="surrogateescape"), content.encode()), 16)


_KINDS = {
    field.name: (
        *((str,) if "str" in str(field.type) else (int, float)),
        *((type(None),) if "None" in str(field.type) else ()),
    )
    for field in fields(Row)
}
"""Types that the values of a row have in JSON."""


def _row(entry: Any) -> tuple[Row, str]:
    """Return what a line holds: a row and the content of its structure."""
    if not isinstance(entry, dict):
        raise TypeError("a line is an object")
    content = entry.pop("content")
    row = Row(**entry)
    for column, kinds in _KINDS.items():
        if type(getattr(row, column)) not in kinds:
            raise TypeError(column)
    if not isinstance(content, str):
        raise TypeError("content")
    return row, content


def journal_path(table: Path) -> Path:
    """Return where the journal of a table is: beside it, with ``.partial`` after its name."""
    return table.with_name(table.name + ".partial")
