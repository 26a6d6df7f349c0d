"""How the optional parts of the package are installed: said in one place.

The package is on no index, so that ``pip install`` needs a clone of the repository.
"""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """Return the command that installs an extra, as the end of a message."""
    return f"in a clone of ase_equivar: pip install '.[{extra}]'"
