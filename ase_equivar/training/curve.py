"""The learning curve of a run: a row for each epoch, beside the checkpoints."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from ase_equivar.io.output_files import replacing

CURVE_FILE = "learning_curve.csv"


def learning_curve(folder: str | Path) -> list[dict[str, float]]:
    """Read the errors of all epochs of a run.

    Parameters
    ----------
    folder : str or Path
        Output folder of the run.

    Returns
    -------
    list of dict
        For each epoch ``epoch``, counted from 0, and the errors (``train_mae``, ``valid_mae``, …).
        Empty if there is no such file.
    """
    path = Path(folder) / CURVE_FILE
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {
                key: int(value) if key == "epoch" else float(value)
                for key, value in row.items()
                if value
            }
            for row in csv.DictReader(file)
        ]


def record_epoch(folder: str | Path, epoch: int, errors: Mapping[str, float]) -> None:
    """Add the row of an epoch to the learning curve.

    The file is replaced as a whole. Rows of this and of later epochs are dropped: they come from a
    run that was killed before it had written the checkpoint of the epoch.
    """
    rows = [row for row in learning_curve(folder) if row["epoch"] < epoch]
    rows.append({"epoch": epoch, **errors})
    columns = dict.fromkeys(key for row in rows for key in row)
    with (
        replacing(Path(folder) / CURVE_FILE) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
