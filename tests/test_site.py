"""The site is built without a warning, and its reference has every public name."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY

import ase_equivar

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="the site is built with the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*build, "-d", str(folder / "doctrees"), str(REPOSITORY / "docs"), str(folder / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def documented(site: Path) -> set[str]:
    """Names of Python objects in the site's own list, which other projects link by."""
    content = (site / "objects.inv").read_bytes()
    lines = zlib.decompress(content.split(b"\n", 4)[4]).decode().splitlines()
    return {name for name, kind, *_ in (line.split(" ") for line in lines) if kind[:3] == "py:"}


def public_names() -> set[str]:
    modules = ["ase_equivar"] + [
        module.name
        for module in pkgutil.walk_packages(ase_equivar.__path__, "ase_equivar.")
        if module.ispkg and not module.name.startswith("ase_equivar.cli")
    ]
    return {
        f"{module}.{name}"
        for module in modules
        for name in getattr(importlib.import_module(module), "__all__", ())
    }


def test_each_public_name_is_in_the_reference(site: Path) -> None:
    names = public_names()
    assert len(names) > 100
    assert sorted(names - documented(site)) == []


def test_the_work_of_the_field_is_two_clicks_from_the_start(site: Path) -> None:
    """Start page → the page of dynamics → the line of `Drive.work`, which says its unit."""
    start = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="reference/dynamics.html' in start
    page = (site / "reference/dynamics.html").read_text(encoding="utf-8")
    entry = page[page.index('id="ase_equivar.dynamics.Drive.work"') :]
    assert "Work of the field on the atoms since" in entry[:2000]
    assert "eV" in entry[:2000]
