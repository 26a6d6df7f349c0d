"""What of a crystal is relaxed."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast, get_args

RelaxMode: TypeAlias = Literal["none", "positions", "cell"]
"""What is relaxed: nothing; the positions in the cell given, as for a measured cell; or both."""


def relax_mode(name: str, value: str) -> RelaxMode:
    """Return a valid relaxation mode, or raise a ValueError that names the argument."""
    for mode in get_args(RelaxMode):
        if value == mode:
            return cast(RelaxMode, mode)
    raise ValueError(f"{name} is {value!r}; give none, positions or cell")
