"""Writing of the records that `records` maps; an interrupted writer can be continued."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ase_equivar.io.output_files import make_folder, write_text
from ase_equivar.io.resumed import differences
from ase_equivar.training.records import (
    CHECKSUMS,
    ENDS,
    INDEX,
    Index,
    Record,
    checksum,
    mapped,
    read_index,
    wrong_sizes,
)

logger = logging.getLogger(__name__)

SECONDS = 10.0  # between two writes of the index: the most that a killed process loses
FULL = {errno.ENOSPC, errno.EDQUOT}


def is_complete(folder: Path, made_from: Mapping[str, Any]) -> bool:
    """Whether a folder holds all records made from this, undamaged as far as sizes tell."""
    index = read_index(folder)
    return (
        index is not None
        and index.complete
        and not differences(index.made_from, made_from)
        and not wrong_sizes(folder, index)
    )


@contextmanager
def writing_records(folder: Path, made_from: Mapping[str, Any]) -> Iterator[RecordWriter]:
    """Yield a writer that continues behind the records already there.

    Records made from something else, and damaged ones, are removed first. What is written before an
    error or an interruption is kept.

    Parameters
    ----------
    folder : pathlib.Path
        Made if absent. Only one process may write.
    made_from : dict
        What determines the records, as JSON data.

    Raises
    ------
    OSError
        If the disk is full; the message says how to continue.
    """
    index = read_index(folder)
    if index is not None:
        changed = differences(index.made_from, made_from)
        reason = "; ".join(changed) or wrong_sizes(folder, index, at_least=True)
        if reason:
            logger.info("%s is made again: %s", folder, reason)
            index = None
    if index is None or index.complete:
        shutil.rmtree(folder, ignore_errors=True)
        index = Index(json.loads(json.dumps(made_from)))
    elif index.records:
        logger.info("%s: continuing behind record %d", folder, index.records)
    make_folder(folder)
    writer = RecordWriter(folder, index)
    try:
        try:
            yield writer
        except OSError:
            raise  # a full disk has no room for the index either
        except BaseException:  # what is written stays, also where this was interrupted
            writer.commit()
            raise
        finally:
            writer.close()
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            error.errno,
            f"no space is left for {folder}, after {len(writer)} records; make room, then start "
            "again: it continues there",
        ) from error


class RecordWriter:
    """Appends records to the files of a folder; see `writing_records`."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self._index = index
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}
        self._written = time.monotonic()
        if index.columns:
            self._open()

    def __len__(self) -> int:
        """Count the records."""
        return self._index.records

    def existing(self) -> Iterator[Record]:
        """Yield the records written so far, those that an interrupted writer left included."""
        for file in self._files.values():
            file.flush()
        index = self._index
        names = list(index.columns)
        arrays = {
            name: mapped(self.folder / f"{name}.bin", kind, shape)
            for name, (kind, shape) in index.files().items()
        }
        start = [0] * len(names)
        for end in arrays[ENDS]:
            yield {n: arrays[n][a:b] for n, a, b in zip(names, start, end.tolist(), strict=True)}
            start = end.tolist()

    def append(self, record: Record) -> None:
        """Add a record; the first one determines names, types and shapes."""
        index = self._index
        if not index.columns:
            index.columns = {n: (a.dtype.str, list(a.shape[1:])) for n, a in record.items()}
            index.rows = dict.fromkeys(record, 0)
            self._open()
        rows = {}
        for name, (kind, shape) in index.columns.items():
            array = record[name]
            assert (array.dtype.str, list(array.shape[1:])) == (kind, list(shape)), name
            self._files[name].write(array.tobytes())
            rows[name] = index.rows[name] + len(array)
        self._files[ENDS].write(np.array(list(rows.values()), dtype="<i8").tobytes())
        self._files[CHECKSUMS].write(np.array(checksum(record), dtype="<u4").tobytes())
        # only now, so that an interruption before leaves an index that is true
        index.rows, index.records = rows, index.records + 1
        if time.monotonic() - self._written > SECONDS:
            self.commit()

    def finish(self, notes: Mapping[str, Any]) -> None:
        """Declare the records complete."""
        self._index.complete, self._index.notes = True, dict(notes)
        self.commit()

    def commit(self) -> None:
        """Make the records durable, then the index that counts them."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        text = json.dumps(vars(self._index), indent=1, ensure_ascii=False)
        write_text(self.folder / INDEX, text)
        self._written = time.monotonic()

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def _open(self) -> None:
        """Open all files behind the last record that the index counts."""
        for name, (kind, shape) in self._index.files().items():
            path = self.folder / f"{name}.bin"
            file = self._stack.enter_context(path.open("r+b" if path.exists() else "w+b"))
            file.truncate(math.prod(shape) * kind.itemsize)
            file.seek(0, os.SEEK_END)
            self._files[name] = file
