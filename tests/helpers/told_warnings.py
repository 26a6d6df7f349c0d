"""Warnings that a user is told, all but one that NumPy 2.5 gives to ASE 3.29."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NOT_OURS = "Setting the shape on a NumPy array"
IGNORED = f"ignore:{NOT_OURS}:DeprecationWarning"  # for pytest's filterwarnings


@contextmanager
def told() -> Iterator[list[warnings.WarningMessage]]:
    """Collect them, each time they are told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", NOT_OURS, DeprecationWarning)
        yield caught


@contextmanager
def nothing_told() -> Iterator[None]:
    """Make each of them an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", NOT_OURS, DeprecationWarning)
        yield
