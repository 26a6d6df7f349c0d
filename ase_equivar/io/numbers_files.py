"""Numbers as files that other programs read: JSON and CSV."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from ase_equivar.io.output_files import replacing, write_text


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write numbers, texts and lists of them as JSON, completely or not at all.

    JSON has no NaN and no infinity: both are written as null, since many programs refuse a file
    with any other word for them.
    """
    write_text(path, json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")


def write_csv(path: str | os.PathLike[str], header: list[str], rows: list[list[Any]]) -> None:
    """Write a table with eight significant digits, completely or not at all."""
    with (
        replacing(path) as partial,
        open(partial, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(
            [value if isinstance(value, str) else f"{value:.8g}" for value in row] for row in rows
        )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
