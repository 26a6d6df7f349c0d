"""The lowest version of each direct dependency that pyproject.toml allows, one a line.

    python tools/lowest_versions.py EXTRA … > lowest.txt    # pip install --constraint lowest.txt

Those of the extras that are named are listed too. What the dependencies need themselves is left to
pip. `make test-lowest` installs these versions.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<version>[\w.]+)")


def lowest_versions(extras: Sequence[str] = (), pyproject: Path = PYPROJECT) -> dict[str, str]:
    """Return the lower bound of each dependency, and of those of some extras.

    Raises
    ------
    ValueError
        If there is no such extra, or if a requirement has no lower bound or two different ones.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    if unknown := sorted(set(extras) - set(optional)):
        raise ValueError(f"no extra {', '.join(unknown)}; there are {', '.join(optional)}")
    lowest: dict[str, str] = {}
    lists = [project["dependencies"], *(optional[extra] for extra in extras)]
    for requirement in (one for requirements in lists for one in requirements):
        bound = BOUND.match(requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} has no lower bound; write name>=version")
        name, version = bound["name"], bound["version"]
        if lowest.setdefault(name, version) != version:
            raise ValueError(f"{name} has two lower bounds, {lowest[name]} and {version}")
    return lowest


if __name__ == "__main__":
    for name, version in lowest_versions(sys.argv[1:]).items():
        print(f"{name}=={version}")
