"""How Sphinx builds the site: Markdown pages by MyST, the reference from the docstrings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ase_equivar

HERE = Path(__file__).parent

project = "ase_equivar"
author = "ase_equivar developers"
version = release = ase_equivar.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"ase_equivar {release}"
html_copy_source = False

myst_heading_anchors = 3  # headings down to this level can be linked to

# `name` in a docstring links to the object of that name, where there is one.
default_role = "py:obj"
# Attributes of results link to nothing where several classes have one of that name.
suppress_warnings = ["ref.python"]
autodoc_mock_imports = ["torch_sim"]  # needs a newer Python than the site
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"


def _write_commands() -> None:
    """Write the page of the command line from the commands' own help texts."""
    words = "-m typer ase_equivar.cli.main utils docs --name ase-equivar --title Commands"
    text = subprocess.run(
        [sys.executable, *words.split()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    page = HERE / "reference" / "commands.md"
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def _escape_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let |e| and |Σ Z*| in a docstring be text; in reStructuredText they are substitutions."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app: Any) -> None:
    """Connect what is above."""
    _write_commands()
    app.connect("autodoc-process-docstring", _escape_bars, priority=400)
