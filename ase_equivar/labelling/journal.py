"""The files of a labelling run: labels, failures, and the settings of both."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase_equivar.arguments import json_data
from ase_equivar.io.frame_texts import complete_frames
from ase_equivar.io.output_files import write_text
from ase_equivar.io.resumed import differences, digest
from ase_equivar.labelling.pseudopotentials import Pseudopotential
from ase_equivar.labelling.settings import Settings

logger = logging.getLogger(__name__)

IDENTITY = "structure_id"
SUFFIX = ".failures.jsonl"
SETTINGS_SUFFIX = ".settings.json"
COMPARED = ("cutoff", "periods", "max_violation", "min_gap", "threshold")


def journal_of(output: str | Path) -> Path:
    """Return the path of the journal of failures that belongs to an output file."""
    return Path(f"{output}{SUFFIX}")


def check_settings(
    output: Path,
    settings: Settings,
    pseudopotentials: Mapping[str, Pseudopotential],
    *,
    old: bool,
    begun: bool,
) -> None:
    """Refuse to mix labels of different settings in one file, and store the settings.

    Later structures may contain more elements, whose pseudopotentials are added.

    Parameters
    ----------
    output : pathlib.Path
        The settings are stored under the same name with ``.settings.json`` appended.
    settings : Settings
    pseudopotentials : mapping of str to Pseudopotential
        Compared by the contents of their files.
    old : bool
        Whether the output already holds labels.
    begun : bool
        Whether there are results of earlier settings, labels or failures, at all.

    Raises
    ------
    ValueError
        If settings differ, naming them; or if the file of the settings is damaged.
    """
    path = Path(f"{output}{SETTINGS_SUFFIX}")
    now: dict[str, Any] = {name: getattr(settings, name) for name in COMPARED}
    now |= {
        f"pseudopotential of {element}": digest(entry.path)
        for element, entry in pseudopotentials.items()
    }
    then: dict[str, Any] = {}
    if path.exists() and begun:
        try:
            then = dict(json_data("it", path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path}, the settings of the labels in {output}, is damaged ({error}); remove it "
                "if you are sure that the settings are the same"
            ) from error
        added = {name for name in {*then, *now} if name.startswith("pseudo")} - (then.keys() & now)
        differing = differences(
            {name: value for name, value in then.items() if name not in added},
            {name: value for name, value in now.items() if name not in added},
        )
        if differing:
            raise ValueError(
                f"{output} was started with other settings: {'; '.join(differing)}. Give another "
                "output file"
            )
    elif old:
        logger.warning("%s does not record the settings of its labels", output)
    write_text(path, json.dumps({**then, **now}, indent=2) + "\n")


def labelled(file: io.BufferedRandom, output: Path) -> set[str]:
    """Return the structures in a file by identity; remove an incomplete last frame."""
    file.seek(0)
    data = file.read()
    frames = complete_frames(data.decode("latin-1"), str(output))  # one character per byte
    names = set()
    for frame in frames:
        match = re.search(rf"\b{IDENTITY}=\"?(id-[0-9a-f]+)", frame)
        if match:
            names.add(match[1])
    end = sum(map(len, frames))
    if end < len(data):
        logger.warning("%s: the last frame was incomplete and is calculated again", output)
        file.truncate(end)
    file.seek(0, os.SEEK_END)
    return names


def failed(journal: Path) -> set[str]:
    """Return the structures that failed before, by identity; ignore an incomplete last line."""
    names = set()
    if journal.exists():
        for line in journal.read_text(errors="replace").splitlines():
            try:
                names.add(json.loads(line)[IDENTITY])
            except (ValueError, KeyError, TypeError):
                logger.warning("%s: an unreadable line is ignored", journal)
    return names


def add_line(path: Path, text: str) -> None:
    """Append a line to a file, even if its last line is incomplete."""
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else "\n" + text
        append(file, (text + "\n").encode())


def append(file: Any, data: bytes) -> None:
    """Append to a file and flush it to disk."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
