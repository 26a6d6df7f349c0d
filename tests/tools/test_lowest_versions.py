"""The lowest versions that make test-lowest installs are the bounds of pyproject.toml."""

from __future__ import annotations

import runpy
import tomllib

import pytest
from helpers.paths import REPOSITORY

TOOL = REPOSITORY / "tools/lowest_versions.py"


@pytest.fixture
def lowest_versions():
    return runpy.run_path(str(TOOL))["lowest_versions"]


def write(folder, *requirements, extra=()):
    path = folder / "pyproject.toml"
    listed = [f"dependencies = {list(requirements)}", "[project.optional-dependencies]"]
    path.write_text("\n".join(["[project]", *listed, f"more = {list(extra)}"]), encoding="utf-8")
    return path


def test_bounds_are_read(lowest_versions, tmp_path) -> None:
    path = write(tmp_path, "a>=1.2,<3", "b[x,y]>=2", extra=["c-d>=0.1; platform_system == 'Linux'"])
    assert lowest_versions((), path) == {"a": "1.2", "b": "2"}
    assert lowest_versions(["more"], path) == {"a": "1.2", "b": "2", "c-d": "0.1"}


def test_requirements_without_a_bound_or_with_two_are_refused(lowest_versions, tmp_path) -> None:
    with pytest.raises(ValueError, match="'a==1' has no lower bound"):
        lowest_versions((), write(tmp_path, "a==1"))
    with pytest.raises(ValueError, match="a has two lower bounds, 1 and 2"):
        lowest_versions(["more"], write(tmp_path, "a>=1", extra=["a>=2"]))
    with pytest.raises(ValueError, match="no extra less; there are more"):
        lowest_versions(["less"], write(tmp_path, "a>=1"))


def test_each_requirement_of_the_package_has_one(lowest_versions) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra, requirements in project["optional-dependencies"].items():
        n_requirements = len(project["dependencies"]) + len(requirements)
        assert len(lowest_versions([extra])) == n_requirements
