"""The lowest version of each direct dependency that pyproject.toml allows, one a line.

    python tools/lowest_versions.py > lowest.txt    # for pip install --constraint lowest.txt

What the dependencies need themselves is left to pip. `make test-lowest` installs these versions.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<version>[\w.]+)")


def lowest_versions(pyproject: Path = PYPROJECT) -> dict[str, str]:
    """Return the lower bound of each requirement, those of the extras too.

    Raises
    ------
    ValueError
        If a requirement has no lower bound, or two different ones.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    lowest: dict[str, str] = {}
    for requirement in (one for requirements in lists for one in requirements):
        bound = BOUND.match(requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} has no lower bound; write name>=version")
        name, version = bound["name"], bound["version"]
        if lowest.setdefault(name, version) != version:
            raise ValueError(f"{name} has two lower bounds, {lowest[name]} and {version}")
    return lowest


if __name__ == "__main__":
    for name, version in lowest_versions().items():
        print(f"{name}=={version}")
