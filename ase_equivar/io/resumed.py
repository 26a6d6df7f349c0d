"""Comparison of the settings of an interrupted run with those for its continuation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MISSING = "nothing"
PIECE = 1 << 20  # bytes


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a text for each entry that differs, such as "cutoff was 50, is now 60"."""
    return [
        f"{name} was {_shown(then, name)}, is now {_shown(now, name)}"
        for name in sorted(set(then) | set(now))
        if _shown(then, name) != _shown(now, name)
    ]


def digest(*parts: bytes | Path) -> str:
    """Return a 16-digit hexadecimal hash of these bytes or file contents."""
    return digest_of_all(parts)


def digest_of_all(parts: Iterable[bytes | Path]) -> str:
    """As `digest`, of parts that need not fit into memory together, nor a file by itself."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            total.update(len(part).to_bytes(8, "big") + part)
            continue
        total.update(part.stat().st_size.to_bytes(8, "big"))
        with part.open("rb") as file:
            while piece := file.read(PIECE):
                total.update(piece)
    return total.hexdigest()[:16]


def _shown(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name, MISSING)
    return str(list(value) if isinstance(value, tuple) else value)
