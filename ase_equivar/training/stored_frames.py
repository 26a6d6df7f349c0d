"""Labelled structures of files, parsed and checked once and then mapped into memory."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Sequence
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar import __version__
from ase_equivar.io.file_selection import split_selection
from ase_equivar.io.label_files.reading import program_of
from ase_equivar.io.resumed import digest
from ase_equivar.progress_bar import progress_bar
from ase_equivar.training.data import (
    LabelledFrame,
    Rejected,
    entries_of_nine,
    read_labels_of,
    refuse_unusable,
    tell_dielectric,
)
from ase_equivar.training.frame_source import unread_frames
from ase_equivar.training.label_summary import LabelSummary, summarize
from ase_equivar.training.record_writer import RecordWriter, is_complete, writing_records
from ase_equivar.training.records import Record, Records
from ase_equivar.training.sections import DataConfig

logger = logging.getLogger(__name__)


class StoredFrames(Sequence[LabelledFrame]):
    """The usable frames of a folder that `store_frames` has written.

    Parameters
    ----------
    folder : pathlib.Path

    Attributes
    ----------
    summary : LabelSummary
    n_rejected : int
        Number of frames that were not usable.

    Raises
    ------
    ValueError
        If the folder is incomplete or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._records = Records(folder)
        self._usable = np.flatnonzero(self._records.lengths("numbers"))
        self.summary = LabelSummary.from_dict(self._records.notes)
        self.n_rejected = len(self._records) - len(self._usable)

    def __len__(self) -> int:
        """Count the usable frames."""
        return len(self._usable)

    @overload
    def __getitem__(self, number: int) -> LabelledFrame: ...
    @overload
    def __getitem__(self, number: slice) -> list[LabelledFrame]: ...
    def __getitem__(self, number: int | slice) -> LabelledFrame | list[LabelledFrame]:
        """Return a frame; its `Atoms` have elements, positions and cell only."""
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        return _frame(self._records[int(self._usable[number])])

    def with_elements(self, elements: Collection[int]) -> StoredFrames:
        """Return those frames that have these elements only."""
        known, chosen = set(elements), copy(self)
        chosen._usable = np.array(
            [k for k in self._usable if known.issuperset(self._records[int(k)]["numbers"])],
            dtype=np.int64,
        )
        return chosen


def store_frames(
    folder: Path, files: Sequence[str], config: DataConfig, *, progress: bool = False
) -> None:
    """Parse and check all frames of some files, unless the folder holds them already.

    An interrupted call is continued by the next one.

    Parameters
    ----------
    folder : pathlib.Path
        Made if absent.
    files : sequence of str
        As in `DataConfig`.
    config : DataConfig
    progress : bool
        Whether to show a progress bar, on stderr.

    Raises
    ------
    ValueError
        As `data.read_frames`.
    OSError
        If the disk is full.
    """
    made_from = _made_from(files, config)
    if is_complete(folder, made_from):
        return
    with writing_records(folder, made_from) as writer:
        _write(writer, files, config, progress=progress)
        n_frames, n_labels = 0, 0
        there: set[str] = set()
        for record in writer.existing():
            if not len(record["numbers"]):
                file, number = record["origin"][0].tolist()
                path, _ = split_selection(files[file])
                logger.warning("kept out: %s", Rejected(path, number, _text(record)))
                continue
            n_frames += 1
            n_labels += len(record["dielectric"])
            there.update(_text(record).splitlines())
        tell_dielectric(n_labels, n_frames, there, config)
        usable = (_frame(record) for record in writer.existing() if len(record["numbers"]))
        writer.finish(summarize(usable).as_dict())


def _write(
    writer: RecordWriter, files: Sequence[str], config: DataConfig, *, progress: bool
) -> None:
    """Append the records of all frames that are not there yet."""
    parts = [split_selection(file) for file in files]
    sizes = [Path(path).stat().st_size for path, _ in parts]
    done, usable, reasons = [0] * len(files), [0] * len(files), [""] * len(files)
    for record in writer.existing():
        index = int(record["origin"][0, 0])
        done[index] += 1
        usable[index] += bool(len(record["numbers"]))
        if not len(record["numbers"]):
            reasons[index] = reasons[index] or _text(record)
    with progress_bar(progress) as bar:
        task = bar.add_task("reading structures", total=sum(sizes))
        for index, (path, selection) in enumerate(parts):
            for unread in islice(unread_frames(path, selection), done[index], None):
                found = read_labels_of(path, unread, config)
                writer.append(_record(index, unread.number, found))
                if isinstance(found, Rejected):
                    reasons[index] = reasons[index] or found.reason
                else:
                    usable[index] += 1
                bar.update(task, completed=sum(sizes[:index]) + unread.position)
            refuse_unusable(files[index], usable[index], reasons[index])


def _made_from(files: Sequence[str], config: DataConfig) -> dict[str, Any]:
    """Return what determines the records: contents of files, not their names."""
    labels = dataclasses.asdict(config)
    return {
        "ase_equivar": __version__,
        **{name: value for name, value in labels.items() if name not in ("train", "valid")},
        "files": [_content(*split_selection(file)) for file in files],
    }


def _content(path: str, selection: str) -> list[str]:
    content = [digest(Path(path)), selection]
    if program_of(path):  # its reader may look into other files of the folder
        beside = sorted(Path(path).resolve().parent.iterdir())
        stats = [(file.name, file.stat()) for file in beside if file.is_file()]
        states = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        content.append(digest("\n".join(states).encode(errors="surrogateescape")))
    return content


def _record(file: int, number: int, found: LabelledFrame | Rejected) -> Record:
    """Return the arrays of a frame; those of a rejected one have no rows, and a reason."""
    origin = np.array([[file, number]], dtype="<i8")
    if isinstance(found, Rejected):
        return {"origin": origin, **NOTHING, "text": _bytes(found.reason)}
    atoms, tensor = found.atoms, found.dielectric
    return {
        "origin": origin,
        "numbers": atoms.numbers.astype("<u1"),
        "positions": atoms.positions.astype("<f8"),
        "cell": atoms.cell.array[None].astype("<f8"),
        "pbc": atoms.pbc[None].astype("?"),
        "born_charges": found.born_charges.astype("<f8"),
        "dielectric": NOTHING["dielectric"] if tensor is None else tensor[None].astype("<f8"),
        "text": _bytes("\n".join(entries_of_nine(atoms)) if tensor is None else ""),
    }


NOTHING = {
    "numbers": np.zeros(0, dtype="<u1"),
    "positions": np.zeros((0, 3), dtype="<f8"),
    "cell": np.zeros((0, 3, 3), dtype="<f8"),
    "pbc": np.zeros((0, 3), dtype="?"),
    "born_charges": np.zeros((0, 3, 3), dtype="<f8"),
    "dielectric": np.zeros((0, 3, 3), dtype="<f8"),
}


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(errors="surrogateescape"), dtype="<u1")


def _text(record: Record) -> str:
    return record["text"].tobytes().decode(errors="surrogateescape")


def _frame(record: Record) -> LabelledFrame:
    atoms = Atoms(
        record["numbers"], record["positions"], cell=record["cell"][0], pbc=record["pbc"][0]
    )
    tensor = record["dielectric"]
    return LabelledFrame(atoms, record["born_charges"], tensor[0] if len(tensor) else None)
