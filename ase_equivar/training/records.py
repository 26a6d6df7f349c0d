"""Records, each of several arrays of any length, in a few flat files that are mapped into memory.

A folder holds one file per array name, with the rows of all records one after the other; the ends
of each record in these; a checksum of each record; and an index, which is replaced as a whole.
Processes that map the same folder share its pages, so that none needs memory for the records, and
an interrupted writer continues behind the last record that its index counts.
"""

from __future__ import annotations

import json
import logging
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

INDEX = "index.json"
ENDS, CHECKSUMS = "ends", "checksums"

Record = Mapping[str, NDArray[Any]]


@dataclass
class Index:
    """What the files hold.

    Attributes
    ----------
    made_from : dict
        What determines the records; others are not used in their place.
    columns : dict
        For each array name, the type and the shape of one row.
    records : int
    rows : dict
        Number of rows of each name.
    complete : bool
    notes : dict
        Anything else about the records, known when they are complete.
    """

    made_from: dict[str, Any]
    columns: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    records: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    complete: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    def files(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Type and shape of each file by its name, without the ending."""
        found = {
            name: (np.dtype(kind), (self.rows[name], *shape))
            for name, (kind, shape) in self.columns.items()
        }
        found[ENDS] = np.dtype("<i8"), (self.records, len(self.columns))
        found[CHECKSUMS] = np.dtype("<u4"), (self.records,)
        return found


class Records(Sequence[Record]):
    """The records of a folder that is complete, mapped into memory, read-only.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    ValueError
        If the records are incomplete, or a file is missing or has another size.
    """

    def __init__(self, folder: Path) -> None:
        index = read_index(folder)
        if index is None or not index.complete:
            raise ValueError(f"{folder} holds no complete records")
        wrong = wrong_sizes(folder, index)
        if wrong:
            raise ValueError(f"{folder} is damaged: {wrong}; delete it and start again")
        self.folder = folder
        self.notes = index.notes
        self._names = list(index.columns)
        self._arrays = {
            name: mapped(folder / f"{name}.bin", kind, shape)
            for name, (kind, shape) in index.files().items()
        }

    def __len__(self) -> int:
        """Count the records."""
        return len(self._arrays[CHECKSUMS])

    @overload
    def __getitem__(self, number: int) -> Record: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Record]: ...
    def __getitem__(self, number: int | slice) -> Record | Sequence[Record]:
        """Return the arrays of a record, as read-only views.

        Raises
        ------
        ValueError
            If they do not match their checksum.
        """
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        ends = self._arrays[ENDS]
        starts = ends[number - 1] if number else np.zeros(len(self._names), dtype=np.int64)
        record = {
            name: self._arrays[name][start:end]
            for name, start, end in zip(
                self._names, starts.tolist(), ends[number].tolist(), strict=True
            )
        }
        if checksum(record) != self._arrays[CHECKSUMS][number]:
            raise ValueError(
                f"{self.folder} is damaged in record {number}; delete it and start again"
            )
        return record

    def lengths(self, name: str) -> NDArray[np.int64]:
        """Return the numbers of rows of an array in each record."""
        ends = self._arrays[ENDS][:, self._names.index(name)]
        return np.diff(ends, prepend=np.int64(0))


def read_index(folder: Path) -> Index | None:
    """Return the index, or None if there is none that can be read."""
    try:
        return Index(**json.loads((folder / INDEX).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, NotADirectoryError):
        logger.warning("%s is damaged and not used", folder / INDEX)
        return None


def wrong_sizes(folder: Path, index: Index, *, at_least: bool = False) -> str:
    """Say which file is missing or has another size (or is shorter) than the index says."""
    for name, (kind, shape) in index.files().items() if index.columns else ():
        path, expected = folder / f"{name}.bin", math.prod(shape) * kind.itemsize
        size = path.stat().st_size if path.is_file() else -1
        if size < expected or (size > expected and not at_least):
            return f"{path.name} has {max(size, 0)} bytes, not {expected}"
    return ""


def mapped(path: Path, kind: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a file; an empty one cannot be mapped."""
    if not math.prod(shape):
        return np.empty(shape, dtype=kind)
    return np.asarray(np.memmap(path, dtype=kind, mode="r", shape=shape))


def checksum(record: Record) -> int:
    """Return the CRC-32 of all arrays of a record."""
    total = 0
    for array in record.values():
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return total
