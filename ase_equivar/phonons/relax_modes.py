"""What of a crystal is relaxed."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from ase_equivar.arguments import known_word

RelaxMode: TypeAlias = Literal["none", "positions", "cell"]
"""What is relaxed: nothing; the positions in the cell given, as for a measured cell; or both."""


def relax_mode(name: str, value: str) -> RelaxMode:
    """Return a valid relaxation mode, or raise a ValueError that names the argument."""
    mode: RelaxMode = known_word(name, value, get_args(RelaxMode))
    return mode
