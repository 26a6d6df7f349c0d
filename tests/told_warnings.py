"""Warnings that a user is told, apart from what libraries warn their developers of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told() -> Iterator[list[warnings.WarningMessage]]:
    """Collect them, each time they are told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)
        yield caught
