"""The learning curve from the logs of a run."""

from __future__ import annotations

import csv
from pathlib import Path

LOGS = "logs"


def learning_curve(folder: str | Path) -> list[dict[str, float]]:
    """Read the logs of all sessions of a run.

    Parameters
    ----------
    folder : str or Path
        Output folder of the run.

    Returns
    -------
    list of dict
        For each epoch ``epoch`` and the errors, named as in Lightning's log (``train_mae``,
        ``valid_mae``, …).
    """
    rows: dict[int, dict[str, float]] = {}
    sessions = sorted(
        (Path(folder) / LOGS).glob("version_*/metrics.csv"),
        key=lambda file: int(file.parent.name.removeprefix("version_")),
    )
    for session in sessions:
        with session.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["epoch"]:  # otherwise a row with the learning rate
                    values = {key: float(value) for key, value in row.items() if value}
                    rows.setdefault(int(row["epoch"]), {}).update(values)
    return [rows[epoch] for epoch in sorted(rows)]
